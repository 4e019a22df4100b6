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
IDLE_SECONDS = 2
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


def spent(session: Session) -> Tuple[int, int]:
    """Ticks in the VMM so far, and how often Linux has gone idle."""
    found = STAT_LINE.findall(session.sh("vmstat -1 linux"))
    return sum(int(n) * int(mean) for n, mean, _ in found), sum(int(n) for n, _, why in found if why.startswith("HLT"))


def idle_tick(session: Session) -> int:
    """Ticks in the VMM for what an idle Linux does at a tick: deadline, interrupt, its end, HLT."""
    session.ready().send(DETACH_KEY)
    session.until(HOS, 60)
    ticks, wakes = spent(session)
    session.sh(f"sleep {IDLE_SECONDS}", 120)
    later, more = spent(session)
    session.sh("vmm attach linux", 60, SHELL)
    return (later - ticks) // max(more - wakes, 1)


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
