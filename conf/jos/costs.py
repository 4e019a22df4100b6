"""Measures what the project sets targets for, in ticks: a tick is one instruction, under Bochs and under QEMU with
-icount.

Short costs are measured by programs (user/bench/bench.c on hOS, user/guests/bench.c in a guest): under Bochs, where
guests run by VT-x, at 100 million ticks an emulated second; in QEMU, where they run by SVM. Boot and launch are
measured by Bochs' log at 4 million, since there time on the serial line counts as it would for a user of the slow
machine. In QEMU the disk takes real time, so there the launch is what envs had of the CPU.
"""

import re
import struct
from pathlib import Path
from typing import Dict, List, Set

from . import linuxcosts
from .bochs import Bochs
from .errors import MachineError
from .machine import Backend, Config, Machine
from .qemu import ICOUNT, Tcg
from .rows import ROWS, Row, Sample, fill
from .session import GOS, HOS, Session
from .trace import read_trace

SHORT_IPS = 100_000_000
LAUNCH_IPS = 4_000_000
LAUNCHES = 3
ECHOES = 20
GUESTS = 8  # that idle at once
ENVS = 8  # that sleep at once
LOADED = "detaches)"
LARGE_LOAD = "vmm -m 96M -k /vmm/bz14m -i /vmm/initrd2m"  # what user/guests/mklarge makes
LOADING = "modules: 2048 KiB"  # before what takes long
BENCH_LINE = re.compile(r"^BENCH (\S+) (\d+) (\d+) (\d+)$", re.MULTILINE)
FRAMES_LINE = re.compile(r"^HOST frames (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)
BUSY_LINE = re.compile(r"^HOST busy (\d+)$", re.MULTILINE)
STOLEN_LINE = re.compile(r"^HOST stolen (\d+) (\d+)$", re.MULTILINE)
LAUNCH_SOURCES = {
    "echo-typed",
    "vmm-typed",
    "launch",
    "launch-exits",
    "launch-ept",
    "boot-sector",
    "power-on",
}
QEMU_SOURCES = {"vmm-busy"}  # only there
LOAD_SOURCES = {"load-page-cached", "load-page-cold", "load-cached", "load-cold"}
HOST_SOURCES = {"idle-guests", "memory-fixed", "memory-env", "memory-guest"}
PAGE_KIB = 4
DETACH_KEY = "\x1d"  # Ctrl-]
PAGEINFO_BYTES = 16  # struct PageInfo


def sample(values: List[int]) -> Sample:
    ordered = sorted(values)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def images(obj: Path, **settings: object) -> Config:
    return Config(kernel=obj / "kernel.img", fs=obj / "fs.img", cmdline="graded", **settings)


def booted(name: str, backend: Backend, config: Config, logs: Path) -> Session:
    return Session(name, lambda log: Machine(backend, config, log), logs)


def bench_lines(text: str) -> Dict[str, Sample]:
    """By name; the hypercall has one, whichever instruction makes it."""
    found = ((m[1].replace("vmmcall", "vmcall"), m) for m in BENCH_LINE.finditer(text))
    return {name: (int(m[2]), int(m[3]), int(m[4])) for name, m in found}


def disk_lines(session: Session) -> str:
    """What a guest's disk costs."""
    session.sh("test-disks make 8192 /bench.img")
    return session.sh("vmm -V -d /bench.img -k /vmm/guests/blk-bench", 120)


def short_costs(obj: Path, logs: Path, cpus: int, name: str = "bench-short") -> Dict[str, Sample]:
    """The BENCH lines of hOS's and the guest's programs."""
    session = booted(f"{name}-{cpus}", Bochs(), images(obj, ips=SHORT_IPS, cpus=cpus), logs)
    try:
        return bench_lines(
            session.sh("bench", 120)
            + session.sh("vmm -m 128M -k /vmm/guests/bench", 120)
            + session.sh("vmm -p -k /vmm/guests/bench -a page-fault", 120)
            + session.sh("vmm -k /vmm/guests/bench -a uart-char >/tmp/uart; cat /tmp/uart; rm /tmp/uart", 120)
            + disk_lines(session)
        )
    finally:
        session.drop()


def qemu_costs(obj: Path, logs: Path, name: str = "bench-qemu") -> Dict[str, Sample]:
    """The same in QEMU, and what starting gOS takes of the CPU."""
    session = booted(name, Tcg(), images(obj, extra=list(ICOUNT)), logs)
    try:
        short = bench_lines(
            session.sh("bench", 120)
            + session.sh("vmm -m 128M -k /vmm/guests/bench", 120)
            + session.sh("vmm -p -k /vmm/guests/bench -a page-fault", 120)
            + session.sh("vmm -k /vmm/guests/bench -a uart-char >/tmp/uart; cat /tmp/uart; rm /tmp/uart", 120)
            + disk_lines(session)
        )
        return {**short, "vmm-busy": sample([busy_launch(session) for _ in range(LAUNCHES)])}
    finally:
        session.drop()


def busy(session: Session) -> int:
    """Ticks that the envs which are there have had so far."""
    return int(BUSY_LINE.search(session.sh("bench-host -b"))[1])


def busy_launch(session: Session) -> int:
    """Ticks of the CPU from `vmm` typed to gOS's prompt, idle time not counted."""
    first = busy(session)
    before = busy(session)
    asking = before - first  # asking costs something, too
    session.open_guest()
    session.ready().send(DETACH_KEY)
    session.until(HOS, 60)
    spent = busy(session) - before - asking
    session.sh("vmm attach gos", 60, GOS)
    session.close_guest()
    return spent


def launch_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """Boot hOS, start gOS and echo some times; Bochs' log has the ticks."""
    session = booted("bench-launch", Bochs(), images(obj, ips=LAUNCH_IPS, trace=True), logs)
    try:
        machine = session.ready()
        for _ in range(LAUNCHES):
            session.open_guest()
            session.close_guest()
        for _ in range(ECHOES):
            session.sh("echo")
        trace = read_trace(machine.work / "bochs.log")
    finally:
        session.drop()
    typed, launch, exits, violations, echo = [], [], [], [], []
    for number in range(LAUNCHES):
        entered = trace.typed("\n", 2 * number)  # the lines are vmm, halt, vmm, halt, ...
        shown = trace.shown(GOS, entered)
        loaded = trace.shown(LOADED, entered)  # the monitor's last words before it starts the guest
        typed.append(shown - entered)
        launch.append(shown - loaded)
        exits.append(sum(entered < tick <= shown for tick in trace.exits))
        violations.append(sum(entered < tick <= shown for tick in trace.ept_violations))
    for number in range(2 * LAUNCHES, 2 * LAUNCHES + ECHOES):
        entered = trace.typed("\n", number)
        echo.append(trace.shown(HOS, entered) - entered)
    return {
        "echo-typed": sample(echo),
        "vmm-typed": sample(typed),
        "launch": sample(launch),
        "launch-exits": sample(exits),
        "launch-ept": sample(violations),
        "boot-sector": sample([trace.shown(HOS) - trace.boot]),
        "power-on": sample([trace.shown(HOS)]),
    }


def load_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """A kernel and an initrd of Linux's size, from the disk after each boot, and then from the file server's cache."""
    config = images(obj, ips=SHORT_IPS, trace=True)
    config.fs = obj / "fs-load.img"
    if not config.fs.exists():
        raise MachineError(f"there is no {config.fs}: make it first, or run make bench")
    session = booted("bench-load", Bochs(), config, logs)
    try:
        machine = session.ready()
        for _ in range(LAUNCHES):
            session.sh(LARGE_LOAD, 60)
        trace = read_trace(machine.work / "bochs.log")
    finally:
        session.drop()
    pages = sum((obj / "guests" / name).stat().st_size for name in ("bz14m", "initrd2m")) // 4096
    typed, page = [], []
    for number in range(LAUNCHES):
        entered = trace.typed("\n", number)
        typed.append(next(tick for tick in trace.exits if tick > entered) - entered)
        page.append((trace.shown(" ok", entered) - trace.shown(LOADING, entered)) // pages)
    return {
        "load-page-cold": sample(page[:1]),
        "load-page-cached": sample(page[1:]),
        "load-cold": sample(typed[:1]),
        "load-cached": sample(typed[1:]),
    }


def image_kib(kernel: Path) -> int:
    """Memory that an ELF64 kernel takes, from its first to its last byte."""
    data = kernel.read_bytes()
    phoff, phentsize, phnum = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    spans = []
    for i in range(phnum):
        kind, _, _, _, paddr, _, size, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize)
        if kind == 1:  # PT_LOAD
            spans.append((paddr, paddr + size))
    return -(-(max(end for _, end in spans) - min(start for start, _ in spans)) // 1024)


def kernel_frames(text: str) -> int:
    """Frames that are neither an env's nor a guest's: all that are in use, less the mappings in
    envs and guests, of which those beyond a frame's first one are no frames."""
    used, user, guest, shared = map(int, FRAMES_LINE.search(text).groups())
    return used - (user + guest - shared)


def host_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """Kernel memory, and the ticks that idle guests take, from what user/bench-host.c tells."""
    config = images(obj, ips=LAUNCH_IPS)
    session = booted("bench-host", Bochs(), config, logs)
    try:
        session.sh("sleep 0.1 & wait; bench-host")  # what is touched once and then stays
        alone = session.sh("bench-host -t", 60)
        session.sh(" ".join(["sleep 1000 &"] * ENVS))
        envs = session.sh("bench-host")
        for number in range(GUESTS):
            session.sh(f"vmm -n g{number} &")
        session.sh("sleep 30", 60)  # until they have booted
        idle = session.sh("vms").count(" idle ")
        if idle != GUESTS:
            raise MachineError(f"{idle} of {GUESTS} guests idle")
        guests = session.sh("bench-host -t", 60)
        awake = session.sh("sleep 1 & bench-host -t", 60)
    finally:
        session.drop()
    if int(STOLEN_LINE.search(awake)[1]) == 0:
        raise MachineError("bench-host does not see that another program gets the CPU")
    alone_frames, env_frames = kernel_frames(alone), kernel_frames(envs)
    env_kib = (env_frames - alone_frames) * PAGE_KIB / ENVS
    guest_kib = (kernel_frames(guests) - env_frames) * PAGE_KIB / GUESTS
    pages_kib = config.mem * 1024 // PAGE_KIB * PAGEINFO_BYTES // 1024
    programs = 4  # init, file server, shell, bench-host
    fixed = image_kib(obj / "kern" / "kernel") + alone_frames * PAGE_KIB - pages_kib - programs * env_kib
    stolen = [int(STOLEN_LINE.search(text)[1]) for text in (alone, guests)]
    span = int(STOLEN_LINE.search(guests)[2])
    kib = {"memory-fixed": fixed, "memory-env": env_kib, "memory-guest": guest_kib - env_kib}
    idle = (stolen[1] - stolen[0]) * LAUNCH_IPS // span
    return {"idle-guests": sample([idle]), **{k: sample([round(v)]) for k, v in kib.items()}}


def repeated(
    first: Dict[str, Sample], second: Dict[str, Sample], cpus: int, emulator: str = "Bochs"
) -> List[Row]:
    rows = fill(first, cpus=cpus, emulator=emulator)
    for row in rows:
        row.again = second[row.source][1] if row.source in second else None
    return rows


def measure_limits(obj: Path, logs: Path) -> List[Row]:
    """The rows that a graded run looks at, with VT-x under Bochs. Raises MachineError, also when one is missing."""
    logs.mkdir(parents=True, exist_ok=True)
    rows = fill({**short_costs(obj, logs, 1), **launch_costs(obj, logs)})
    measured = {row.source for row in rows}
    absent = [row.source for row in ROWS if row.limit and row.source not in measured]
    if absent:
        raise MachineError("no measurement of " + ", ".join(absent))
    return rows


def chosen(pattern: str) -> Set[str]:
    """The sources of the rows whose operation or source has the pattern in it, whatever the case.
    Raises MachineError if there is none."""
    text = pattern.lower()
    found = {row.source for row in ROWS if text in row.operation.lower() or text in row.source}
    if not found:
        raise MachineError(f"no row has '{pattern}' in its name")
    return found


def measure(obj: Path, logs: Path, only: str = "") -> List[Row]:
    """All rows: on one CPU and on two, twice each, and in QEMU. With a pattern in `only` just the
    rows that have it in their names, and no machine is started for others. Raises MachineError,
    also when a row is missing."""
    logs.mkdir(parents=True, exist_ok=True)
    wanted, rows = chosen(only), []
    if not linuxcosts.disk(obj).exists():  # make linux needs the network
        wanted -= linuxcosts.SOURCES
    short = wanted - LAUNCH_SOURCES - HOST_SOURCES - LOAD_SOURCES - linuxcosts.SOURCES
    if short - QEMU_SOURCES:
        for cpus in (1, 2):
            names = ("bench-first", "bench-second")
            first, second = (short_costs(obj, logs, cpus, name) for name in names)
            rows += repeated(first, second, cpus)
    if short:
        first, second = (qemu_costs(obj, logs, name) for name in ("bench-qemu-first", "bench-qemu-second"))
        rows += repeated(first, second, 1, "QEMU")
    if wanted & LAUNCH_SOURCES:
        rows += repeated(launch_costs(obj, logs), launch_costs(obj, logs), 1)
    if wanted & LOAD_SOURCES:
        rows += repeated(load_costs(obj, logs), load_costs(obj, logs), 1)
    if wanted & HOST_SOURCES:
        rows += repeated(host_costs(obj, logs), host_costs(obj, logs), 1)
    if wanted & linuxcosts.SOURCES:
        rows += fill(linuxcosts.linux_costs(obj, logs))
    absent = wanted - {row.source for row in rows}
    if absent:
        raise MachineError("no measurement of " + ", ".join(sorted(absent)))
    return [row for row in rows if row.source in wanted]
