"""A machine's serial console as a stream of text.

The emulator connects to a listening socket of ours. Received text is kept without carriage returns
and terminal escape sequences, so that patterns match what a reader would see.
"""

import re
import select
import socket
from pathlib import Path
from typing import Callable, Optional, Union

from .errors import MachineEnded, TimeUp, tail
from .limits import POLL_SECONDS, Patience

Pattern = Union[str, "re.Pattern[str]"]

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[0-Z\\-~])")
HALF_ESCAPE = re.compile(r"\x1b(?:\[[0-9;? -/]*)?$")


class Console:
    """One serial line. `spent` tells how many seconds of CPU time the emulator has used: limits
    are in that unit, so that a busy build machine fails no test; see limits.py."""

    def __init__(self, log: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port: int = self.listener.getsockname()[1]
        self.sock: Optional[socket.socket] = None
        self.text = ""  # everything received, as a reader sees it
        self.pos = 0  # text before this has been consumed by expect
        self.half = ""  # start of an escape sequence whose end has not arrived
        self.ended = False
        self.log = log
        self.log_file = open(log, "wb")

    def attach(self, pidfd: int, limit: float, spent: Callable[[], float]) -> None:
        """Wait until the emulator connects. Raises MachineEnded, TimeUp."""
        patience = Patience(limit, spent)
        ready: list = []
        while not ready and not patience.is_over():
            ready, _, _ = select.select([self.listener, pidfd], [], [], POLL_SECONDS)
        if self.listener in ready:
            self.sock, _ = self.listener.accept()
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif pidfd in ready:
            raise MachineEnded("the emulator ended before it opened the serial line")
        else:
            raise TimeUp(f"the emulator did not open the serial line within {patience}")

    def close(self) -> None:
        for s in (self.sock, self.listener):
            if s:
                s.close()
        self.log_file.close()

    def receive(self, timeout: float) -> bool:
        """Take what has arrived, waiting up to timeout seconds for the first byte. False: nothing
        came, or the line is closed (then `ended` is set)."""
        if self.ended or self.sock is None:
            return False
        ready, _, _ = select.select([self.sock], [], [], timeout)
        if not ready:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.log_file.write(data)
        self.log_file.flush()
        fresh = self.half + data.decode("utf-8", "replace").replace("\r", "")
        cut = HALF_ESCAPE.search(fresh)
        self.half = fresh[cut.start() :] if cut else ""
        self.text += ESCAPES.sub("", fresh[: cut.start()] if cut else fresh)
        return True

    def expect(self, pattern: Pattern, limit: float, spent: Callable[[], float]) -> "re.Match[str]":
        """Wait for pattern (text, or a compiled expression) in what has not been consumed yet, and
        consume up to its end. Raises TimeUp, MachineEnded."""
        regex = re.compile(re.escape(pattern)) if isinstance(pattern, str) else pattern
        patience = Patience(limit, spent)
        while True:
            found = regex.search(self.text, self.pos)
            if found:
                self.pos = found.end()
                return found
            if self.receive(POLL_SECONDS):
                continue
            seen = tail(self.text[self.pos :] or "(nothing)")
            wanted = pattern if isinstance(pattern, str) else regex.pattern
            if self.ended:
                raise MachineEnded(f"the machine ended; expected {wanted!r}, got\n{seen}")
            if patience.is_over():
                raise TimeUp(f"no {wanted!r} within {patience}; got\n{seen}")

    def send(self, data: str) -> None:
        """Type; what is no UTF-8 travels as os.fsdecode leaves it. Raises MachineEnded."""
        if self.sock is None:
            raise MachineEnded("the serial line is not connected")
        try:
            self.sock.sendall(data.encode(errors="surrogateescape"))
        except OSError as error:
            raise MachineEnded(f"the serial line is closed ({error.strerror})") from error
