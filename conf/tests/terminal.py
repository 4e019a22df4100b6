"""Programs that talk to a terminal: a test at the other end of a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import List

from jos.console import ESCAPES
from jos.errors import MachineError, tail

from .common import TOP


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
