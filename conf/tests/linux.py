"""Guests that are started by the Linux boot protocol."""

import gzip
import struct
import subprocess
from pathlib import Path

from jos.grade import Bench, check, check_match, check_that
from jos.machine import CONF
from jos.platforms import ALL
from jos.qemu import Tcg
from linux import disk
from linux.root import Root

from .common import disk_with, hos, host, nonce

# What each of them checks is in its source; it prints its command line and its initrd.
KERNELS = ("bzimage", "vmlinux", "pvh")
BZIMAGE = "/vmm/guests/bzimage"
PAYLOAD, PROTECTED_MODE = 0x248, 0x400  # a field of its header; where its setup part ends
LONG = 300  # bytes: more than the command line that this kernel takes


def starts(bench: Bench, kernel: str) -> None:
    session, word, line = hos(bench), nonce(), nonce()
    session.sh(f"echo {word} >/tmp/initrd")
    text = session.sh(f'vmm -m 64M -k /vmm/guests/{kernel} -i /tmp/initrd -a "{line} more"')
    check_match(rf"(?m)^(?:tsc_early_khz=\d+ tsc=reliable )?{line} more{word}$", text)
    check_match(rf"(?m)^{kernel}: ok$", text)
    check_that(session.status() == 0, "exit status 0", text)


@check("Linux", 0, "a bzImage starts in 64-bit mode with boot parameters, command line, memory map, ACPI and initrd", on=ALL)
def protocol(bench: Bench) -> None:
    starts(bench, "bzimage")


@check("Linux", 0, "an ELF file with a note of Linux' starts at its entry point, with boot parameters as for a bzImage", on=ALL)
def vmlinux(bench: Bench) -> None:
    starts(bench, "vmlinux")


@check("Linux", 0, "an ELF file with a PVH note starts there: 32-bit mode, command line, memory map, ACPI and initrd", on=ALL)
def pvh(bench: Bench) -> None:
    starts(bench, "pvh")


@check("Linux", 0, "several -i are one initrd, and the oldest boot protocol with a 64-bit entry point does", on=ALL)
def edges(bench: Bench) -> None:
    session, one, two = hos(bench), nonce(), nonce()
    session.sh(f"echo {one} >/tmp/one; echo {two} >/tmp/two")
    for kernel in ("/vmm/bad/bz-oldest", *(f"/vmm/guests/{kernel}" for kernel in KERNELS)):
        text = session.sh(f"vmm -m 64M -k {kernel} -i /tmp/one -i /tmp/two")
        check_match(rf"{one}\0*\n\0*{two}", text)
        check_that(session.status() == 0, "exit status 0", text)


@check("Linux", 0, "too little memory, a long command line, a large initrd: refused with the size that is possible", on=ALL)
def refusals(bench: Bench) -> None:
    session = hos(bench)
    refused = [
        (BZIMAGE, f"-m 64M -a {'x' * LONG}", rf"command line has {LONG} bytes, this kernel takes 255"),
        ("/vmm/bad/bz-nocmdline", "-m 64M -a x", r"command line has 1 bytes, this kernel takes 0"),
        ("/vmm/bad/bz-noinitrd", "-m 64M -i /README", r"no room for an initrd of 4 KiB: it must end below 0x1100000"),
        (BZIMAGE, "-m 64M -i /no/initrd", r"/no/initrd: no such file"),
    ]
    for kernel in KERNELS:
        path = f"/vmm/guests/{kernel}"
        refused += [
            (path, "-m 16M", r"needs 48 MiB of memory, guest has 16 MiB"),
            (path, "-m 32M", r"need 48 MiB of memory, guest has 32 MiB"),
            (path, "-m 48M -i /vmm/guest.img", r"need \d+ MiB of memory, guest has 48 MiB"),
        ]
    for kernel, arguments, words in refused:
        text = session.sh(f"vmm -k {kernel} {arguments}")
        check_match(rf"vmm: .*{words}", text)
        check_that(session.status() == 1, "exit status 1", text)


# ---- make linux, without the network


def packed(bench: Bench, how: str) -> bytes:
    """The test's bzImage, with the test's vmlinux in it."""
    kernel, image = bench.obj / "guests/vmlinux", bytearray((bench.obj / "guests/bzimage").read_bytes())
    data = kernel.read_bytes()
    if how == "gzip":
        payload = gzip.compress(data)
    else:
        payload = subprocess.run(["lz4", "-lc"], input=data, capture_output=True, check=True).stdout
        payload += struct.pack("<I", len(data))
    struct.pack_into("<II", image, PAYLOAD, len(image) - PROTECTED_MODE, len(payload))
    return bytes(image) + payload


@check("Linux", 0, "make linux of one's own kernel, initrd and disk: `linux` in hOS starts it, and the vmlinux that is in it")
def own_kernel(bench: Bench) -> None:
    out, word = bench.folder / "linux", nonce()
    for name in ("own-kernel", "own-initrd", "own-disk"):
        (bench.folder / name).write_bytes(packed(bench, "gzip") if name == "own-kernel" else f"{name} {word}\n".encode())
    done = host(["conf/linux-guest", "--out", out, "--linux", bench.folder / "own-kernel",
                 "--initrd", bench.folder / "own-initrd", "--disk", bench.folder / "own-disk"])
    check_that(done.returncode == 0 and done.stdout == "", "conf/linux-guest to succeed", done.stdout)
    files = {f"/vmm/{name}": out / name for name in ("vmlinuz", "vmlinux", "initrd", "linux.img")}
    image = disk_with(bench, "linux-fs.img", {"/bin/linux": CONF / "linux/bin/start", **files}, "1G")
    check_that(image.stat().st_blocks * 512 < 64 << 20, "an image of 1 GiB that takes less than 64 MiB")
    session = bench.session("linux-own", Tcg, fs=image)
    for command, kernel in (("linux", "bzimage"), ("linux -k /vmm/vmlinux", "vmlinux")):
        text = session.sh(command)
        check_match(rf"console=ttyS0,115200 .*root=/dev/vda rw.*own-initrd {word}", text)
        check_match(rf"(?m)^{kernel}: ok$", text)
    check_match(rf"(?m)^(?:tsc_early_khz=\d+ tsc=reliable )?two words{'own-initrd'} ", session.sh('linux -a "two words"'))
    check_match(r"guest has 32 MiB", session.sh("linux -m 32M"))
    check_match(r"/vmm/linux.img: 4 KiB, ", session.sh("mkdisk -i /vmm/linux.img"))
    session.drop()
    image.unlink()


@check("Linux", 0, "make linux unpacks LZ4 as Linux has it; what cannot be unpacked is said, and the bzImage taken alone")
def payloads(bench: Bench) -> None:
    out, kernel = bench.folder / "payloads", bench.folder / "payload"
    good, damaged = packed(bench, "lz4"), bytearray(packed(bench, "gzip"))
    damaged[-20:] = bytes(20)
    unknown = bytearray(good)
    (offset,) = struct.unpack_from("<I", unknown, PAYLOAD)
    unknown[PROTECTED_MODE + offset] ^= 0xFF
    old, outside = bytearray(good), bytearray(good)
    struct.pack_into("<H", old, 0x206, 0x207)
    struct.pack_into("<I", outside, PAYLOAD + 4, 0xFFFFFFFF)
    for data, words in (
        (good, ""),
        (damaged, "cannot be unpacked"),
        (unknown, "packed in an unknown way"),
        (old, "older than 2.08"),
        (outside, "not inside the file"),
        (bytearray(b"text"), "no bzImage"),
    ):
        kernel.write_bytes(data)
        done = host(["conf/linux-guest", "--out", out, "--linux", kernel, "--initrd", kernel, "--disk", kernel])
        check_that(done.returncode == 0 and words in done.stdout and (words or not done.stdout), repr(words), done.stdout)
        check_that((out / "vmlinux").exists() == (not words), "vmlinux only from a good one", words)
        check_that((out / "vmlinuz").read_bytes() == data, "the kernel as it is")


@check("Linux", 0, "the disk for Linux is ext4, clean, root's, and the same bytes each time; its scripts are sound")
def linux_disk(bench: Bench) -> None:
    root = Root(b"#!/bin/sh\necho bin/sh sbin/init\n", {"virtio.ko": b"module"})
    images = [bench.folder / "disk-1.img", bench.folder / "disk-2.img"]
    for image in images:
        disk.make(root, image)
    check_that(images[0].read_bytes() == images[1].read_bytes(), "two identical disks")
    check_that(images[0].stat().st_blocks * 512 < 8 << 20, "a sparse file")
    for path, words in (
        ("/bin/busybox", r"Mode: +0755[\s\S]*User: +0 +Group: +0 "),
        ("/etc/inittab", r"Type: regular"),
        ("/lib/modules/virtio.ko", r"Size: 6\n"),
        ("/sbin/init", r"Fast link dest: \"/bin/busybox\""),
    ):
        check_match(words, disk.run(["debugfs", "-R", f"stat {path}", str(images[0])]))
    for script in (CONF / "linux/init", CONF / "linux/root/etc/rc", CONF / "linux/root/etc/profile"):
        done = host(["sh", "-n", script])
        check_that(done.returncode == 0, f"no error in {Path(script).name}", done.stdout)
