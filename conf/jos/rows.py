"""The rows of `make bench`: what is measured, what it may cost, and what it costs elsewhere."""

from dataclasses import asdict, dataclass, replace
from typing import Dict, List, Optional, Tuple

Sample = Tuple[int, int, int]  # min, median, max

OLD = "earlier JOS-VMM"
KVM = "Linux 6.1 with KVM"
LINUX = "Linux 6.1"

SMP_STEP = 5  # ticks by which Bochs' clock moves when it emulates several CPUs in turn
REAL_TIME = ("write-sync-kib",)  # in QEMU the disk takes its time, which no target is for


@dataclass
class Row:
    operation: str
    source: str  # name in a BENCH line, or of a measurement in costs.py
    target: Optional[int] = None  # what the median should not exceed
    reference: Optional[int] = None  # the same elsewhere, on the same emulated machine
    reference_is: str = ""
    limit: Optional[int] = None  # above this a graded run fails
    svm_target: Optional[int] = None  # of a guest's row: the same with SVM in QEMU
    of_guest: bool = False  # VT-x and SVM do it differently
    unit: str = "ticks"
    cpus: int = 1
    emulator: str = "Bochs"
    min: int = 0
    median: int = 0
    max: int = 0
    again: Optional[int] = None  # the median of the second run

    @property
    def missed(self) -> bool:
        """With several CPUs the clock moves by steps, and a figure may be too large by one."""
        slack = SMP_STEP if self.cpus > 1 else 0
        return self.target is not None and self.median > self.target + slack

    @property
    def over_limit(self) -> bool:
        return self.limit is not None and self.median > self.limit

    @property
    def ratio(self) -> Optional[float]:
        """How many times the cost here the reference is."""
        return self.reference / self.median if self.reference and self.median else None


ROWS = (
    Row("CPUID exit, round trip", "cpuid-exit", 100, 982, KVM, 300, svm_target=125, of_guest=True),
    Row("VMCALL exit, no-op", "vmcall-null", 94, 1_018, KVM, 300, svm_target=120, of_guest=True),
    Row("RDMSR exit (virtual local APIC)", "rdmsr-apic", 120, 1_042, KVM, svm_target=135, of_guest=True),
    Row("WRMSR exit (EFER)", "wrmsr-efer", 120, 1_128, KVM, of_guest=True),
    Row("OUT handled in the kernel", "out-kernel", 150, 1_235, KVM, svm_target=125, of_guest=True),
    Row("IN handled in the kernel", "in-kernel", 150, 1_268, KVM, of_guest=True),
    Row("OUT handled by the user-space monitor", "out-monitor", 700, 3_052, KVM, svm_target=720, of_guest=True),
    Row("IN handled by the user-space monitor", "in-monitor", 700, 3_052, KVM, of_guest=True),
    Row("UART output of a byte, mean of many lines", "uart-char", 250, None, "", 500, svm_target=300, of_guest=True),
    Row("EPT violation that populates 16 pages", "ept-violation", of_guest=True),
    Row("fresh zeroed guest page, mean", "ept-page", 1_000, 6_087, KVM, svm_target=850, of_guest=True),
    Row("EPT violation that populates 2 MiB", "ept-violation-2m", of_guest=True),
    Row("the same page, mean, by pages of 2 MiB", "ept-page-2m", 1_000, 6_087, KVM, of_guest=True),
    Row("guest page fault intercepted and injected", "page-fault", 400, svm_target=430, of_guest=True),
    Row("timer interrupt to guest handler, EOI", "timer-interrupt", 400, 4_096, KVM + " (self-IPI)", svm_target=450, of_guest=True),
    Row("virtio-blk read, 4 KiB, cached, queue depth 1", "virtio-blk-read-4k", 4_500, None, "", 9_000, svm_target=4_500, of_guest=True),
    Row("the same, queue depth 32, a KiB", "virtio-blk-kib", 700, None, "", 1_400, svm_target=700, of_guest=True),
    Row("self-IPI to guest handler, EOI, return", "self-ipi", None, 4_096, KVM, of_guest=True),
    Row("EOI by x2APIC MSR", "x2apic-eoi", 110, svm_target=150, of_guest=True),
    Row("EOI by xAPIC MMIO", "xapic-eoi", 400, svm_target=400, of_guest=True),
    Row("xAPIC read of ID by MMIO", "xapic-id", 350, svm_target=350, of_guest=True),
    Row("null system call", "null-syscall", 70, 310, LINUX + " (getpid)", 150),
    Row("yield to another env", "yield", 150, 1_800, LINUX),
    Row("IPC round trip with a value", "ipc-round-trip", 500, 8_962, LINUX + " (futex)", 2_500),
    Row("IPC round trip with a page each way", "ipc-page-round-trip", 900),
    Row("page fault to user upcall and back", "page-fault-upcall", 400, 4_294, LINUX + " (signal)"),
    Row("demand-zero page in an env", "demand-zero-page", 1_000, 2_927, LINUX),
    Row("both: fault handled in user mode, zeroed page", "user-page-fault", None, 2_927, LINUX),
    Row("fork + exit + wait", "fork-exit-wait", 40_000, 242_000, LINUX),
    Row("spawn + exit + wait (/bin/true)", "spawn-exit-wait"),
    Row("spawn echo to its exit", "spawn-echo", 400_000),
    Row("echo typed at the shell to its next prompt", "echo-typed", 400_000),
    Row("file read, cached, 4 KiB", "read-cached-4k", 1_500),
    Row("file read, cached, 64 KiB, a page", "read-cached-64k", 900),
    Row("file write + sync, 1 MiB, a KiB", "write-sync-kib", 2_000),
    Row("guest launch to gOS$", "launch", 3_000_000, 31_600_000, OLD, 12_000_000),
    Row("guest launch to gOS$, exits", "launch-exits", 120, 531, OLD, 300, "exits"),
    Row("gOS boot, EPT violations", "launch-ept", 20, unit="exits"),
    Row("vmm typed to gOS$", "vmm-typed", 6_000_000, 430_000_000, OLD, 40_000_000),
    Row("vmm typed to gOS$, idle time not counted", "vmm-busy", 1_700_000),
    Row("a page of a file into a guest, cached", "load-page-cached", 1_600),
    Row("a page of a file into a guest, from a PIO disk", "load-page-cold", 3_500),
    Row("vmm typed to kernel entry, 14 + 2 MB, cached", "load-cached", 7_000_000),
    Row("vmm typed to kernel entry, from a PIO disk", "load-cold", 15_000_000),
    Row("Linux, bzImage, to init's first output", "linux-default", 1_435_000_000, 1_399_000_000, "no hypervisor"),
    Row("the same, tuned command line", "linux-tuned", 540_000_000, 579_700_000, "no hypervisor"),
    Row("the same, exits from its entry to power-off", "linux-tuned-exits", 5_500, unit="exits"),
    Row("the same, from vmlinux", "linux-vmlinux", 445_000_000),
    Row("an idle Linux's tick, in the VMM", "linux-idle-tick", 1_200),
    Row("boot sector's first instruction to hOS$", "boot-sector", 8_000_000, 57_600_000, OLD + " (power-on)"),
    Row("power-on to hOS$, firmware included", "power-on", None, 57_600_000, OLD),
    Row("8 idle guests: host ticks a second (of 4M)", "idle-guests", 40_000),
    Row("kernel memory, fixed, KiB", "memory-fixed", 1_024, unit="KiB"),
    Row("kernel memory, an env, KiB", "memory-env", 24, unit="KiB"),
    Row("kernel memory beside a guest's own, KiB", "memory-guest", 40, unit="KiB"),
)


# What SVM calls otherwise.
SVM_WORDS = (("VMCALL", "VMMCALL"), ("EPT violation", "nested page fault"))


def with_svm(row: Row) -> Row:
    """A guest's row, measured with SVM: its own target, and no reference or limit, which are VT-x's."""
    words = row.operation
    for ours, amds in SVM_WORDS:
        words = words.replace(ours, amds)
    return replace(row, operation=words, target=row.svm_target, limit=None, reference=None, reference_is="")


def fill(samples: Dict[str, Sample], **settings: object) -> List[Row]:
    """The rows that were measured, with their figures."""
    rows = []
    in_qemu = settings.get("emulator") == "QEMU"
    for row in ROWS:
        if row.source in samples:
            low, median, high = samples[row.source]
            if in_qemu and row.source in REAL_TIME:
                row = replace(row, target=None)
            if in_qemu and row.of_guest:
                row = with_svm(row)
            rows.append(replace(row, min=low, median=median, max=high, **settings))
    return rows


def number(value: Optional[int]) -> str:
    return "" if value is None else f"{value:,}"


def table(rows: List[Row]) -> str:
    head = (
        f"{'operation':46} {'cpus':>4} {'min':>11} {'median':>11} {'max':>11} {'again':>11} "
        f"{'target':>11}  reference"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        name = row.operation + ("" if row.emulator == "Bochs" else f" ({row.emulator})")
        reference = f"{row.reference:,} ({row.reference_is}), {row.ratio:.1f} x" if row.ratio else ""
        line = f"{name:46} {row.cpus:4} {row.min:11,} {row.median:11,} {row.max:11,} "
        line += f"{number(row.again):>11} {number(row.target):>11}  {reference}"
        lines.append(line + ("  MISSED" if row.missed else ""))
    return "\n".join(lines)


def changes(rows: List[Row], base: dict) -> str:
    """Each row's median against the same row of an older bench.json."""

    def key(row: dict) -> tuple:
        return row["operation"], row.get("cpus", 1), row.get("emulator", "Bochs")

    before = {key(row): row["median"] for row in base["rows"]}
    lines = [f"{'operation':46} {'cpus':>4} {'before':>11} {'now':>11} {'change':>8}"]
    for row in rows:
        old = before.get(key(asdict(row)))
        if old is None:
            lines.append(f"{row.operation:46} {row.cpus:4} {'-':>11} {row.median:11,}      new")
        else:
            change = f"{(row.median - old) / old:+8.1%}" if old else ""
            lines.append(f"{row.operation:46} {row.cpus:4} {old:11,} {row.median:11,} {change}")
    return "\n".join(lines)


def as_dict(rows: List[Row]) -> dict:
    """What bench.json holds."""
    drop = ("limit", "svm_target", "of_guest")
    return {
        "unit": "ticks",
        "rows": [
            {**{k: v for k, v in asdict(row).items() if k not in drop}, "ratio": row.ratio}
            for row in rows
        ],
    }


# ---- README's table

BEGIN, END = "<!-- figures of bench.json: conf/bench --readme -->", "<!-- end of the figures -->"


def cell(row: Optional[dict], key: str) -> str:
    value = row.get(key) if row else None
    return "-" if value is None else f"{value:,}"


def markdown(measured: dict) -> str:
    """A line for each operation: Bochs, where guests run by VT-x, and QEMU, where they run by SVM; on one CPU."""
    found = {(row["source"], row["emulator"]): row for row in measured["rows"] if row["cpus"] == 1}
    lines = [
        "| operation | target | VT-x, Bochs | target | SVM, QEMU | reference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        bochs, qemu = (found.get((row.source, emulator)) for emulator in ("Bochs", "QEMU"))
        qemu = None if row.source in REAL_TIME else qemu
        if not bochs and not qemu:
            continue
        words = (bochs or qemu)["operation"]
        cells = [cell(bochs, "target"), cell(bochs, "median"), cell(qemu, "target"), cell(qemu, "median")]
        lines.append(f"| {words} | {' | '.join(cells)} | {cell(bochs, 'reference')} |")
    return "\n".join(lines)


def update(text: str, measured: dict) -> str:
    """A text with the table between the two marks renewed. Raises ValueError when they are not there."""
    start, end = text.find(BEGIN), text.find(END)
    if start < 0 or end < start:
        raise ValueError(f"no place for the figures: a line {BEGIN} and a line {END}")
    return f"{text[: start + len(BEGIN)]}\n{markdown(measured)}\n{text[end:]}"
