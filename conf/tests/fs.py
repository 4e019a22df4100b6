"""The file system: server, persistence, killed runs, host tools."""

import shutil
from pathlib import Path

from jos.grade import Bench, check, check_that
from jos.qemu import Tcg
from jos.session import HOS

from .common import host, make, nonce, passes, qemu

CLEAN, REPAIRED = 0, 1  # exit statuses of fsck


def fsck(bench: Bench, image: Path, *options: str) -> "tuple[int, str]":
    done = host([bench.obj / "fs/fsck", *options, image], 60)
    return done.returncode, done.stdout


def copy_of_disk(bench: Bench, name: str) -> Path:
    image = bench.folder / name
    shutil.copyfile(bench.obj / "fs.img", image)
    return image


@check("File system", 0, "files of 16 MiB and more, directories, truncation, a full disk: test-fs")
def server(bench: Bench) -> None:
    passes(qemu(bench), "test-fs", 240)


@check("File system", 0, "what was written survives a reboot, and fsck finds nothing wrong")
def persistence(bench: Bench) -> None:
    image, word = copy_of_disk(bench, "persistence.img"), nonce()
    with bench.machine("fs-write", Tcg, fs=image, fs_in_place=True) as machine:
        machine.expect(HOS, 60)
        machine.sendline(f"mkdir /kept; echo {word} > /kept/word; halt")
        machine.wait_off()
    status, text = fsck(bench, image)
    check_that(status == CLEAN, "a clean image after halt", text)
    with bench.machine("fs-read", Tcg, fs=image, fs_in_place=True) as machine:
        machine.expect(HOS, 60)
        machine.sendline("cat /kept/word")
        machine.expect(f"\n{word}\n")
    image.unlink()


@check("File system", 0, "runs killed while they write leave an image that fsck accepts or repairs")
def killed(bench: Bench) -> None:
    image, word = copy_of_disk(bench, "killed.img"), nonce()
    for number, busy_seconds in enumerate((0.1, 0.4, 1.0)):
        with bench.machine("fs-killed", Tcg, fs=image, fs_in_place=True) as machine:
            machine.expect(HOS, 60)
            machine.sendline(f"echo {word} > /kept{number}; sync; echo synced; test-fs")
            machine.expect("\nsynced\n")
            machine.console.receive(busy_seconds)
            machine.kill()
        status, text = fsck(bench, image, "-y")
        check_that(status in (CLEAN, REPAIRED), "fsck -y to accept or repair", text)
        status, text = fsck(bench, image)
        check_that(status == CLEAN, "a clean image after the repair", text)
    for number in range(3):
        out = bench.folder / "kept"
        done = host([bench.obj / "fs/fsck", "-x", image, f"/kept{number}", out])
        check_that(done.returncode == 0 and word in out.read_text(), "the synced file", done.stdout)
    image.unlink()


@check("File system", 0, "the built image is clean, and /vmm/kernel in it is the kernel that hOS boots")
def built_image(bench: Bench) -> None:
    status, text = fsck(bench, bench.obj / "fs.img")
    check_that(status == CLEAN, "a clean image", text)
    out = bench.folder / "kernel-in-image"
    done = host([bench.obj / "fs/fsck", "-x", bench.obj / "fs.img", "/vmm/kernel", out])
    check_that(done.returncode == 0, "to find /vmm/kernel", done.stdout)
    check_that(out.read_bytes() == (bench.obj / "kern/kernel").read_bytes(), "the same file")
    out.unlink()


@check("File system", 0, "fsck finds a damaged bitmap, repairs it, and then finds nothing")
def damaged(bench: Bench) -> None:
    image = copy_of_disk(bench, "damaged-fs.img")
    with open(image, "r+b") as disk:
        disk.seek(4096 + 512)
        block = bytearray(disk.read(64))
        disk.seek(4096 + 512)
        disk.write(bytes(byte ^ 0x0F for byte in block))
    status, text = fsck(bench, image)
    check_that(status not in (CLEAN, REPAIRED), "problems", text)
    fsck(bench, image, "-y")
    status, text = fsck(bench, image)
    check_that(status == CLEAN, "a clean image after the repair", text)
    image.unlink()


@check("File system", 0, "random operations and power cuts on the host leave the core consistent")
def stress(bench: Bench) -> None:
    done = make(bench.obj, "check-fs", limit=480)
    check_that(done.returncode == 0, "make check-fs to pass", done.stdout)
