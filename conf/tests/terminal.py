"""Programs that talk to a terminal: a test at the other end of a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Callable, List

from jos.console import ESCAPES
from jos.errors import MachineError, tail
from jos.grade import Mismatch
from jos.machine import Machine

from .common import TOP

DEBIAN = "/usr/lib/python3/dist-packages"  # where python3-pyte is, whichever Python runs this
if DEBIAN not in sys.path:
    sys.path.append(DEBIAN)
import pyte  # noqa: E402

ROWS = 24


class Terminal:
    """A program in a session of its own, whose terminal we are: a context manager. What is typed is turned into
    signals by the terminal, as for a person."""

    def __init__(self, command: List[str], log: Path, rows: int = 24, columns: int = 80) -> None:
        self.ours, theirs = pty.openpty()
        self.text = ""  # everything that came, without escape sequences and carriage returns
        self.pos = 0  # what is before this has been expected already
        self.raw = b""
        self.log = open(log, "wb")
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "env", "TERM=dumb", *command], cwd=TOP, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        """A terminal that hangs up ends what runs in it."""
        os.close(self.ours)
        self.log.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def receive(self, seconds: float) -> bool:
        """Take what comes. False: nothing did, or the program has ended."""
        if not select.select([self.ours], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # EIO: nobody has the other end open
            return False
        self.raw += data
        self.log.write(data)
        self.log.flush()
        self.text = ESCAPES.sub("", self.raw.decode(errors="replace").replace("\r", ""))
        return bool(data)

    def expect(self, pattern: str, limit: float = 120) -> "re.Match[str]":
        """Wait until the expression is found after what was expected before. Raises MachineError."""
        until = time.monotonic() + limit
        while not (found := re.compile(pattern).search(self.text, self.pos)):
            if not self.receive(until - time.monotonic()):
                raise MachineError(f"no {pattern!r} on the terminal; got\n{tail(self.text[self.pos :])}")
        self.pos = found.end()
        return found


class Display(pyte.Screen):
    """A terminal of this width at a machine's console, which answers what it is asked, or does not."""

    def __init__(self, machine: Machine, columns: int, answers: bool = True) -> None:
        super().__init__(columns, ROWS)
        self.machine = machine
        self.answers = answers
        self.asked = 0
        self.stream = pyte.ByteStream(self)
        self.seen = machine.console.log.stat().st_size

    def write_process_input(self, data: str) -> None:
        self.asked += 1
        if self.answers:
            self.machine.send(data)

    def update(self) -> None:
        """Show what has come."""
        console = self.machine.console
        console.receive(0.2)
        with open(console.log, "rb") as log:
            log.seek(self.seen)
            data = log.read()
        self.seen += len(data)
        self.stream.feed(data)

    def shows(self, text: str, cursor: int) -> bool:
        """Does this text stand where it should, with the cursor before its character of this number, and nothing
        after it?"""
        top = self.cursor.y - (cursor - (self.cursor.x == self.columns)) // self.columns
        place = (self.cursor.y - top) * self.columns + self.cursor.x
        below = "".join(line.ljust(self.columns) for line in self.display[max(top, 0) :])
        return top >= 0 and place == cursor and below.rstrip() == text.rstrip()

    def wait(self, holds: Callable[[], bool], what: str, limit: float = 60) -> None:
        """Wait until that holds. Raises Mismatch."""
        until = time.monotonic() + limit
        while not holds():
            if time.monotonic() > until:
                picture = "\n".join(f"    |{line}|" for line in self.display)
                raise Mismatch(f"expected {what}; the cursor is at {self.cursor.y}, {self.cursor.x}, and this is shown:\n{picture}")
            self.update()

    def key(self, keys: str, text: str, cursor: int) -> None:
        """Type this, and wait until the text, with its prompt, is shown."""
        self.machine.send(keys)
        self.wait(lambda: self.shows(text, cursor), f"{text!r} with the cursor at {cursor} after {keys!r}")
