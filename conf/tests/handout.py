"""The student's tree: it builds and boots, stops in words at the first exercise, and holds no solution."""

import filecmp
import shutil
from pathlib import Path

from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.qemu import Tcg
from jos.session import GOS, HOS
from lab import tree
from lab.pieces import PIECES
from lab.wrong import all_wrong

from .common import host, nonce

# What `vmm` meets first in the tree of EX=k. A function of the kernel ends the machine, one of a program
# the program.
FIRST = {
    0: "vmx_check_support",
    1: "make_guest",
    2: "ept_lookup_gpa",
    3: "copy_guest_kern_gpa",
    4: "asm_vmrun",
    5: "vmexit",
    6: "handle_cpuid",
    7: "ask",
}
IN_PROGRAM = (1, 3, 7)
STATUS = 80  # EXERCISE_STATUS
BUILD_LIMIT = 600


def make_tree(folder: Path, ex: int, *arguments: str) -> None:
    """Turn the folder into the tree of EX=ex, keeping what was compiled, and make it."""
    folder.mkdir(parents=True, exist_ok=True)
    tree.update_folder(tree.make(ex), folder)
    build(folder, *arguments)


def build(folder: Path, *arguments: str) -> None:
    """Make a student's tree, without a warning."""
    clean = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "O"]
    done = host([*clean, "make", "-C", folder, "-j2", *arguments, "all"], BUILD_LIMIT)
    check_that(done.returncode == 0, f"make in {folder.name} to succeed", done.stdout)
    check_that("warning" not in done.stdout, "no warning", done.stdout)


def images(folder: Path) -> dict:
    return {"kernel": folder / "obj/kernel.img", "fs": folder / "obj/fs.img"}


def stops_at(bench: Bench, folder: Path, ex: int) -> None:
    """vmm ends with the words of the tree's first exercise."""
    words = f"exercise {ex}: {FIRST[ex]} is not implemented yet\n"
    with bench.machine(f"handout-{ex}", Bochs, **images(folder)) as machine:
        machine.expect(HOS, 60)
        machine.sendline("vmm; echo status=$?")
        machine.expect("\n" + words, 60)
        if ex not in IN_PROGRAM:
            status = machine.wait_off()
            check_that(status == STATUS + ex, f"power-off with status {STATUS + ex}", status)
            return
        # gOS's file server is a program of the guest's: without it the guest ends with 1.
        machine.expect(f"status={1 if ex == 7 else STATUS + ex}\n", 60)


def runs_gos(bench: Bench, folder: Path) -> None:
    with bench.machine("handout-8", Bochs, **images(folder)) as machine:
        machine.expect(HOS, 60)
        machine.sendline("vmm")
        machine.expect(GOS, 60)
        word = nonce()
        machine.sendline(f"echo {word}; halt")
        machine.expect(f"\n{word}\n")
        machine.expect(HOS, 60)


def works_without_vmm(bench: Bench, folder: Path) -> None:
    """All that is no exercise works in the tree of EX=0."""
    with bench.machine("handout-hos", Tcg, **images(folder)) as machine:
        machine.expect(HOS, 60)
        for program in ("test-fork", "test-syscall", "test-ipc"):
            machine.sendline(program)
            machine.expect(f"{program}: ok", 120)
        machine.sendline("ls /vmm; halt 5")
        machine.expect("kernel\n")
        check_that(machine.wait_off() == 5, "power-off with status 5")


def check_text(ex: int, folder: Path) -> None:
    """The tree of EX=ex, as a tarball, holds no text of a solution, and is written the same twice."""
    handout = tree.make(ex)
    first, second = folder / f"handout-{ex}.tar.gz", folder / f"handout-{ex}-again.tar.gz"
    tree.write_tarball(handout, first)
    tree.write_tarball(tree.make(ex), second)
    check_that(filecmp.cmp(first, second, shallow=False), "two identical tarballs")
    work = folder / "handout-text"
    tree.write_folder(handout, work)
    leaks = tree.findings(handout, work, first)
    shutil.rmtree(work)
    check_that(not leaks, f"no text of solutions for EX={ex}", "\n".join(leaks))
    left = [p.name for p in PIECES.values() if p.exercise >= ex and ex < tree.SOLVED]
    cut = [section.name for section in handout.cut if section.name]
    check_that(sorted(cut) == sorted(left), f"these to be cut for EX={ex}: {left}", cut)
    blind = [s.name for s in handout.secrets.blind if s.name in left]
    check_that(not blind, "each solution to have a line that would show", blind)


@check("Handout", 0, "for every EX the tree holds no line of a solution; two tarballs are identical")
def no_leak(bench: Bench) -> None:
    for ex in range(tree.SOLVED + 1):
        check_text(ex, bench.folder)


@check("Handout", 0, "a line of a solution is found in code, in a text, and in a tarball")
def leaks_are_found(bench: Bench) -> None:
    handout = tree.make(0)
    for name, section in ((s.name, s) for s in handout.cut if s.name):
        line = next(line for line in handout.secrets.lines if line in map(str.strip, section.text))
        for path in ("kern/new.c", "doc/lab/new.md"):
            text = f"words before; {line}  words behind\n"
            found = handout.secrets.findings(path, text.encode())
            check_that(found, f"a line of {name} to be found in {path}", line)
        handout.files["LICENSE"] += line
    tarball = bench.folder / "handout-bad.tar.gz"
    tree.write_tarball(handout, tarball)
    found = tree.check_tarball(handout.secrets, tarball)
    check_that(any("LICENSE" in words for words in found), "the lines in LICENSE to be found", found)


@check("Handout", 0, "no patch of a wrong solution is handed out; its text is found wherever it is put")
def patches_stay(bench: Bench) -> None:
    for ex in range(tree.SOLVED + 1):
        files = tree.make(ex).files
        out = [name for name in files if "wrong" in name or name.endswith(".patch")]
        check_that(not out, f"no patch in the tree of EX={ex}", out)
    secrets = tree.make(0).secrets
    for entry in all_wrong():
        text = entry.path.read_bytes()
        for path in (f"conf/{entry.path.name}", "doc/lab/new.md", "kern/new.c"):
            check_that(secrets.findings(path, text), f"{entry.name} to be found as {path}")


@check("Handout", 0, "a wrong EX is refused in words, and a folder where somebody works is left alone")
def refusals(bench: Bench) -> None:
    folder = bench.folder / "handout-busy"
    for ex in ("9", "-1", "x", ""):
        done = host(["conf/handout", f"--ex={ex}", "--out", folder])
        check_that(done.returncode == 1, f"an error for EX={ex}", done.stdout)
        check_match(r"EX is a number from 0 to 8", done.stdout)
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    done = host(["conf/handout", "--out", folder])
    check_that(done.returncode == 1, "an error", done.stdout)
    check_match(r"somebody works there", done.stdout)
    shutil.rmtree(folder)


@check("Handout", 0, "the trees of EX=0, 4 and 8 build without a warning; vmm stops at the first exercise, or runs gOS", lane="bochs")
def trees(bench: Bench) -> None:
    folder = bench.obj / "handout"
    make_tree(folder, 0)
    works_without_vmm(bench, folder)
    stops_at(bench, folder, 0)
    make_tree(folder, 4)
    stops_at(bench, folder, 4)
    make_tree(folder, tree.SOLVED)
    runs_gos(bench, folder)
