"""Measures how costs grow with what else is there: other envs, guest memory, files, file size; and
how much more several CPUs do than one.

All of it under Bochs at the rate of the short costs, by user/bench/bench.c and user/guests/bench.c.
"""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from .bochs import Bochs
from .costs import SHORT_IPS, Sample, bench_lines, booted
from .errors import MachineError
from .machine import Config
from .session import Session

ENVS = (1, 10, 100, 1_000)
GUEST_MIB = (64, 256, 1_024, 4_096)
HOST_MIB = 5_120  # for the guests of many sizes
FILES = (10, 100, 1_000, 10_000)
READ_KIB = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384)
CPUS = (1, 2, 4, 8)
LIMIT = 600  # seconds for one command

SERVICES = {
    "yield": "yield to another env",
    "ipc-round-trip": "IPC round trip with a value",
    "ipc-page-round-trip": "IPC round trip with a page each way",
    "demand-zero-page": "demand-zero page",
    "fork-exit-wait": "fork + exit + wait",
    "spawn-exit-wait": "spawn + exit + wait",
}
EXITS = {"cpuid-exit": "CPUID exit", "vmcall-null": "VMCALL exit"}
GUEST_BENCH = "/vmm/guests/bench"
# What a worker on each CPU does over and over.
WORK = {
    "null-syscall": "null system call",
    "ipc-round-trip": "IPC round trip with a value",
    "ipc-page-round-trip": "IPC round trip with a page each way",
    "alloc-unmap": "fresh page, mapped and unmapped",
    "fork-exit-wait": "fork + exit + wait",
}
# An env alone on its CPU yields to nobody, which is quick. So there are some on each, and one more or
# less makes no difference.
YIELDERS = 8
YIELD_WORK = {"yield-to-any": f"yield, {YIELDERS} envs on each CPU"}
GUEST_WORK = {"guest-out": "guest's OUT to its own monitor"}
# How many times as much 8 CPUs are to do as one.
GOALS = {WORK["ipc-round-trip"]: 7.2, GUEST_WORK["guest-out"]: 7.2}
TOTAL_LINE = re.compile(r"^TOTAL (\S+) \d+ \d+ \d+ (\d+)$", re.MULTILINE)


@dataclass
class Curve:
    name: str
    unit: str = "ticks"
    points: List[Tuple[int, int]] = field(default_factory=list)  # x, median or count
    goal: Optional[float] = None  # what `factor` should reach

    @property
    def factor(self) -> float:
        """How many times the first point the last one is."""
        return self.points[-1][1] / max(self.points[0][1], 1)

    @property
    def missed(self) -> bool:
        return self.goal is not None and self.factor < self.goal


@dataclass
class Chart:
    title: str
    axis: str  # what x is
    curves: List[Curve]
    relative: bool = False  # what counts is how the points compare with the first one


def medians(samples: Dict[str, Sample], names: Dict[str, str]) -> Dict[str, int]:
    absent = [name for name in names if name not in samples]
    if absent:
        raise MachineError("no measurement of " + ", ".join(absent))
    return {text: samples[name][1] for name, text in names.items()}


def session(
    obj: Path, logs: Path, name: str, fs: str = "fs.img", mem: int = 256, cpus: int = 1
) -> Session:
    images = {"kernel": obj / "kernel.img", "fs": obj / fs}
    config = Config(**images, cmdline="graded", ips=SHORT_IPS, mem=mem, cpus=cpus)
    return booted(f"curves-{name}", Bochs(), config, logs)


def chart(title: str, axis: str, points: List[Tuple[int, Dict[str, int]]], unit: str = "ticks") -> Chart:
    names = points[0][1]
    curves = [Curve(name, unit, [(x, values[name]) for x, values in points]) for name in names]
    return Chart(title, axis, curves)


def with_envs(obj: Path, logs: Path) -> Chart:
    machine, points = session(obj, logs, "envs"), []
    try:
        for count in ENVS:
            services = bench_lines(machine.sh(f"bench -e {count} {' '.join(SERVICES)}", LIMIT))
            guest = f"/bin/vmm -k {GUEST_BENCH} -a '{' '.join(EXITS)}'"
            exits = bench_lines(machine.sh(f"bench -e {count} -c {guest}", LIMIT))
            points.append((count, {**medians(services, SERVICES), **medians(exits, EXITS)}))
    finally:
        machine.drop()
    return chart("Other envs alive", "envs", points)


def with_guest_memory(obj: Path, logs: Path) -> Chart:
    machine, points = session(obj, logs, "guests", mem=HOST_MIB), []
    names = {"ept-page": "EPT violations, a fresh page"}
    started = {"command": "guest from start to end"}
    try:
        for mib in GUEST_MIB:
            vmm = f"/bin/vmm -m {mib}M -k {GUEST_BENCH} -a"
            values = medians(bench_lines(machine.sh(f"{vmm} ept-page", LIMIT)), names)
            empty = machine.sh(f"bench -c {vmm} nothing > /tmp/out; cat /tmp/out", LIMIT)
            points.append((mib, {**values, **medians(bench_lines(empty), started)}))
    finally:
        machine.drop()
    return chart("Size of the guest", "MiB of guest memory", points)


def with_files(obj: Path, logs: Path) -> Chart:
    points = []
    for count in FILES:
        machine = session(obj, logs, f"files-{count}", "fs-large.img")
        try:
            samples = bench_lines(machine.sh(f"bench -f {count}", LIMIT))
        finally:
            machine.drop()
        points.append((count, medians(samples, {"look-up": "open a file by name"})))
    return chart("Files in the directory", "files", points)


def with_file_size(obj: Path, logs: Path) -> Chart:
    machine, points = session(obj, logs, "read", "fs-large.img"), []
    try:
        for kib in READ_KIB:
            samples = bench_lines(machine.sh(f"bench -r {kib}K", LIMIT))
            points.append((kib, medians(samples, {"read": "read again, a KiB"})))
    finally:
        machine.drop()
    return chart("Size of the file", "KiB", points, "ticks a KiB")


def totals(text: str, names: Dict[str, str]) -> Dict[str, int]:
    """What all workers did together, from user/bench/cpus.c's lines."""
    sums = {m[1]: int(m[2]) for m in TOTAL_LINE.finditer(text)}
    absent = [name for name in names if name not in sums]
    if absent:
        raise MachineError("no count of " + ", ".join(absent))
    return {words: sums[name] for name, words in names.items()}


def work_on(cpus: int, obj: Path, logs: Path) -> Dict[str, int]:
    """What so many CPUs do in the same time."""
    machine = session(obj, logs, f"cpus-{cpus}", cpus=cpus)

    def workers(count: int, names: Dict[str, str]) -> Dict[str, int]:
        return totals(machine.sh(f"bench -w {count} {' '.join(names)}", LIMIT), names)

    try:
        work = {**workers(cpus, WORK), **workers(YIELDERS * cpus, YIELD_WORK)}
        for n in range(cpus):
            machine.sh(f"vmm -n g{n} -m 64M -k {GUEST_BENCH} -a out-forever &")
        return {**work, **totals(machine.sh(f"bench -g {cpus}", LIMIT), GUEST_WORK)}
    finally:
        machine.drop()


def with_cpus(obj: Path, logs: Path) -> Chart:
    points = [(cpus, work_on(cpus, obj, logs)) for cpus in CPUS]
    result = chart("A worker on each CPU, in the same time", "CPUs", points, "operations")
    result.relative = True
    for curve in result.curves:
        curve.goal = GOALS.get(curve.name)
    return result


PARTS = {
    "envs": with_envs,
    "guest-memory": with_guest_memory,
    "files": with_files,
    "file-size": with_file_size,
    "cpus": with_cpus,
}


def measure(obj: Path, logs: Path, only: Optional[str] = None) -> List[Chart]:
    """All charts, or the one of this part. Raises MachineError."""
    logs.mkdir(parents=True, exist_ok=True)
    return [part(obj, logs) for name, part in PARTS.items() if only in (None, name)]


def missed_goals(charts: List[Chart]) -> List[str]:
    """A sentence for each goal that was not reached."""
    return [
        f"{curve.name}: {curve.points[-1][0]} {c.axis} did x{curve.factor:.2f}, the goal is x{curve.goal}"
        for c in charts
        for curve in c.curves
        if curve.missed
    ]


def as_dict(charts: List[Chart]) -> dict:
    """What bench-curves.json holds. All is measured on one CPU but what grows with CPUs."""
    return {"emulator": "Bochs", "charts": [asdict(c) for c in charts]}


def factor_words(curve: Curve) -> str:
    goal = f", goal x{curve.goal}" if curve.goal else ""
    return f"x{curve.factor:.2f}{goal}{', MISSED' if curve.missed else ''}"


def table(charts: List[Chart]) -> str:
    lines = []
    for c in charts:
        xs = [x for x, _ in c.curves[0].points]
        what = f"{c.axis}; {c.curves[0].unit}" if c.relative else c.axis
        lines += ["", f"{c.title} ({what}):", f"{'':40}" + "".join(f"{x:>10,}" for x in xs)]
        for curve in c.curves:
            name = curve.name if c.relative or curve.unit == "ticks" else f"{curve.name} ({curve.unit})"
            figures = "".join(f"{y:>10,}" for _, y in curve.points)
            lines.append(f"{name:40}{figures}{'  ' + factor_words(curve) if c.relative else ''}")
    return "\n".join(lines[1:])
