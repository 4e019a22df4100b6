"""Debian's own Linux as a guest: for check-long, after `make linux`."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

from jos.errors import MachineError
from jos.grade import Bench, check_match, check_that
from jos.guestport import GuestPort
from jos.session import GOS, Session
from linux import kernel

from .common import hos, nonce
from .fs import CLEAN, REPAIRED, fsck
from .guestgdb import WAITS, Gdb
from .many import detach

SHELL = "~ # "
START = 300  # seconds of emulation for a start
WRITE_MIB = 64
BUSY_TICKS = 10**10
FAULTS = r"(?i)\b(?:warning|(?<!report a )bug|oops|call trace|ext4-fs error|i/o error|unchecked msr)\b"


def linux_disk(bench: Bench) -> Path:
    """A copy of hOS's disk with Linux. Raises MachineError."""
    made = bench.obj / "linux/fs.img"
    if not made.exists():
        raise MachineError("there is no Linux: make linux fetches it")
    image = bench.folder / f"linux-{nonce()}.img"
    shutil.copyfile(made, image)
    return image


def with_linux(bench: Bench, image: Path, cpus: int = 1, **settings: int) -> Session:
    """A machine of this image's own."""
    return hos(bench, image.stem, fs=image, fs_in_place=True, mem=1024, cpus=cpus, **settings)


def start(session: Session, options: str = "") -> None:
    session.sh(f"linux {options}", START, SHELL)


def sane(session: Session) -> None:
    """Linux has nothing to complain of."""
    log = session.sh("dmesg", prompt=SHELL)
    faults = [line for line in log.splitlines() if re.search(FAULTS, line)]
    check_that(not faults, "a log without warnings", "\n".join(faults))


def off(session: Session) -> None:
    session.sh("poweroff", 120)
    check_that(session.status() == 0, "status 0 after poweroff")


def boots(bench: Bench, times: int) -> str:
    """Start and power off so many times; no page is lost."""
    image, free = linux_disk(bench), []
    session = with_linux(bench, image)
    for _ in range(times):
        start(session)
        sane(session)
        off(session)
        free.append(session.free_pages())
    session.drop()
    image.unlink()
    check_that(len(set(free[1:])) <= 1, "as many free pages after each start as after the second", free)
    return f"{bench.platform.name}: {times} starts of Linux, free pages: {free[0]}, then {free[-1]}"


def checksum(session: Session, path: str) -> str:
    return check_match(r"(?m)^([0-9a-f]{64}) ", session.sh(f"sha256sum {path}", 240, SHELL))[1]


def keeps_files(bench: Bench) -> str:
    """What was written is there after a restart."""
    image = linux_disk(bench)
    session = with_linux(bench, image)
    start(session)
    session.sh(f"dd if=/dev/urandom of=/big bs=1M count={WRITE_MIB}; sync", 600, SHELL)
    before = checksum(session, "/big")
    session.sh("reboot", START, SHELL)
    after = checksum(session, "/big")
    sane(session)
    off(session)
    check_match(r"ext4.* clean", session.sh("mkdisk -i /vmm/linux.img"))
    session.drop()
    image.unlink()
    check_that(before == after, "the same checksum", after)
    return f"{bench.platform.name}: {WRITE_MIB} MiB written and read after a restart: the same"


def survives_kill(bench: Bench) -> str:
    """Linux killed while it writes: both file systems are clean, or get repaired."""
    image = linux_disk(bench)
    session = with_linux(bench, image)
    start(session)
    session.ready().sendline("while :; do dd if=/dev/urandom of=/w bs=64k count=200 2>/dev/null; sync; echo round; done")
    for _ in range(3):
        session.ready().expect("\nround", START)
    detach(session, "linux")
    session.sh("vmm kill linux; sync")
    start(session)
    sane(session)
    session.sh("rm -f /w; sync", 120, SHELL)
    off(session)
    check_match(r"ext4.* clean", session.sh("mkdisk -i /vmm/linux.img"))
    session.ready().sendline("halt")
    session.ready().wait_off(60)
    session.drop()
    status, text = fsck(bench, image, "-y")
    image.unlink()
    check_that(status in (CLEAN, REPAIRED), "fsck of hOS's disk to accept or repair", text)
    return f"{bench.platform.name}: Linux killed while it wrote: ext4 clean after the next start, hOS's fsck: status {status}"


def ticks(session: Session) -> int:
    """What hOS's clock says, in ticks."""
    hours, minutes, seconds = map(int, check_match(r"(\d\d):(\d\d):(\d\d) UTC", session.sh("date")).groups())
    megahertz = int(check_match(r"hOS: .*, (\d+) MHz", session.boot_text)[1])
    return ((hours * 60 + minutes) * 60 + seconds) * megahertz * 1_000_000


def works_beside(bench: Bench) -> str:
    """A busy Linux with two gOS guests beside it."""
    image = linux_disk(bench)
    session = with_linux(bench, image)
    for name in ("a", "b"):
        session.sh(f"vmm -n {name}", 60, GOS)
        detach(session, name)
    start(session)
    session.sh("while :; do sha256sum /bin/busybox >/dev/null; done &", prompt=SHELL)
    detach(session, "linux")
    rounds: List[int] = []
    begun = ticks(session)
    while 0 <= ticks(session) - begun < BUSY_TICKS:  # less than nothing: it is midnight
        for name in ("a", "b"):
            session.sh(f"vmm attach {name}", 60, GOS)
            check_match(r"README", session.sh("ls", 120, GOS))
            detach(session, name)
        rounds.append(1)
    session.sh("vmm attach linux", 60, SHELL)
    session.sh("kill %1", 60, SHELL)
    sane(session)
    off(session)
    session.sh("vmm stop -a", 60)
    session.drop()
    image.unlink()
    return f"{bench.platform.name}: Linux busy for {BUSY_TICKS:,} ticks, two gOS guests beside it answered {len(rounds)} times"


def typed_ahead(bench: Bench) -> str:
    """What is typed while Linux starts is there when its shell reads."""
    image, word = linux_disk(bench), nonce() * 4  # longer than a FIFO
    session = with_linux(bench, image)
    machine = session.ready()
    machine.sendline("linux")
    machine.expect("detaches", START)
    machine.sendline(f"echo {word} | tr a-z A-Z")
    machine.expect(f"\n{word.upper()}\n", START)
    session.until(SHELL, 60)
    off(session)
    session.drop()
    image.unlink()
    return f"{bench.platform.name}: what was typed while Linux started was there"


# ---- gdb

NAMES = ("start_kernel", "do_sys_openat2", "do_syscall_64", "__x64_sys_openat", "linux_banner", "jiffies_64")


def sections(elf: Path) -> Dict[str, range]:
    """Addresses of the sections that have some."""
    text = subprocess.run(["objdump", "-h", elf], capture_output=True, check=True, text=True).stdout
    found = re.findall(r"(?m)^ *\d+ (\S+) +([0-9a-f]{8}) +([0-9a-f]{16}) ", text)
    spans = {name: range(int(start, 16), int(start, 16) + int(size, 16)) for name, size, start in found}
    return {name: span for name, span in spans.items() if span.start >> 31 == (1 << 33) - 1}  # not the CPU's own


def with_symbols(bench: Bench, kallsyms: str) -> Path:
    """The kernel's ELF file with those symbols that /proc/kallsyms has shown. gdb finds nothing else in it."""
    elf = bench.folder / "vmlinux-symbols"
    elf.write_bytes(kernel.unpacked((bench.obj / "linux/vmlinuz").read_bytes()))
    spans, command = sections(elf), ["objcopy"]
    for address, kind, name in re.findall(r"(?m)^([0-9a-f]{16}) (\w) (\w+)$", kallsyms):
        at = int(address, 16)
        section = check_that_one([name for name, span in spans.items() if at in span], name)
        what = "function" if kind in "tT" else "object"
        command += ["--add-symbol", f"{name}={section}:{at - spans[section].start:#x},{what},global"]
    subprocess.run([*command, elf], check=True)
    return elf


def check_that_one(found: List[str], name: str) -> str:
    check_that(len(found) == 1, f"one section with {name}", found)
    return found[0]


def debugged(bench: Bench) -> str:
    """gdb knows Linux by its own symbols: functions, the way to them, variables; also after a restart."""
    image, fixed = linux_disk(bench), '-a "console=ttyS0,115200 quiet cryptomgr.notests nokaslr"'
    with GuestPort() as port:
        session = with_linux(bench, image, serial3=port.machine_port)
        start(session, fixed)
        elf = with_symbols(bench, session.sh(f"grep -wE '{'|'.join(NAMES)}' /proc/kallsyms", 120, SHELL))
        off(session)
        machine = session.ready()
        machine.sendline(f"linux -g {fixed}")
        machine.expect(WAITS, START)
        with Gdb(port, elf) as gdb:
            starts_by_name(gdb)
            gdb.do("break do_sys_openat2")
            check_match(r"Breakpoint \d+, .* in do_sys_openat2 \(\)", gdb.do("continue"))
            check_match(r"#0 .* in do_sys_openat2 \(\)\n#1 .* in __x64_sys_openat \(\)", gdb.do("bt"))
            check_match(r'"/', gdb.do("x/s $rsi"))
            first = int(gdb.do("print (unsigned long)jiffies_64").split()[-1])
            gdb.do("delete")
            gdb.start("continue")
            session.until(SHELL, START)
            check_match("SIGINT", gdb.interrupt())
            check_that(int(gdb.do("print (unsigned long)jiffies_64").split()[-1]) > first, "jiffies that go on", first)
            gdb.do("break do_sys_openat2")
            gdb.do("disable")
            gdb.start("continue")
            machine.sendline("reboot -f")
            check_match("SIGTRAP", gdb.answer())
            machine.expect(WAITS, START)
            starts_by_name(gdb)
            gdb.do("detach")
        session.until(SHELL, START)
        sane(session)
        off(session)
        session.drop()
    image.unlink()
    elf.unlink()
    return f"{bench.platform.name}: gdb on Linux by its own symbols, before and after a restart"


def starts_by_name(gdb: Gdb) -> None:
    """From the entry to start_kernel."""
    gdb.do("break start_kernel")
    check_match(r"Breakpoint \d+, .* in start_kernel \(\)", gdb.do("continue"))
    check_match(r"Linux version \d", gdb.do("x/s &linux_banner"))
    gdb.do("delete")
