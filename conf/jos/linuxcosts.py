"""What Debian's Linux costs as a guest under Bochs: rows of `make bench` that are there after `make linux`."""

import re
from pathlib import Path
from typing import Dict, Tuple

from .bochs import Bochs
from .machine import Config, Machine
from .rows import Sample
from .session import HOS, Session
from .trace import read_trace

IPS = 100_000_000  # 100 MHz, as in the references
LOADED = "detaches)"  # the monitor's last word before it starts the guest
FIRST_WORDS = "is up"  # init's
SHELL = "~ # "
START = 600  # seconds of emulation
DETACH_KEY = "\x1d"  # Ctrl-]
IDLE_SECONDS = 60  # vmstat shows whole ticks: many wakes make up for that
DEFAULT = "quiet tsc=reliable"
TUNED = f"{DEFAULT} cryptomgr.notests pci=off nokaslr mitigations=off audit=0 apparmor=0 init_on_alloc=0 8250.nr_uarts=1"
SOURCES = {"linux-default", "linux-tuned", "linux-tuned-exits", "linux-vmlinux", "linux-idle-tick"}
STAT_LINE = re.compile(r"^ +(\d+) +\d+% +(\d+) +\d+  (.+)$", re.MULTILINE)


def disk(obj: Path) -> Path:
    return obj / "linux/fs.img"


def booted(obj: Path, logs: Path, name: str, kernel: str, words: str) -> Session:
    """hOS, with Linux at its shell."""
    config = Config(kernel=obj / "kernel.img", fs=disk(obj), mem=1024, ips=IPS, trace=True)
    session = Session(name, lambda log: Machine(Bochs(), config, log), logs)
    session.sh("sleep 1")  # the host is idle, and clears memory ahead
    session.sh(f'vmm -n linux -m 512M -k /vmm/{kernel} -i /vmm/initrd -a "console=ttyS0,115200 {words}"', START, SHELL)
    return session


def spent(session: Session) -> Dict[str, Tuple[int, int]]:
    """Exits so far and ticks in the VMM, by the first word of their reason."""
    found = STAT_LINE.findall(session.sh("vmstat -1 linux"))
    return {why.split()[0]: (int(n), int(n) * int(mean)) for n, mean, why in found}


def idle_tick(session: Session) -> int:
    """Ticks in the VMM for what an idle Linux does at a tick: deadline, interrupt, its end, HLT. (It writes the deadline
    more than once at some, and the mean is that of a write.)"""
    session.ready().send(DETACH_KEY)
    session.until(HOS, 60)
    before = spent(session)
    session.sh(f"sleep {IDLE_SECONDS}", 120)
    after = spent(session)
    session.sh("vmm attach linux", 60, SHELL)

    def mean(why: str) -> int:
        return (after[why][1] - before[why][1]) // max(after[why][0] - before[why][0], 1)

    return mean("HLT") + 2 * mean("WRMSR")


def start_cost(obj: Path, logs: Path, name: str, kernel: str, words: str, idle: bool = False) -> Dict[str, int]:
    """From the entry: ticks to init's first output, and exits to power-off; or ticks for an idle tick."""
    session = booted(obj, logs, f"bench-linux-{name}", kernel, words)
    found = {}
    try:
        if idle:
            found["idle"] = idle_tick(session)
        session.sh("poweroff -f", 120)
        trace = read_trace(session.ready().work / "bochs.log")
    finally:
        session.drop()
    entry = trace.shown(LOADED)
    found["start"] = trace.shown(FIRST_WORDS, entry) - entry
    found["exits"] = sum(tick > entry for tick in trace.exits)
    return found


def linux_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """Each once: a start takes half a minute."""
    default = start_cost(obj, logs, "default", "vmlinuz", DEFAULT, idle=True)
    tuned = start_cost(obj, logs, "tuned", "vmlinuz", TUNED)
    extracted = start_cost(obj, logs, "vmlinux", "vmlinux", TUNED)
    found = {
        "linux-default": default["start"],
        "linux-tuned": tuned["start"],
        "linux-tuned-exits": tuned["exits"],
        "linux-vmlinux": extracted["start"],
        "linux-idle-tick": default["idle"],
    }
    return {name: (value, value, value) for name, value in found.items()}
