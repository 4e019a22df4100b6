"""Measures how costs grow with what else is there: other envs, guest memory, files, file size.

All of it under Bochs at the rate of the short costs, by user/bench.c and user/guests/bench.c.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple

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


@dataclass
class Curve:
    name: str
    unit: str = "ticks"
    points: List[Tuple[int, int]] = field(default_factory=list)  # x, median


@dataclass
class Chart:
    title: str
    axis: str  # what x is
    curves: List[Curve]


def medians(samples: Dict[str, Sample], names: Dict[str, str]) -> Dict[str, int]:
    absent = [name for name in names if name not in samples]
    if absent:
        raise MachineError("no measurement of " + ", ".join(absent))
    return {text: samples[name][1] for name, text in names.items()}


def session(obj: Path, logs: Path, name: str, fs: str = "fs.img", mem: int = 256) -> Session:
    config = Config(kernel=obj / "kernel.img", fs=obj / fs, cmdline="graded", ips=SHORT_IPS, mem=mem)
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


def measure(obj: Path, logs: Path) -> List[Chart]:
    """All charts. Raises MachineError."""
    logs.mkdir(parents=True, exist_ok=True)
    return [part(obj, logs) for part in (with_envs, with_guest_memory, with_files, with_file_size)]


def as_dict(charts: List[Chart]) -> dict:
    """What bench-curves.json holds."""
    return {"emulator": "Bochs", "cpus": 1, "charts": [asdict(c) for c in charts]}


def table(charts: List[Chart]) -> str:
    lines = []
    for c in charts:
        xs = [x for x, _ in c.curves[0].points]
        lines += ["", f"{c.title} ({c.axis}):", f"{'':40}" + "".join(f"{x:>10,}" for x in xs)]
        for curve in c.curves:
            name = curve.name if curve.unit == "ticks" else f"{curve.name} ({curve.unit})"
            lines.append(f"{name:40}" + "".join(f"{y:>10,}" for _, y in curve.points))
    return "\n".join(lines[1:])
