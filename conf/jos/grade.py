"""The grader: checks with points, run in two lanes, reported as they finish.

A check is a function with a sentence: what holds. It fails by raising; Mismatch says what was expected
and what was seen. Checks of one lane run one after the other: Bochs has a lane of its own, so that two
cores are busy and never more than one Bochs.
"""

import json
import re
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, TextIO

from .errors import MachineError, tail
from .machine import Backend, Config, Machine
from .platforms import VTX, Platform
from .session import Session

LANES = ("bochs", "qemu")


class Mismatch(Exception):
    """A check's finding: expected one thing, saw another."""


def check_that(holds: object, expected: str, seen: object = "") -> None:
    """Raise Mismatch unless it holds."""
    if not holds:
        text = str(seen).strip()
        raise Mismatch(f"expected {expected}" + (f"; saw\n{tail(text)}" if text else ""))


def check_match(pattern: str, text: str) -> "re.Match[str]":
    """The text must match (multi-line search)."""
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if not found:
        raise Mismatch(f"expected /{pattern}/; saw\n{tail(text or '(nothing)')}")
    return found


@dataclass
class Check:
    group: str
    points: int
    sentence: str
    lane: str
    function: Callable[["Bench"], Optional[str]]
    platform: Platform = VTX  # where guests run
    exercise: Optional[int] = None  # of the lab
    name: str = ""  # a check of the lab: its property
    challenge: str = ""  # the test of a challenge: its name
    guide: str = ""  # where the guide tells of it
    probe: Optional[object] = None  # lab.Probe: what finds out
    note: Optional[str] = None  # what the function returned: lines to print with the result
    error: Optional[str] = None
    seconds: float = 0.0
    log: Optional[Path] = None


@dataclass
class Bench:
    """What a check works with: the built images, and sessions shared by the checks of a lane."""

    obj: Path
    folder: Path  # for logs
    lane: str
    items: List[Check] = field(default_factory=list)  # the checks that this lane will run
    sessions: Dict[str, Session] = field(default_factory=dict)
    lab: Optional[object] = None  # lab.LabRun, when a check of the lab has run
    platform: Platform = VTX  # of the running check
    used: Optional[Session] = None  # the session the running check used last
    last_log: Optional[Path] = None

    def session(self, name: str, backend: Callable[[], Backend], **settings: object) -> Session:
        """The shared session of this name, made with these Config settings at first use."""
        if name not in self.sessions:

            def build(log: Path) -> Machine:
                config = Config(
                    kernel=self.obj / "kernel.img", fs=self.obj / "fs.img", cmdline="graded"
                )
                for key, value in settings.items():
                    setattr(config, key, value)
                return Machine(backend(), config, log)

            self.sessions[name] = Session(name, build, self.folder)
        self.used = self.sessions[name]
        return self.used

    def machine(self, name: str, backend: Callable[[], Backend], **settings: object) -> Machine:
        """A machine of a check's own, to be used in a with block."""
        self.last_log = self.folder / f"{name}.log"
        config = Config(kernel=self.obj / "kernel.img", fs=self.obj / "fs.img", cmdline="graded")
        for key, value in settings.items():
            setattr(config, key, value)
        return Machine(backend(), config, self.last_log)

    def end_sessions(self) -> None:
        if self.lab is not None:
            self.lab.close()
        for session in self.sessions.values():
            session.drop()


CHECKS: List[Check] = []
NEEDS = re.compile(r"needs exercise (\d): ((\w+) is not implemented yet)")


def check(group: str, points: int, sentence: str, lane: str = "qemu", on: Sequence[Platform] = ()):
    """Decorator: register a check. With `on`, one for each of these platforms, which its sentence names; it runs
    in that platform's lane."""

    def register(function: Callable[[Bench], Optional[str]]) -> Callable[[Bench], Optional[str]]:
        if not on:
            CHECKS.append(Check(group, points, sentence, lane, function))
        for platform in on:
            words = f"{sentence} ({platform.name})"
            CHECKS.append(Check(group, points, words, platform.lane, function, platform))
        return function

    return register


class Report:
    """Prints results as they come, and the sum at the end."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.lock = threading.Lock()
        self.done = 0
        self.total = total
        self.out = out

    def finished(self, item: Check) -> None:
        verdict = "OK  " if item.error is None else "FAIL"
        with self.lock:
            self.done += 1
            points = f"{item.points} point{'s' * (item.points != 1)}, " if item.points else ""
            lines = [
                f"[{self.done:2}/{self.total}] {verdict} {item.group}: {item.sentence} "
                f"({points}{item.seconds:.1f} s)"
            ]
            if item.note:
                lines += item.note.split("\n")
            if item.error is not None:
                lines += item.error.split("\n")
                lines += [f"log: {item.log}"] if item.log else []
                lines += [f"guide: {item.guide}"] if item.guide else []
            print("\n    ".join(lines), file=self.out, flush=True)


def run_check(item: Check, bench: Bench) -> None:
    """Run one check; its result goes into item."""
    start = time.monotonic()
    bench.used = bench.last_log = None
    bench.platform = item.platform
    try:
        item.note = item.function(bench)
    except (Mismatch, MachineError) as error:
        item.error = str(error)
    except Exception:  # a fault of the check itself is a failure with a traceback
        item.error = traceback.format_exc()
    item.log = bench.last_log
    if bench.used:
        item.log = bench.used.log
        if not bench.used.at_prompt():
            bench.used.drop()
    for session in bench.sessions.values():
        session.rest()
    item.seconds = time.monotonic() - start


def run_lane(items: List[Check], bench: Bench, report: Report) -> None:
    try:
        for item in items:
            if bench.lab is not None and item.probe is None:
                bench.lab.close()  # its checks come first; the machine would only idle
            run_check(item, bench)
            report.finished(item)
    finally:
        bench.end_sessions()


def run_all(items: List[Check], obj: Path, out: TextIO) -> None:
    """Run the checks, one thread a lane; progress goes to out."""
    folder = obj / "grade"
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(len(items), out)
    threads = []
    for lane in LANES:
        mine = [item for item in items if item.lane == lane]
        bench = Bench(obj, folder, lane, mine)
        thread = threading.Thread(target=run_lane, args=(mine, bench, report))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def score(items: List[Check]) -> int:
    return sum(item.points for item in items if item.error is None)


def full_score(items: List[Check]) -> int:
    return sum(item.points for item in items)


def next_step(items: List[Check]) -> Optional[str]:
    """The first exercise with a check that failed, and what to do about it."""
    failed = [item for item in items if item.error is not None and item.exercise is not None]
    if not failed:
        return None
    first = min(failed, key=lambda item: item.exercise)
    words = (first.error or "").split("\n")[0]
    needed = NEEDS.fullmatch(words)
    if needed:  # one exercise was graded, and it cannot be done yet
        exercise, missing, function = needed.groups()
        return f"Next: exercise {exercise}: {missing} (doc/lab/exercise-{exercise}.md#{function})"
    return f"Next: exercise {first.exercise}: {words} ({first.guide})"


def summary(items: List[Check], seconds: float, out: TextIO) -> None:
    """Points by group, then the score, then the plain count that scripts read."""
    lines = [""]
    for group in dict.fromkeys(item.group for item in items):
        members = [item for item in items if item.group == group]
        passed = sum(item.error is None for item in members)
        if full_score(members):
            lines.append(f"{group + ':':24} {score(members):3}/{full_score(members)}")
        else:
            lines.append(f"{group + ':':24} {passed} of {len(members)} passed")
    failed = sum(item.error is not None for item in items)
    lines.append(f"Time: {seconds:.0f} s")
    step = next_step(items)
    lines += [step] if step else []
    if full_score(items):
        lines.append(f"Score: {score(items)}/{full_score(items)}")
    lines.append(f"{len(items) - failed} passed, {failed} failed")
    print("\n".join(lines), file=out, flush=True)


def check_row(item: Check) -> Dict[str, object]:
    passed = item.error is None
    return {
        "check": item.name,
        "sentence": item.sentence,
        "score": item.points if passed else 0,
        "max": item.points,
        "passed": passed,
        "why": item.error or "",
        "log": str(item.log or ""),
        "guide": item.guide,
    }


def as_json(items: List[Check]) -> str:
    """The lab's checks, for a course's upload system."""
    rows = []
    lab = [item for item in items if item.exercise is not None]
    for exercise in sorted({item.exercise for item in lab}):
        members = [item for item in lab if item.exercise == exercise]
        rows.append(
            {
                "exercise": exercise,
                "score": score(members),
                "max": full_score(members),
                "checks": [check_row(item) for item in members],
            }
        )
    return json.dumps({"score": score(lab), "max": full_score(lab), "exercises": rows}, indent=1)
