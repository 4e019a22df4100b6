"""The grader: checks with points, run in two lanes, reported as they finish.

A check is a function with a sentence: what holds. It fails by raising; Mismatch says what was expected
and what was seen. Checks of one lane run one after the other: Bochs has a lane of its own, so that two
cores are busy and never more than one Bochs.
"""

import json
import re
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from .errors import MachineError, tail
from .machine import Backend, Config, Machine
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
    order: int = 0
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
    sessions: Dict[str, Session] = field(default_factory=dict)
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
        for session in self.sessions.values():
            session.drop()


CHECKS: List[Check] = []


def check(group: str, points: int, sentence: str, lane: str = "qemu"):
    """Decorator: register a check."""

    def register(function: Callable[[Bench], Optional[str]]) -> Callable[[Bench], Optional[str]]:
        CHECKS.append(Check(group, points, sentence, lane, function, len(CHECKS)))
        return function

    return register


class Report:
    """Prints results as they come, and the sum at the end."""

    def __init__(self, total: int) -> None:
        self.lock = threading.Lock()
        self.done = 0
        self.total = total

    def finished(self, item: Check) -> None:
        verdict = "OK  " if item.error is None else "FAIL"
        with self.lock:
            self.done += 1
            print(
                f"[{self.done:2}/{self.total}] {verdict} {item.group}: {item.sentence} "
                f"({item.points} points, {item.seconds:.1f} s)"
            )
            if item.note:
                print("    " + item.note.replace("\n", "\n    "))
            if item.error is not None:
                print("    " + item.error.replace("\n", "\n    "))
                if item.log:
                    print(f"    log: {item.log}")
            sys.stdout.flush()


def run_check(item: Check, bench: Bench) -> None:
    """Run one check; its result goes into item."""
    start = time.monotonic()
    bench.used = bench.last_log = None
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
    item.seconds = time.monotonic() - start


def run_lane(items: List[Check], bench: Bench, report: Report) -> None:
    try:
        for item in items:
            run_check(item, bench)
            report.finished(item)
    finally:
        bench.end_sessions()


def run_all(items: List[Check], obj: Path) -> None:
    """Run the checks, one thread a lane."""
    folder = obj / "grade"
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(len(items))
    threads = []
    for lane in LANES:
        mine = [item for item in items if item.lane == lane]
        thread = threading.Thread(target=run_lane, args=(mine, Bench(obj, folder, lane), report))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def summary(items: List[Check], seconds: float) -> None:
    """Points by group, then the score, then the plain count that scripts read."""
    print()
    for group in dict.fromkeys(item.group for item in items):
        members = [item for item in items if item.group == group]
        got = sum(item.points for item in members if item.error is None)
        print(f"{group + ':':24} {got:3}/{sum(item.points for item in members)}")
    got = sum(item.points for item in items if item.error is None)
    failed = sum(item.error is not None for item in items)
    print(f"Time: {seconds:.0f} s")
    print(f"Score: {got}/{sum(item.points for item in items)}")
    print(f"{len(items) - failed} passed, {failed} failed")


def as_json(items: List[Check]) -> str:
    keys = ("group", "points", "sentence", "error", "seconds")
    rows = [{key: getattr(item, key) for key in keys} for item in items]
    for row in rows:
        row["seconds"] = round(row["seconds"], 2)
        row["passed"] = row["error"] is None
    return json.dumps({"tests": rows}, indent=1)
