"""Measures what the issue sets targets for, under Bochs: a tick is one instruction there.

Short costs are measured by programs (user/bench.c on hOS, user/guests/bench.c in a guest) at 100 million
ticks an emulated second; boot and launch by Bochs' log at 4 million, since there time on the serial
line counts as it would for a user of the slow machine.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from .bochs import Bochs
from .errors import MachineError
from .machine import Config, Machine
from .session import GOS, HOS, Session
from .trace import read_trace

SHORT_IPS = 100_000_000
LAUNCH_IPS = 4_000_000
LAUNCHES = 3
LOADED = "detaches)"
BENCH_LINE = re.compile(r"^BENCH (\S+) (\d+) (\d+) (\d+)$", re.MULTILINE)

Sample = Tuple[int, int, int]  # min, median, max


@dataclass
class Row:
    operation: str
    source: str  # name in a BENCH line, or of a launch measurement
    target: Optional[int]
    reference: Optional[int]  # the same elsewhere, on the same emulated machine
    reference_is: str = ""
    min: int = 0
    median: int = 0
    max: int = 0

    @property
    def missed(self) -> bool:
        return self.target is not None and self.median > self.target


OLD = "earlier JOS-VMM"
KVM = "Linux 6.1 with KVM"
LINUX = "Linux 6.1"


def all_rows() -> List[Row]:
    return [
        Row("CPUID exit, round trip", "cpuid-exit", 300, 27_758, OLD),
        Row("VMCALL exit, no-op", "vmcall-null", 300, 27_764, OLD),
        Row("RDMSR exit (virtual local APIC)", "rdmsr-apic", None, 1_042, KVM),
        Row("WRMSR exit (EFER)", "wrmsr-efer", None, 1_128, KVM),
        Row("OUT handled by the user-space monitor", "out-monitor", None, 3_052, KVM),
        Row("EPT violation that populates 16 pages", "ept-violation", None, None),
        Row("fresh zeroed guest page, mean", "ept-page", None, 6_087, KVM),
        Row("self-IPI to guest handler, EOI, return", "self-ipi", None, 4_096, KVM),
        Row("null system call", "null-syscall", 150, 900, OLD),
        Row("yield and context switch", "yield", None, 26_500, OLD),
        Row("IPC round trip", "ipc-round-trip", 2_500, 8_962, LINUX + " (futex)"),
        Row("IPC round trip with a page each way", "ipc-page-round-trip", None, None),
        Row("page fault to user upcall and back", "page-fault-upcall", 400, 4_294, LINUX + " (signal)"),
        Row("demand-zero page: fault, allocate, map", "demand-zero-page", None, 2_927, LINUX),
        Row("page fault handled in user mode, zeroed page", "user-page-fault", None, 4_294, LINUX + " (signal)"),
        Row("read of a cached 4 KiB block", "read-cached-4k", None, None),
        Row("fork + exit + wait", "fork-exit-wait", 40_000, 242_000, LINUX),
        Row("spawn + exit + wait", "spawn-exit-wait", None, None),
        Row("spawn + exit + wait of echo", "spawn-echo", 400_000, None),
        Row("file write + sync, 1 MiB, ticks a KiB", "write-sync-kib", None, None),
        Row("guest launch to gOS$", "launch", 12_000_000, 31_600_000, OLD),
        Row("guest launch to gOS$, exits", "launch-exits", 300, 531, OLD),
        Row("vmm typed to gOS$", "vmm-typed", 40_000_000, 430_000_000, OLD),
        Row("power-on to hOS$", "power-on", None, 57_600_000, OLD),
    ]


def sample(values: List[int]) -> Sample:
    ordered = sorted(values)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def images(obj: Path, **settings: object) -> Config:
    return Config(kernel=obj / "kernel.img", fs=obj / "fs.img", cmdline="graded", **settings)


def short_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """The BENCH lines of hOS's and the guest's programs."""
    session = Session(
        "bench-short", lambda log: Machine(Bochs(), images(obj, ips=SHORT_IPS), log), logs
    )
    try:
        text = session.sh("bench", 120) + session.sh("vmm -k /vmm/guests/bench", 120)
    finally:
        session.drop()
    return {m[1]: (int(m[2]), int(m[3]), int(m[4])) for m in BENCH_LINE.finditer(text)}


def launch_costs(obj: Path, logs: Path) -> Dict[str, Sample]:
    """Boot hOS, start gOS some times; Bochs' log has the ticks."""
    session = Session(
        "bench-launch", lambda log: Machine(Bochs(), images(obj, ips=LAUNCH_IPS, trace=True), log), logs
    )
    try:
        machine = session.ready()
        for _ in range(LAUNCHES):
            session.open_guest()
            session.close_guest()
        trace = read_trace(machine.work / "bochs.log")
    finally:
        session.drop()
    typed, launch, exits = [], [], []
    for number in range(LAUNCHES):
        entered = trace.typed("\n", 2 * number)  # the lines are vmm, halt, vmm, halt, ...
        shown = trace.shown(GOS, entered)
        loaded = trace.shown(LOADED, entered)  # the monitor's last words before it starts the guest
        typed.append(shown - entered)
        launch.append(shown - loaded)
        exits.append(sum(entered < tick <= shown for tick in trace.exits))
    return {
        "vmm-typed": sample(typed),
        "launch": sample(launch),
        "launch-exits": sample(exits),
        "power-on": sample([trace.shown(HOS)]),
    }


def measure(obj: Path, logs: Path) -> List[Row]:
    """All rows. Raises MachineError, also when a program left a row out."""
    logs.mkdir(parents=True, exist_ok=True)
    samples = {**short_costs(obj, logs), **launch_costs(obj, logs)}
    rows = all_rows()
    absent = [row.source for row in rows if row.source not in samples]
    if absent:
        raise MachineError("no measurement of " + ", ".join(absent))
    for row in rows:
        row.min, row.median, row.max = samples[row.source]
    return rows


def table(rows: List[Row]) -> str:
    head = f"{'operation':46} {'min':>12} {'median':>12} {'max':>12} {'target':>12}  reference"
    lines = [head, "-" * len(head)]
    for row in rows:
        target = f"{row.target:,}" if row.target else ""
        reference = f"{row.reference:,} ({row.reference_is})" if row.reference else ""
        flag = "  MISSED" if row.missed else ""
        lines.append(
            f"{row.operation:46} {row.min:12,} {row.median:12,} {row.max:12,} {target:>12}  "
            f"{reference}{flag}"
        )
    return "\n".join(lines)


def as_dict(rows: List[Row]) -> dict:
    keep = ("operation", "min", "median", "max", "target", "reference", "reference_is")
    return {"unit": "ticks", "rows": [{k: asdict(row)[k] for k in keep} for row in rows]}
