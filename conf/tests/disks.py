"""Guests' disks: the file server's requests, virtio-blk, drivers that attack it, and guests that are killed while they write."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, BOTH, PARALLEL
from jos.session import HOS, Session

from .common import hos, passes
from .fs import CLEAN, copy_of_disk, fsck
from .guests import GUESTS

DETACH_KEY = "\x1d"  # Ctrl-]
SECTORS = 8192
KILLS = 3


def images(session: Session, *paths: str, sectors: int = SECTORS) -> None:
    session.sh(f"test-disks make {sectors} {' '.join(paths)}")
    check_that(session.status() == 0, f"images {paths}")


def disk_guest(session: Session, disks: str, words: str = "", name: str = "blk", limit: float = 120) -> str:
    """A guest with a driver of its own checks its disks, says ok, and powers off with 0."""
    text = session.sh(f'vmm -V {disks} -k {GUESTS}/{name} -a "{words}"', limit)
    check_that(f"{name}: ok" in text and "FAILED" not in text, f"`{name}: ok`", text)
    check_that(session.status() == 0, f"exit status 0 from {name} {words}", text)
    return text


@check("Disks", 0, "a monitor's requests: data by sectors, limits, readers, owners, with and without waiting", on=PARALLEL)
def requests(bench: Bench) -> None:
    passes(hos(bench), "test-disks")


@check("Disks", 0, "virtio-blk: data of all shapes, zeroes, discards, many in flight; two disks; it stays; read-only", on=ALL)
def virtio_blk(bench: Bench) -> None:
    session = hos(bench)
    images(session, "/one.img", "/a-file-whose-name-is-long.img")
    text = disk_guest(session, "-d /one.img -d /a-file-whose-name-is-long.img", "two")
    check_match(rf"disk 0: {SECTORS} sectors, serial one\.img\n", text)
    check_match(rf"disk 1: {SECTORS} sectors, serial a-file-whose-name-is\n", text)
    disk_guest(session, "-d /one.img", "check")
    text = disk_guest(session, "-d /a-file-whose-name-is-long.img -d /one.img,ro,serial=No.1", "two")
    check_match(rf"disk 1: {SECTORS} sectors, serial No\.1, read-only\n", text)
    disk_guest(session, "-d /one.img", "check")
    session.sh("rm /one.img /a-file-whose-name-is-long.img")


@check("Disks", 0, "virtio-blk survives wild addresses, chains without sense, long reads, and resets in flight", on=PARALLEL)
def hostile(bench: Bench) -> None:
    session = hos(bench)
    images(session, "/victim.img")
    text = disk_guest(session, "-d /victim.img", name="blk-hostile", limit=240)
    check_that(len(re.findall("has broken a disk", text)) == 1, "one sentence for the user", text)
    disk_guest(session, "-d /victim.img")
    session.sh("rm /victim.img")


@check("Disks", 0, "where the host has no room for a disk's blocks, the guest gets I/O errors, and its data stays", on=BOTH)
def full(bench: Bench) -> None:
    session = hos(bench)
    images(session, "/small.img")
    text = disk_guest(session, "-D 1M -d /small.img", "full")
    check_match(r"the disk has 4096 KiB; what is written to it may take 1024 KiB", text)
    session.sh("rm /small.img")


@check("Disks", 0, "guests killed while they write leave no env, page or block behind, and a clean file system", on=BOTH)
def killed(bench: Bench) -> None:
    image = copy_of_disk(bench, f"killed-guests-{bench.platform.key}.img")
    session = hos(bench, "killed-guests", fs=image, fs_in_place=True)
    machine = session.ready()
    images(session, "/storm.img", sectors=4096)
    after = []
    for _ in range(KILLS):
        machine.sendline(f"vmm -V -d /storm.img -k {GUESTS}/blk -a storm")
        machine.expect(re.compile(r"trying [^\n]*\n"), 60)
        machine.console.receive(0.3)
        machine.send(DETACH_KEY)
        session.until(HOS, 60)
        session.sh("vmm kill gos")
        check_that("vmm" not in session.sh("ps"), "no env of the monitor's", session.sh("ps"))
        after.append((session.free_pages(), session.sh("free -d")))
    check_that(after[-1] == after[-2], "the same free pages and blocks after each of the last two", after)
    disk_guest(session, "-d /storm.img")
    session.sh("rm /storm.img")
    machine.sendline("halt")
    machine.wait_off()
    session.drop()
    status, text = fsck(bench, image)
    check_that(status == CLEAN, "a clean image", text)
    image.unlink()


@check("Disks", 0, "disks that cannot be are refused in words", on=PARALLEL)
def refused(bench: Bench) -> None:
    session = hos(bench)
    images(session, "/good.img")
    session.sh("echo odd > /odd.img")
    for options, words in (
        ("-V -d /odd.img", "disk image /odd.img: a disk has whole sectors of 512 bytes"),
        ("-d /odd.img", "disk image /odd.img: a guest's first disk has at least 4096 bytes"),
        ("-d /good.img,rw", "-d /good.img,rw: what may follow the image is"),
        ("-d /good.img,serial=", "-d /good.img,serial=: what may follow the image is"),
        ("-d /good.img,serial=123456789012345678901", "with at most 20 letters"),
        ("-d /good.img -d /good.img", "/good.img is one of this guest's disks already"),
        ("-d /good.img -d /missing.img", "disk image /missing.img: "),
        ("-d /good.img -d /bin", "disk image /bin: "),
        (9 * "-d /good.img ", "-d: more than 8 disks"),
    ):
        text = session.sh(f"vmm {options} -k {GUESTS}/blk")
        check_match(re.escape(words), text)
        check_that(session.status() in (1, 2), f"exit status 1 or 2 of `{options}`", text)
    session.sh("rm /good.img /odd.img")
