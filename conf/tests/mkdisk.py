"""Disk images: mkdisk, and the shell's part in scripts like `linux`."""

import os
import struct
from pathlib import Path
from typing import Dict

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import SVM
from jos.qemu import Tcg
from jos.session import Session

from .common import host, hos, nonce, qemu

SECTOR, KIB = 512, 1024
EXT_STATE = 1024 + 58  # place of s_state
EXT_INCOMPAT = 1024 + 96
RECOVER = 4
MBR_LINUX, MBR_PROTECTIVE = 0x83, 0xEE
GPT_FIRST = 40  # the first sector after the table


def ext(folder: Path, kind: str) -> bytes:
    """A file system of 2 MiB that mke2fs makes, with its kind as the label."""
    path = folder / kind
    path.write_bytes(bytes(2048 * KIB))
    done = host(["/sbin/mke2fs", "-q", "-F", "-t", kind, "-L", f"disk-{kind}", path])
    check_that(done.returncode == 0, "mke2fs to succeed", done.stdout)
    return path.read_bytes()


def changed(image: bytes, offset: int, value: int) -> bytes:
    """With another 16-bit number there."""
    return image[:offset] + struct.pack("<H", value) + image[offset + 2 :]


def mbr(*partitions: "tuple[int, int, int]") -> bytes:
    """Type, first sector, sectors."""
    entries = b"".join(struct.pack("<BBHBBHII", 0, 0, 0, kind, 0, 0, first, n) for kind, first, n in partitions)
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa"


def gpt(contents: bytes) -> bytes:
    sectors = len(contents) // SECTOR
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 4, 128)
    entry = b"\1" * 32 + struct.pack("<QQ", GPT_FIRST, GPT_FIRST + sectors - 1)
    table = mbr((MBR_PROTECTIVE, 1, 0xFFFFFFFF)) + header.ljust(SECTOR, b"\0") + entry
    return table.ljust(GPT_FIRST * SECTOR, b"\0") + contents


def iso() -> bytes:
    return bytes(32768) + b"\1CD001\1\0" + b"LINUX".ljust(32) + b"A TEST".ljust(32) + bytes(4096)


def samples(folder: Path) -> Dict[str, "tuple[bytes, str]"]:
    """Disks by name, and what mkdisk has to say of each."""
    ext2, ext3, ext4 = (ext(folder, kind) for kind in ("ext2", "ext3", "ext4"))
    half = len(ext4) // SECTOR
    two = mbr((MBR_LINUX, 1, half), (MBR_LINUX, 1 + half, half), (MBR_LINUX, 9, 0xFFFFFFF0)) + ext4 + ext2
    return {
        "ext2": (ext2, r'ext2, label "disk-ext2", \d+ blocks of 1 KiB, clean\n'),
        "ext3": (ext3, r'ext3, label "disk-ext3", .* clean\n'),
        "ext4": (ext4, r'ext4, label "disk-ext4", .* clean\n'),
        "dirty": (changed(ext2, EXT_STATE, 0), "ext2, .* dirty"),
        "errors": (changed(ext4, EXT_STATE, 3), "ext4, .* with errors"),
        "journal": (changed(ext4, EXT_INCOMPAT, struct.unpack_from("<H", ext4, EXT_INCOMPAT)[0] | RECOVER), "ext4, .* dirty"),
        "iso": (iso(), r'iso9660, label "A TEST"\n'),
        "mbr": (two, r"MBR\n +1: from sector 1, 2048 KiB: ext4, .*\n +2: .*: ext2, .*\n +3: .*not all of it is on the disk\n"),
        "gpt": (gpt(ext3), r"GPT\n +1: from sector 40, 2048 KiB: ext3, .* clean\n"),
        "random": (os.urandom(64 * KIB), r"\n  unknown\n"),
        "short": (b"\x7fELF", r"0 KiB, .*\n  unknown\n"),
        "zeroes": (bytes(128 * KIB), r"128 KiB, 0 KiB taken\n  empty\n"),
        "hole": (b"\xEE" + bytes(128 * KIB), r"unknown\n"),
    }


def with_files(bench: Bench, name: str, files: Dict[str, Path]) -> Path:
    """fs.img with more files in /d."""
    words = (bench.obj / ".args-fs.img").read_text().split()
    image = bench.folder / name
    place = next(number for number, word in enumerate(words) if word.endswith("/fs.img"))
    more = [f"{path}:/d/{target}" for target, path in files.items()]
    done = host([bench.obj / "fs/mkfs", *words[:place], image, *words[place + 1 :], *more])
    check_that(done.returncode == 0, "mkfs to succeed", done.stdout)
    return image


@check("Disks", 0, "mkdisk -i knows JOS file systems, ext2/3/4 clean and dirty, iso9660, MBR, GPT, nothing, and anything else")
def inspects(bench: Bench) -> None:
    found = samples(bench.folder)
    for name, (data, _) in found.items():
        (bench.folder / f"disk-{name}").write_bytes(data)
    image = with_files(bench, "disks.img", {name: bench.folder / f"disk-{name}" for name in found})
    session = bench.session("disks", Tcg, fs=image)
    for name, (_, words) in found.items():
        text = session.sh(f"mkdisk -i /d/{name}")
        check_match(words, text)
        check_that(session.status() == 0, "exit status 0", text)
    check_match(r"32768 KiB, \d+ KiB taken\n  JOS file system, 8192 blocks of 4 KiB, clean\n", session.sh("mkdisk -i /vmm/guest.img"))
    session.drop()
    image.unlink()


def refused(session: Session, command: str, words: str, status: int = 1) -> None:
    text = session.sh(command)
    check_match(words, text)
    check_that(session.status() == status, f"exit status {status} of `{command}`", text)


@check("Disks", 0, "mkdisk makes and grows images that take no space; what cannot be done is refused in words")
def makes(bench: Bench) -> None:
    session = qemu(bench)
    check_that(session.sh("mkdisk /disk 1M") == "", "no output")
    check_match(r"/disk: 1024 KiB, 0 KiB taken\n  empty\n", session.sh("mkdisk -i /disk"))
    check_that(session.sh("mkdisk -g /disk 2M") == "", "no output")
    check_match(r"/disk: 2048 KiB, 0 KiB taken", session.sh("mkdisk -i /disk"))
    refused(session, "mkdisk /disk 1M", r"/disk is there already; -g makes it larger")
    refused(session, "mkdisk -g /disk 1M", r"/disk has 2048 KiB already, and is not made smaller")
    refused(session, "mkdisk -g /none 1M", r"/none: no such file")
    refused(session, "mkdisk /tmp 1M", r"/tmp")
    refused(session, "mkdisk -i /tmp", r"/tmp: is a directory")
    refused(session, "mkdisk /large 5G", r"/large: 5242880 KiB are too much")
    refused(session, "mkdisk -i /large", r"/large: no such file")
    check_match(r"of which only \d+ KiB can be written now", session.sh("mkdisk /large 4G"))
    for arguments in ("", "/x", "/x 0", "/x 4097", "/x -4K", "/x 4KK", "-g -i /x", "-i", "-z"):
        refused(session, f"mkdisk {arguments}", r"usage: mkdisk|multiple of 4 KiB", 2)
    session.sh("rm /disk /large")


@check("Disks", 0, "the guest that uses an image, as its own or as its base, is named by mkdisk", on=[SVM])
def in_use(bench: Bench) -> None:
    session, name = hos(bench), f"g{nonce()}"
    session.sh("mkdisk /disk 1M")
    session.sh(f"vmm -n {name} -d /disk -k /vmm/guests/cli-spin &")
    session.sh(f"vmm -n {name}b &")
    for _ in range(60):
        text = session.sh("mkdisk -i /disk /vmm/guest.img")
        if f"guest {name}b" in text and f"guest {name}\n" in text:
            break
        session.sh("sleep 1")
    check_match(rf"/disk: .*\n  in use by guest {name}\n  empty\n", text)
    check_match(rf"/vmm/guest.img: .*\n  in use by guest {name}b\n  JOS", text)
    refused(session, "mkdisk -g /disk 2M", rf"/disk is in use by guest {name}\n")
    session.sh(f"vmm kill {name}; vmm kill {name}b; rm /vmm/{name}b.img")
    check_that(session.sh("mkdisk -g /disk 2M") == "", "no output")
    session.sh("rm /disk")


@check("Disks", 0, "a script hands its arguments on with $@, each as a word, none if there are none")
def arguments(bench: Bench) -> None:
    session = qemu(bench)
    session.sh("echo 'echo $#: $1,$2,$3,$4' >/inner")
    for form in ("$@", '"$@"'):
        session.sh(f"echo 'sh /inner before {form} after' >/script")
        check_match(r"^4: before,one two,three,after\n", session.sh('sh /script "one two" three'))
        check_match(r"^2: before,after,,\n", session.sh("sh /script"))
    session.sh("rm /script /inner")


@check("Disks", 0, "without make linux, the command linux says what to do")
def no_linux(bench: Bench) -> None:
    session = qemu(bench)
    refused(session, "linux", r"^linux: .*make linux.*\n")
