"""The lab's checks: exercises, what a test printed of each property, and runs that end early.

A probe is one test on the emulated machine: words of the kernel's command line (a test inside the
kernel), or a line for the shell. It prints a line for each property, with the run's nonce:

    WORD NONCE EXERCISE PROPERTY: ok
    WORD NONCE EXERCISE PROPERTY: FAIL expected ...; saw ...
    WORD NONCE EXERCISE sum: 7 ok, 1 failed

A check is one property with points. Probes run when a check asks for the first of them, all that a
boot can take in that boot. An exercise that is not done stops the machine (or the program) with
words; what needs it is not run then, and says so. A test that does not come to its end for another
reason costs the checks of that probe, and those that need its exercise.
"""

import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set, Tuple

from .errors import MachineError, tail
from .grade import Bench, Mismatch
from .machine import Machine
from .session import HOS

EXERCISES = range(8)
BOOT_LIMIT = 60  # seconds of the emulator's CPU time; a boot takes 2
PROBE_LIMIT = 10  # likewise; the longest probe takes 1
NOT_DONE = re.compile(r"exercise (\d): (\w+) is not implemented yet")
PROPERTY = r"^[\w-]+ {nonce} {exercise} ([\w-]+): (ok|FAIL .*)$"
ANSWER = r"^[\w-]+ {nonce} {exercise} answer of (\w+): ([^:]*): ?(.*)$"
SUM = r"^[\w-]+ {nonce} {exercise} sum: "
PROMPT = re.compile(rf"(?:\A|(?<=\n)){re.escape(HOS)}\Z")


@dataclass(frozen=True)
class Probe:
    """One test. {nonce} in words and line stands for the run's nonce."""

    name: str
    exercise: int
    words: str = ""  # of the kernel's command line; or
    line: str = ""  # for the shell
    needs: Tuple[int, ...] = ()  # exercises, maybe its own, without which it makes no sense
    sums: bool = True  # it prints a sum at its end
    gate: bool = True  # if it does not come to its end, what needs its exercise is not run
    machine: str = "usual"  # which machine it runs on


@dataclass
class Outcome:
    """What a probe printed, and how it ended."""

    text: str = ""
    properties: Dict[str, str] = field(default_factory=dict)  # "": holds; or the words of FAIL
    answers: Dict[str, Tuple[str, str]] = field(default_factory=dict)
    missing: Optional[Tuple[int, str]] = None  # exercise and function that stopped it
    broken: str = ""  # why it did not come to its end, if not by that
    log: Optional[Path] = None


class LabRun:
    """The probes of one lane: what ran, and what is known of the exercises."""

    def __init__(self, bench: Bench, machines: Dict[str, Callable[[Bench, str, str], Machine]]) -> None:
        self.bench = bench
        self.machines = machines
        self.nonce = secrets.token_hex(6)
        self.outcomes: Dict[str, Outcome] = {}
        self.missing: Dict[int, str] = {}  # exercise: its first function that is not there
        self.faulty: Set[int] = set()  # exercises of which a property does not hold
        self.broken: Dict[int, str] = {}  # exercise: why what needs it is not run
        self.machine: Optional[Machine] = None  # with a shell that waits
        self.kind = ""  # what machine it is
        self.boots = 0

    def outcome(self, probe: Probe, wanted: List[Probe]) -> Outcome:
        """What the probe found; it runs now, if it has not. wanted: all that will be asked for."""
        while probe.name not in self.outcomes:
            self.check_needs(probe)
            if probe.words:
                self.boot(probe.machine, [p for p in wanted if self.can_boot(p, probe)])
            else:
                if self.machine is None or self.kind != probe.machine:
                    self.boot(probe.machine, [])
                self.shell(probe)
        return self.outcomes[probe.name]

    def check_needs(self, probe: Probe) -> None:
        """Raise Mismatch if an exercise that the probe needs is not there."""
        for exercise in probe.needs:
            if exercise in self.missing:
                what = f"{self.missing[exercise]} is not implemented yet"
            elif exercise in self.broken:
                what = self.broken[exercise]
            else:
                continue
            raise Mismatch(what if exercise == probe.exercise else f"needs exercise {exercise}: {what}")

    def can_boot(self, probe: Probe, first: Probe) -> bool:
        known = {*self.missing, *self.broken}
        return (
            bool(probe.words)
            and probe.machine == first.machine
            and probe.name not in self.outcomes
            and not known & set(probe.needs)
        )

    def boot(self, name: str, probes: List[Probe]) -> None:
        """Boot with the words of these probes and take what they print, up to the shell."""
        self.close()
        self.boots += 1
        self.kind = name
        log = f"lab-{name}-{self.boots}"
        self.machine = machine = self.machines[name](self.bench, log, merged(probes, self.nonce))
        ended = ""
        try:
            machine.start()
            machine.expect(PROMPT, BOOT_LIMIT)
        except MachineError as error:
            ended = str(error)
            self.close()
        self.take(probes, machine.console.text, ended)
        if ended and not probes:
            raise MachineError(ended)

    def take(self, probes: List[Probe], text: str, ended: str) -> None:
        """Share what a boot printed among its probes. The first without its sum is the one that
        ended it; those after it have not run."""
        for probe in probes:
            complete = self.complete(probe, text)
            self.store(probe, text, "" if complete else ended or "no end of it on the console")
            if not complete:
                return

    def complete(self, probe: Probe, text: str) -> bool:
        marks = SUM.format(nonce=self.nonce, exercise=probe.exercise)
        return bool(re.search(marks, text, re.MULTILINE)) or not probe.sums

    def store(self, probe: Probe, text: str, ended: str) -> None:
        """Read a probe's output. ended: it did not come to its end, and why."""
        outcome = Outcome(text=text, log=self.bench.last_log)
        marks = {"nonce": self.nonce, "exercise": probe.exercise}
        for name, verdict in re.findall(PROPERTY.format(**marks), text, re.MULTILINE):
            words = "" if verdict == "ok" else verdict[len("FAIL ") :]
            if name in outcome.properties:
                words = "expected one line about this property; saw several"
            outcome.properties[name] = words
        for name, value, words in re.findall(ANSWER.format(**marks), text, re.MULTILINE):
            outcome.answers[name] = (value, words)
        if any(outcome.properties.values()):
            self.faulty.add(probe.exercise)
        stop = NOT_DONE.search(text) if ended or not probe.words else None
        if stop:
            outcome.missing = (int(stop[1]), stop[2])
            self.missing.setdefault(int(stop[1]), stop[2])
        elif ended:
            self.blame(probe, outcome, ended)
        self.outcomes[probe.name] = outcome

    def blame(self, probe: Probe, outcome: Outcome, ended: str) -> None:
        """A test did not come to its end. Where an exercise that it needs is wrong, that one comes
        first."""
        before = sorted(self.faulty & set(probe.needs) - {probe.exercise})
        culprit = before[0] if before else probe.exercise
        outcome.broken = ended
        if before:
            outcome.broken = f"{ended}\nmend exercise {culprit} first, where checks fail"
        why = f"its test `{probe.name}` did not come to its end"
        if probe.gate:
            self.broken.setdefault(culprit, "checks of it fail" if before else why)

    def shell(self, probe: Probe) -> None:
        """Type the probe's line and wait for the next prompt."""
        machine = self.machine
        assert machine
        start, ended = machine.console.pos, ""
        try:
            machine.sendline(probe.line.format(nonce=self.nonce))
            machine.expect(PROMPT, PROBE_LIMIT)
        except MachineError as error:
            ended = str(error)
        text = machine.console.text[start:]
        if not ended and not self.complete(probe, text):
            ended = f"the shell's prompt, after\n{tail(text)}"
        self.store(probe, text, ended)
        if machine.console.pos < len(machine.console.text) or ended:
            self.close()

    def close(self) -> None:
        if self.machine:
            self.machine.close()
        self.machine = None


def merged(probes: List[Probe], nonce: str) -> str:
    """The words of probes for one command line: WORD=NONCE:1 and WORD=NONCE:2 become one."""
    words: Dict[str, str] = {}
    for probe in probes:
        for word in probe.words.format(nonce=nonce).split():
            name, _, letters = word.partition(":")
            words[name] = words.get(name, "") + letters
    return " ".join(f"{name}:{letters}" if letters else name for name, letters in words.items())


def verdict(outcome: Outcome, names: Tuple[str, ...], exercise: int) -> None:
    """Raise Mismatch unless all these properties hold."""
    for name in names:
        words = outcome.properties.get(name)
        if words is None:
            untested(outcome, exercise)
        elif words:
            raise Mismatch(words)


def untested(outcome: Outcome, exercise: int) -> None:
    """Raise Mismatch: the test has not come to a property."""
    if outcome.missing:
        number, function = outcome.missing
        what = f"{function} is not implemented yet"
        raise Mismatch(what if number == exercise else f"needs exercise {number}: {what}")
    why = outcome.broken or "the test did without; it printed\n" + tail(outcome.text)
    raise Mismatch(f"expected the test to go on to this property; saw\n{why}")
