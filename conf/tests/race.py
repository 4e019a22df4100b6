"""Data races: programs that use all CPUs on the kernel of `make race`, which reports them on its console."""

import re
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List

from jos.errors import MachineError
from jos.grade import Bench, Mismatch, check_match, check_that
from jos.machine import Machine
from jos.qemu import Tcg
from jos.session import HOS

from .common import TOP, nonce
from .handout import build

CPUS = (2, 4)
LIMIT = 300  # seconds for a line of programs
# Alone: some of them count what is free, or how long they have slept.
ALONE = ("fork", "ipc", "pipe", "spawn", "fault", "fpu", "malloc", "syscall", "fs")
LINES = (
    "test-sleepers 1000",
    "test-sched preemption sleep-beside-spinner yield",
    *(f"test-{name}" for name in ALONE),
    # Different parts of the kernel at the same time.
    "test-fork & test-ipc & test-pipe & test-fault & test-fpu & wait",
    "test-ipc & test-fs & test-fork & sleep 1 & wait",
    # What means harm, with other numbers each time.
    "test-hostile -s {seed} arguments memory",
    "test-hostile -s {seed} -n {rounds} random",
    "test-hostile -s {seed} -n {rounds} races",
    "test-hostile -s {seed} pages tables files",
)
ROUNDS = 3
TRIES = 5  # a race that is there is not found each time
REPORT = re.compile(r"^race: (.+)\n((?:  (?:CPU |  |\w+ became ).+\n)+)", re.MULTILINE)
SUMMARY = re.compile(r"Race detector: (\d+) accesses watched, (\d+) races\.")


@dataclass
class Findings:
    """What the runs have found."""

    races: Dict[str, str] = field(default_factory=dict)  # by the two places, the whole report
    faults: List[str] = field(default_factory=list)  # programs that failed, in words
    watched: int = 0

    def read(self, text: str) -> None:
        """Take the reports out of a machine's console."""
        for found in REPORT.finditer(text):
            places = " and ".join(sorted(found[1].split(" and ")))
            self.races.setdefault(places, found[0])


def programs(line: str) -> List[str]:
    return re.findall(r"test-\w+", line)


def run_line(machine: Machine, line: str) -> None:
    """Run a line of programs; a report may come anywhere, also after a prompt. Raises MachineError."""
    word = nonce()
    start = machine.console.pos
    machine.sendline(f"{line}; echo {word} done")
    found = machine.expect(re.compile(rf"\n{word} done\n|kernel panic.*"), LIMIT)
    text = machine.console.text[start : found.end()]
    failed = [name for name in programs(line) if f"\n{name}: ok\n" not in text]
    if "kernel panic" in found[0]:
        raise MachineError(found[0])
    if failed:
        raise MachineError(f"failed: {', '.join(failed)}")


def boots(bench: Bench, name: str, cpus: int, lines: List[str], findings: Findings) -> Iterator[str]:
    """Run the lines on one machine until one fails, which stays the first of those that are left. Yields progress."""
    with bench.machine(name, Tcg, cpus=cpus) as machine:
        try:
            machine.expect(HOS, 60)
            while lines:
                start = time.monotonic()
                run_line(machine, lines[0])
                yield f"{cpus} CPUs, {lines.pop(0)}: {time.monotonic() - start:.1f} s"
            machine.sendline("halt")
            findings.watched += int(machine.expect(SUMMARY, 60)[1])
        finally:
            findings.read(machine.console.text)


def run(bench: Bench, cpus: int, lines: List[str], findings: Findings) -> Iterator[str]:
    """Run the lines on the kernel of `make race` in bench.obj, with a new machine after a failure. Yields progress."""
    lines = [line.format(seed=secrets.randbelow(10**9), rounds=ROUNDS) for line in lines]
    boot = 0
    while lines:
        boot += 1
        try:
            yield from boots(bench, f"race-{cpus}-{boot}", cpus, lines, findings)
        except MachineError as error:
            findings.faults.append(f"{cpus} CPUs, {lines[0]}: {error}\nlog: {bench.last_log}")
            yield f"{cpus} CPUs, {lines.pop(0)}: FAIL"


def report(findings: Findings) -> bool:
    """Print the verdict. Returns whether all is well."""
    for text in findings.races.values():
        print(f"\n{text}", end="")
    for fault in findings.faults:
        print(f"\nFAIL with {fault}")
    watched = f"{findings.watched} accesses watched"
    if findings.races:
        print(f"\n{len(findings.races)} races found ({watched}); doc/internals.md tells how to read a report")
    elif findings.faults:
        print(f"\nNo race found ({watched}), but {len(findings.faults)} lines of programs failed")
    else:
        print(f"No race found ({watched})", flush=True)
    return not findings.races and not findings.faults


# ---- Kernels with a race of known places


@dataclass(frozen=True)
class Planted:
    """A patch that brings a race into the kernel: conf/races/NAME.patch begins with

        What is wrong, in words
        Run: programs
        Race: a regular expression for the places of the first line of a report

    and the difference follows, as `diff -u` writes it."""

    path: Path
    words: str
    line: str
    places: str

    @staticmethod
    def read(path: Path) -> "Planted":
        head = check_match(r"\A(.+)\nRun: (.+)\nRace: (.+)\n\n--- a/", path.read_text())
        return Planted(path, *head.groups())


def all_planted() -> List[Planted]:
    return [Planted.read(path) for path in sorted((TOP / "conf/races").glob("*.patch"))]


def tracked(folder: Path) -> None:
    """Turn the folder into a copy of this tree, keeping what was compiled and has not changed."""
    names = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE, check=True,
    ).stdout.decode().split("\0")
    for name in filter(None, names):
        source, target = TOP / name, folder / name
        if not source.is_file():
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)


def is_found(bench: Bench, planted: Planted) -> str:
    """The kernel with this race reports it. Returns the report."""
    folder = bench.folder / "planted"
    tracked(folder)
    patch = ["patch", "-p1", "--no-backup-if-mismatch", "-s", "-d", folder, "-i", planted.path]
    done = subprocess.run([str(word) for word in patch], capture_output=True, text=True, check=False)
    check_that(done.returncode == 0, f"{planted.path.name} to apply", done.stdout + done.stderr)
    build(folder, "RACE=1")
    there = Bench(folder / "obj", bench.folder, bench.lane)
    findings = Findings()
    for _ in range(TRIES):
        list(run(there, CPUS[0], [planted.line], findings))
        for places, text in findings.races.items():
            if re.search(planted.places, places):
                return text
    raise Mismatch(f"expected a report of {planted.places}; saw\n" + ("\n".join(findings.races) or "none"))
