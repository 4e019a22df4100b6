"""Disks that break: power cuts, read and write errors, damaged, short and missing disks."""

import random
import re
import struct
from pathlib import Path
from typing import List, Tuple

from jos.errors import TimeUp
from jos.grade import Bench, Mismatch, check, check_match, check_that
from jos.machine import Machine
from jos.platforms import SVM
from jos.qemu import Tcg
from jos.qmp import Qmp
from jos.qmp import arguments as qmp_arguments
from jos.session import HOS, prompt_regex

from .common import host, make, nonce, own_machine
from .fs import CLEAN, REPAIRED, copy_of_disk, fsck
from .guests import DETACH_KEY

BLOCK, SECTOR = 4096, 512
INODE, DIRENT, NDIRECT = 128, 128, 24
FREE, DIRECTORY = 0, 2
CUTS = (25, 70, 200, 450)  # after so many writes the power fails
SEED = 2001  # of the quick form
FLIPPED, FLIPPED_GUEST = 8, 2  # damaged images in the quick form
EIO = 5
SERVER_ENDED = "file server has ended"
NO_SHELL = "here is another"  # what init says when a damaged shell has ended


# ---- A disk that fails: QEMU's blkdebug between image and drive


def after_writes(count: int) -> str:
    """Rules: every write after this many fails."""
    rules = []
    for number in range(1, count + 1):
        rules.append(
            f'[set-state]\nevent = "write_aio"\nstate = "{number}"\nnew_state = "{number + 1}"\n'
        )
    rules.append(
        f'[inject-error]\nevent = "write_aio"\nstate = "{count + 1}"\niotype = "write"\nerrno = "{EIO}"\n'
    )
    return "\n".join(rules)


def failing_sector(sector: int) -> str:
    """Rules: this sector cannot be read."""
    return (
        f'[inject-error]\nevent = "read_aio"\niotype = "read"\nsector = "{sector}"\nerrno = "{EIO}"\n'
    )


def failing_disk(bench: Bench, image: Path, rules: str, on_error: str) -> List[str]:
    """QEMU arguments for the second disk; on_error: report or stop."""
    config = bench.folder / f"{image.stem}.blkdebug"
    config.write_text(rules)
    return [
        *("-blockdev", f"driver=file,node-name=image,filename={image.resolve()}"),
        *("-blockdev", f"driver=blkdebug,node-name=debug,image=image,config={config.resolve()}"),
        *("-blockdev", "driver=raw,node-name=disk,file=debug"),
        *("-device", f"ide-hd,drive=disk,bus=ide.0,unit=1,rerror={on_error},werror={on_error}"),
    ]


# ---- The power fails at the n-th write


def run_until_cut(machine: Machine, qmp: Path) -> bool:
    """Wait until the disk has stopped the machine, and kill it. False: the work was done before."""
    done = re.compile(r"\ntest-fs: (?:ok|FAILED)")
    with Qmp(qmp) as control:
        while not done.search(machine.console.text):
            status = control.execute("query-status")
            if isinstance(status, dict) and status["status"] == "io-error":
                machine.kill()
                return True
            machine.console.receive(0.2)
            check_that(not machine.console.ended, "a machine that runs", machine.console.text)
    return False


def power_cut(bench: Bench, count: int, word: str) -> Tuple[bool, bool]:
    """Cut the power after this many writes. Returns whether it was cut, and whether fsck repaired."""
    image, qmp = copy_of_disk(bench, "cut.img"), bench.folder / "cut.qmp"
    with bench.machine("fs-write", Tcg, fs=image, fs_in_place=True) as machine:
        machine.expect(HOS, 60)
        machine.sendline(f"mkdir /kept; echo {word} > /kept/word; halt")
        machine.wait_off()
    disk = failing_disk(bench, image, after_writes(count), "stop")
    with bench.machine("cut", Tcg, fs=None, extra=disk + qmp_arguments(qmp)) as machine:
        machine.expect(HOS, 60)
        machine.sendline("test-fs")
        cut = run_until_cut(machine, qmp)
    status, text = fsck(bench, image, "-y")
    check_that(status in (CLEAN, REPAIRED), f"fsck -y to accept or repair (cut at {count})", text)
    again, text = fsck(bench, image)
    check_that(again == CLEAN, f"a clean image after the repair (cut at {count})", text)
    out = bench.folder / "kept"
    done = host([bench.obj / "fs/fsck", "-x", image, "/kept/word", out])
    check_that(done.returncode == 0 and word in out.read_text(), "the synced file", done.stdout)
    image.unlink()
    return cut, status == REPAIRED


def power_cuts(bench: Bench, counts: Tuple[int, ...]) -> str:
    seen = [power_cut(bench, count, nonce()) for count in counts]
    check_that(all(cut for cut, _ in seen), "a power cut in each run", seen)
    return f"cuts: {len(seen)}, images repaired: {sum(repaired for _, repaired in seen)}"


@check("Broken disks", 0, "the power fails at the n-th write: fsck repairs, what was synced is there")
def cuts_quick(bench: Bench) -> str:
    return power_cuts(bench, CUTS)


def whole_core(bench: Bench, seed: int) -> str:
    """The host's test of the file system's core in its full form; what it counted."""
    done = make(bench.obj, "check-fs", "FS_TEST_FLAGS=-f", f"FS_TEST_SEED={seed}", limit=1800)
    check_that(done.returncode == 0, f"make check-fs to pass (seed={seed})", done.stdout)
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("hosttest:"))


# ---- Errors in words


@check("Broken disks", 0, "a disk that fails to write is an error in words, and the shell goes on")
def write_errors(bench: Bench) -> None:
    image = copy_of_disk(bench, "no-write.img")
    disk = failing_disk(bench, image, after_writes(0), "report")
    with bench.machine("no-write", Tcg, fs=None, extra=disk) as machine:
        machine.expect(HOS, 60)
        machine.sendline("echo word > /new; sync; echo status $?")
        text = machine.expect(re.compile(r"cannot write blocks? \d+[^\n]*: [a-z][^\n]*\n"), 20)[0]
        machine.expect(re.compile(r"sync: [^\n]+\nstatus [1-9]"), 20)
        machine.sendline("cat /etc/motd; echo still here")
        machine.expect("\nstill here\n", 20)
        check_that(SERVER_ENDED not in machine.console.text, "a server that goes on", text)
    image.unlink()


@check("Broken disks", 0, "a file whose block cannot be read is an error in words; the others can be read")
def read_errors(bench: Bench) -> None:
    image = copy_of_disk(bench, "no-read.img")
    words = (Path(__file__).parents[2] / "fs/root/common/text/pages.txt").read_bytes()
    place = image.read_bytes().find(words[:BLOCK])
    check_that(place > 0 and place % BLOCK == 0, "to find the file in the image", place)
    disk = failing_disk(bench, image, failing_sector(place // SECTOR), "report")
    with bench.machine("no-read", Tcg, fs=None, extra=disk) as machine:
        machine.expect(HOS, 60)
        machine.sendline("cat /text/pages.txt; echo status $?; cat /text/exits.txt; echo end")
        machine.expect(re.compile(r"cannot read blocks? \d+[^\n]*: [a-z][^\n]*\n"), 20)
        machine.expect(re.compile(r"cat: /text/pages.txt: [^\n]+\nstatus [1-9]"), 20)
        machine.expect("\nend\n", 20)
    image.unlink()


@check("Broken disks", 0, "a disk that is missing, short, empty or of noise: hOS says so, and ends")
def no_disk(bench: Bench) -> None:
    short, empty, noise = (bench.folder / name for name in ("short.img", "empty.img", "noise.img"))
    short.write_bytes((bench.obj / "fs.img").read_bytes()[: 8 << 20])
    empty.write_bytes(bytes(1 << 20))
    noise.write_bytes(random.Random(SEED).randbytes(1 << 20))
    cases = (
        (None, r"no disk: the first IDE channel has no second drive"),
        (short, r"larger than the disk"),
        (empty, r"no file system here"),
        (noise, r"no file system here"),
    )
    for image, words in cases:
        with bench.machine("no-disk", Tcg, fs=image) as machine:
            machine.expect(re.compile(words), 60)
            machine.expect("Is there a disk with a file system?", 60)
            check_that(machine.wait_off() == 1, f"status 1 after {words}")
        if image:
            image.unlink()


# ---- Flipped bits


def metadata(disk: bytes) -> List[Tuple[int, int]]:
    """Places (start, size) of what a file system is made of: superblock, bitmap, the inodes in use,
    directories and tables of block pointers."""
    fields = struct.unpack_from("<11I", disk)
    bitmap, inodes, ninodes = fields[3], fields[5], fields[8]
    places = [(0, 44), (bitmap * BLOCK, 2 * BLOCK)]
    for number in range(1, ninodes):
        start = inodes * BLOCK + number * INODE
        kind, _, size = struct.unpack_from("<IIQ", disk, start)
        pointers = struct.unpack_from(f"<{NDIRECT + 2}I", disk, start + 24)
        if kind == FREE:
            continue
        places.append((start, INODE))
        if kind == DIRECTORY:
            entries = size // DIRENT
            for block in pointers[:NDIRECT]:
                if block and entries > 0:
                    places.append((block * BLOCK, min(entries * DIRENT, BLOCK)))
                    entries -= BLOCK // DIRENT
        places += [(block * BLOCK, BLOCK) for block in pointers[NDIRECT:] if block]
    return places


def flip(image: Path, seed: int) -> str:
    """Flip one to four bits of an image's metadata; says which."""
    dice, flipped = random.Random(seed), []
    disk = bytearray(image.read_bytes())
    places = metadata(disk)
    for _ in range(dice.randint(1, 4)):
        start, size = dice.choice(places)
        place, bit = start + dice.randrange(size), dice.randrange(8)
        disk[place] ^= 1 << bit
        flipped.append(f"byte {place} bit {bit}")
    with open(image, "r+b") as file:
        for word in flipped:
            place = int(word.split()[1])
            file.seek(place)
            file.write(disk[place : place + 1])
    return f"seed={seed}: " + ", ".join(flipped)


def counted(text: str) -> Tuple[int, int]:
    """Calls and errors that test-wreck has counted; nothing if it could not be started."""
    found = re.search(r"calls made: (\d+), errors: (\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def repaired(bench: Bench, image: Path, flips: str) -> None:
    """fsck ends, and after its repair finds nothing more; or the superblock is beyond repair."""
    status, text = fsck(bench, image, "-y")
    check_that(status in (CLEAN, REPAIRED) or "superblock" in text, f"a repair ({flips})", text)
    if status in (CLEAN, REPAIRED):
        status, text = fsck(bench, image)
        check_that(status == CLEAN, f"a clean image after the repair ({flips})", text)


def use_damaged(bench: Bench, seed: int) -> Tuple[int, int]:
    """Boot hOS from a damaged disk and use all of it. Nothing but a prompt or an end may come."""
    image = copy_of_disk(bench, "flipped.img")
    flips = flip(image, seed)
    with bench.machine("flipped", Tcg, fs=image, fs_in_place=True) as machine:
        ends = re.compile(rf"(?:\A|\n)hOS\$ \Z|Powered off|kernel panic[^\n]*|{NO_SHELL}")
        found = machine.expect(ends, 60)
        if "hOS$" in found[0]:
            machine.sendline("test-wreck; echo used $?; halt")
            machine.expect(ends, 240)  # a damaged halt comes back to the prompt
        text = machine.console.text
    check_that("kernel panic" not in text and SERVER_ENDED not in text, f"no crash ({flips})", text)
    check_that("FAILED" not in text, f"errors, and nothing worse ({flips})", text)
    repaired(bench, image, flips)
    image.unlink()
    return counted(text)


def flips_in_hos(bench: Bench, images: int, seed: int) -> str:
    seen = [use_damaged(bench, seed + number) for number in range(images)]
    calls, errors = (sum(column) for column in zip(*seen))
    return f"seed: {seed}\nimages with flipped bits: {images}, calls made: {calls}, errors: {errors}"


@check("Broken disks", 0, "hOS's server on disks with flipped bits gives errors, and never ends or hangs")
def flips_quick(bench: Bench) -> str:
    return flips_in_hos(bench, FLIPPED, SEED)


def damage_unclean(image: Path) -> None:
    """Mark a disk as not shut down cleanly, and let a file have a block that is no file's."""
    disk = image.read_bytes()
    fields = list(struct.unpack_from("<11I", disk))
    fields[9] = 0
    fields[10] = -sum(fields[:10]) & 0xFFFFFFFF
    last = next(
        place
        for number in range(fields[8] - 1, 0, -1)
        if struct.unpack_from("<I", disk, place := fields[5] * BLOCK + number * INODE)[0] != FREE
    )
    with open(image, "r+b") as file:
        file.write(struct.pack("<11I", *fields))
        file.seek(last + 24)
        file.write(struct.pack("<I", fields[2]))


@check("Broken disks", 0, "a disk that is unclean and damaged is read-only until fsck, and says so")
def read_only(bench: Bench) -> None:
    image = copy_of_disk(bench, "read-only.img")
    damage_unclean(image)
    before = image.read_bytes()
    with bench.machine("read-only", Tcg, fs=image, fs_in_place=True) as machine:
        machine.expect(re.compile("needs fsck: [^\n]*read-only"), 60)
        for line in ("echo word > /new", "mkdir /dir", "rm /etc/motd"):
            machine.expect(HOS, 60)
            machine.sendline(f"{line}; echo status $?")
            machine.expect(re.compile(r"[a-z]+: [^\n]*read-only[^\n]*\nstatus [1-9]"), 20)
        machine.sendline("cat /etc/motd; sync; echo status $?; halt")
        machine.expect("\nstatus 0\n", 20)
        machine.wait_off()
    check_that(image.read_bytes() == before, "an image in which nothing was written")
    repaired(bench, image, "unclean and damaged")
    image.unlink()


def disk_with_guests(bench: Bench, images: List[Path]) -> Path:
    """hOS's disk with these guest disks in addition, as /damagedN.img."""
    target = bench.folder / "guests-fs.img"
    words = (bench.obj / ".args-fs.img").read_text().split()
    files = words[4:] + [f"{image}:/damaged{n}.img" for n, image in enumerate(images)]
    done = host([bench.obj / "fs/mkfs", "-c", "-s", "256M", target, *files])
    check_that(done.returncode == 0, "mkfs to work", done.stdout)
    return target


def end_from_outside(machine: Machine) -> None:
    """Leave the guest that has the console, and end it."""
    machine.send(DETACH_KEY)
    machine.expect(prompt_regex(HOS), 60)
    machine.sendline("vmm kill gos")
    machine.expect(prompt_regex(HOS), 60)


def use_guest_disk(machine: Machine, number: int, flips: str) -> str:
    """Start gOS from a damaged disk and use all of it; what was printed until hOS's prompt is back. gOS's
    own halt may be damaged, too, so a guest that does not end is ended from outside."""
    start = len(machine.console.text)
    ends = re.compile(rf"\n(hOS|gOS)\$ \Z|kernel panic[^\n]*|{NO_SHELL}")
    try:
        machine.sendline(f"vmm -m 32M -d /damaged{number}.img")
        found = machine.expect(ends, 120)
        if found[1] == "gOS":
            machine.sendline("test-wreck; halt")
            found = machine.expect(ends, 240)
    except TimeUp as error:
        end_from_outside(machine)
        raise Mismatch(f"gOS hangs ({flips}): {error}") from None
    if found[1] == "gOS" or found[0] == NO_SHELL:
        end_from_outside(machine)
    return machine.console.text[start:]


def flips_in_gos(bench: Bench, count: int, seed: int) -> str:
    images = [bench.folder / f"damaged{number}.img" for number in range(count)]
    flips, seen = [], []
    for number, image in enumerate(images):
        image.write_bytes((bench.obj / "guest.img").read_bytes())
        flips.append(flip(image, seed + number))
    target = disk_with_guests(bench, images)
    with own_machine(bench, "flipped-guests", fs=target) as machine:
        machine.expect(HOS, 60)
        for number in range(count):
            text = use_guest_disk(machine, number, flips[number])
            bad = [word for word in (SERVER_ENDED, "FAILED", "panic") if word in text]
            check_that(not bad, f"errors, and nothing worse ({flips[number]})", text)
            seen.append(counted(text))
        machine.sendline("test-wreck; sync; halt")
        machine.wait_off(120)
        check_that("test-wreck: ok" in machine.console.text, "hOS's own disk to work")
    calls, errors = (sum(column) for column in zip(*seen))
    for image in [target, *images]:
        image.unlink()
    return f"seed: {seed}\nguest disks with flipped bits: {count}, calls made: {calls}, errors: {errors}"


@check("Broken disks", 0, "gOS on a guest disk with flipped bits gives errors, and hOS's server goes on", on=(SVM,))
def guest_flips_quick(bench: Bench) -> str:
    return flips_in_gos(bench, FLIPPED_GUEST, SEED)
