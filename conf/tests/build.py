"""The build: identical images, both compilers, exact dependencies, tools named when missing."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jos.errors import TimeUp
from jos.grade import Bench, check, check_match, check_that
from jos.limits import family
from jos.machine import Config
from jos.qemu import Tcg
from jos.session import HOS
from kvm.machine import Kvm, inner_command

from .common import TOP, host, make

IMAGES = ("kern/kernel", "kernel.img", "fs.img")


@check("Build", 0, "a second, parallel build of the tree gives identical images")
def identical(bench: Bench) -> None:
    again = bench.obj / "again"
    shutil.rmtree(again, ignore_errors=True)
    done = make(again, "-j4", "all")
    check_that(done.returncode == 0, "make -j4 to succeed", done.stdout)
    for image in IMAGES:
        same = filecmp.cmp(bench.obj / image, again / image, shallow=False)
        check_that(same, f"two identical {image}")


@check("Build", 0, "make compiles nothing when nothing changed, and what includes a header when it did")
def dependencies(bench: Bench) -> None:
    again = bench.obj / "again"
    done = make(again, "all")
    check_that(done.returncode == 0 and "  CC " not in done.stdout, "no compilation", done.stdout)
    done = make(again, "-W", "inc/elf.h", "all")
    for source in ("boot/elf.c", "lib/spawn.c"):
        check_that(source in done.stdout, f"{source} to depend on inc/elf.h", done.stdout)
    check_that("lib/string.c" not in done.stdout, "lib/string.c not to depend on inc/elf.h")


@check("Build", 0, "other trees that are built below the output folder do not make it compile anew")
def others_below(bench: Bench) -> None:
    again = bench.obj / "again"
    other = again / "student/obj/lib/string.o.d"
    other.parent.mkdir(parents=True, exist_ok=True)
    mine = os.path.relpath(again / "lib/string.o", TOP)
    other.write_text(f"{mine}: lib/no-such-header.h\nlib/no-such-header.h:\n")
    done = make(again, "all")
    check_that(done.returncode == 0 and "  CC " not in done.stdout, "no compilation", done.stdout)


@check("Build", 0, "clang builds a system without a warning, it boots, and a crash report names functions and lines")
def clang(bench: Bench) -> None:
    done = host(["conf/need", "clang"])
    check_that(done.returncode == 0, "clang on this machine", done.stdout)
    folder = bench.obj / "clang"
    shutil.rmtree(folder, ignore_errors=True)
    done = make(folder, "-j2", "CC=clang", "all")
    check_that(done.returncode == 0, "make CC=clang to succeed", done.stdout)
    check_that("warning" not in done.stdout and "objdump" not in done.stdout, "no warning", done.stdout)
    images = {"kernel": folder / "kernel.img", "fs": folder / "fs.img"}
    with bench.machine("clang", Tcg, **images) as machine:
        machine.expect(HOS, 60)
        machine.sendline("test-fork; crash user; halt 7")
        machine.expect("test-fork: ok")
        lines = (TOP / "user/crash.c").read_text().split("\n")
        named = machine.expect(re.compile(r" deeper\+0x\w+ \(user/crash\.c:(\d+)\)"))
        check_match(r"= deepest\(kind\)", lines[int(named[1]) - 1])
        check_that(machine.wait_off() == 7, "power-off with status 7")


@check("Build", 0, "a command that does not end is ended after its limit of CPU time, with all that it started, and reported in a sentence")
def patience(bench: Bench) -> None:
    command = ["sh", "-c", "echo started $$; (while :; do :; done) & wait"]
    try:
        host(command, 0.5)
    except TimeUp as error:
        started = check_match(r"`sh .*had not ended after \d+ s of CPU time \(\d+ s by the clock\); it said\n.*started (\d+)", str(error))
        check_that(not family(int(started[1])), "its processes to be gone")
        return
    check_that(False, "it to be ended")


@check("Build", 0, "a missing tool is named with its package")
def missing_tool(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for tool in ("sh", "awk", "dirname"):
            os.symlink(shutil.which(tool) or tool, Path(folder, tool))
        done = host(["env", f"PATH={folder}", "conf/need", "gdb", "grub-mkrescue"])
    check_that(done.returncode != 0, "an error", done.stdout)
    for words in ("gdb is missing: install the package gdb", "package grub-common"):
        check_that(words in done.stdout, repr(words), done.stdout)
    done = make(bench.obj / "none", "LD=no-such-ld", "all")
    check_that(done.returncode != 0, "make to fail", done.stdout)
    check_that("no-such-ld is missing: install" in done.stdout, "the linker by name", done.stdout)
    check_that("  CC " not in done.stdout, "this before anything is compiled", done.stdout)


@check("Build", 0, "check-kvm starts QEMU as make qemu-nox does, and says what is missing where there is no apt")
def second_opinion(bench: Bench) -> None:
    config = Config(kernel=bench.obj / "kernel.img", fs=bench.obj / "fs.img", extra=["-S"])
    outside = Kvm().command(config, bench.folder, 1)
    inside = inner_command(config)
    differ = [new for old, new in zip(outside, inside) if old != new]
    check_that(len(outside) == len(inside), "the same arguments", inside)
    check_that(len(differ) == 3 and all("/dev/" in new for new in differ), "another console and disks", differ)
    with tempfile.TemporaryDirectory() as folder:
        done = host(["env", f"PATH={folder}", sys.executable, "conf/check-kvm", "--obj", folder])
    check_that(done.returncode == 1 and "Traceback" not in done.stdout, "an error in words", done.stdout)
    for words in ("apt-get", "this needs Debian"):
        check_that(words in done.stdout, repr(words), done.stdout)


def grade_one(obj: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The grader by hand, with one cheap check."""
    command = ["./grade-lab4", "--obj", obj, "--only", "vmx/ and svm/ never include", *arguments]
    return host(["env", "-u", "CC", *command])


@check("Build", 0, "./grade-lab4 builds what is not up to date, and grades nothing when that fails; --no-build leaves it")
def grader_builds(bench: Bench) -> None:
    again = bench.obj / "again"
    image = again / "kernel.img"
    image.unlink()
    done = grade_one(again, "--no-build")
    check_that(done.returncode == 2 and f"{image} is missing" in done.stdout, "an error by name", done.stdout)
    done = grade_one(again)
    check_that(done.returncode == 0 and "1 passed" in done.stdout, "the check to pass", done.stdout)
    check_that(filecmp.cmp(bench.obj / "kernel.img", image, shallow=False), "the image of this source")
    done = grade_one(again)
    check_that(done.stdout.startswith("[ 1/1]"), "no word about a build where there is nothing to do", done.stdout)
    done = host(["env", "CC=no-such-cc", "./grade-lab4", "--obj", again])
    check_that(done.returncode == 2 and "no-such-cc is missing" in done.stdout, "the compiler by name", done.stdout)
    check_that("[ 1/" not in done.stdout, "no check to run", done.stdout)


@check("Build", 0, "make demo goes into gOS and out again by itself when nobody is at the terminal, by VT-x and by SVM")
def demo(bench: Bench) -> None:
    for backend in ("vtx", "svm"):
        done = make(bench.obj / "again", "demo", f"BACKEND={backend}")
        check_that(done.returncode == 0, f"make demo BACKEND={backend} to succeed", done.stdout)
        check_match(r"gOS\$ ls\n.*\bbin\n.*gOS\$ halt\n.*hOS\$ halt\n.*Powered off with status 0", done.stdout.replace("\r", ""))


@check("Build", 0, "conf/setup finds everything in place and does nothing")
def setup(_: Bench) -> None:
    done = host(["conf/setup"])
    check_that(done.returncode == 0 and "everything is there" in done.stdout, "nothing to do", done.stdout)


@check("Build", 0, "FSFILES puts a host file into the image, and a missing one is an error by name")
def fsfiles(bench: Bench) -> None:
    obj = bench.obj / "again"
    done = make(obj, "FSFILES=LICENSE:/doc/licence", "all")
    check_that(done.returncode == 0, "make FSFILES=... to succeed", done.stdout)
    out = bench.folder / "licence"
    done = host([bench.obj / "fs/fsck", "-x", obj / "fs.img", "/doc/licence", out])
    check_that(done.returncode == 0, "the file in the image", done.stdout)
    check_that(filecmp.cmp(TOP / "LICENSE", out, shallow=False), "the file's contents")
    done = make(obj, "FSFILES=no-such-file:/x", "all")
    check_that(done.returncode != 0 and "no-such-file" in done.stdout, "an error by name", done.stdout)


@check("Build", 0, "the tree is formatted as .clang-format says")
def formatted(bench: Bench) -> None:
    done = make(bench.obj, "check-format")
    check_that(done.returncode == 0, "make check-format to pass", done.stdout)
