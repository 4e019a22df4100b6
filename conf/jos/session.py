"""A shell on a machine: type a command, read what it prints.

A session belongs to many tests in turn. It is booted when first needed, and booted anew when a test
has left it without a prompt.
"""

import re
import secrets
from pathlib import Path
from typing import Callable, Optional

from .errors import MachineError, tail
from .machine import Machine

HOS = "hOS$ "
GOS = "gOS$ "
MAX_BOOTS = 6
PANIC = "kernel panic"
AFTER_PANIC = r"[^\n]*\n(?:.*\n)*?.*(?:K> |Powered off)"  # message, backtrace, and what comes then

TRIES = 10  # to count free frames


def prompt_regex(prompt: str) -> "re.Pattern[str]":
    """The prompt at the start of a line, with nothing after it; or a panic."""
    return re.compile(rf"(?:\A|(?<=\n))(?:{re.escape(prompt)}\Z|{PANIC}{AFTER_PANIC})")


class Session:
    def __init__(self, name: str, build: Callable[[Path], Machine], folder: Path) -> None:
        self.name = name
        self.build = build
        self.folder = folder
        self.machine: Optional[Machine] = None
        self.boots = 0
        self.boot_text = ""

    @property
    def log(self) -> Path:
        suffix = f"-{self.boots}" if self.boots > 1 else ""
        return self.folder / f"{self.name}{suffix}.log"

    def ready(self) -> Machine:
        """The machine, booted to a shell prompt, and running. Raises MachineError."""
        if self.machine is None:
            if self.boots >= MAX_BOOTS:
                raise MachineError(f"gave up on {self.name} after {self.boots} boots")
            self.boots += 1
            self.machine = self.build(self.log)
            try:
                self.machine.start()
                self.boot_text = self.until(HOS, 60)
            except BaseException:
                self.drop()
                raise
        self.machine.freeze(False)
        return self.machine

    def rest(self) -> None:
        """Nobody talks to the machine until somebody asks for it by ready."""
        if self.machine:
            self.machine.freeze(True)

    def at_prompt(self) -> bool:
        """Is the machine up, with hOS's shell waiting for a command?"""
        return self.machine is not None and self.machine.console.text.endswith("\n" + HOS)

    def drop(self) -> None:
        """End the machine; the next test gets a fresh one."""
        if self.machine:
            self.machine.close()
        self.machine = None

    def until(self, prompt: str, limit: float) -> str:
        """Everything up to the next prompt at the end of the output."""
        assert self.machine
        console = self.machine.console
        start = console.pos
        found = self.machine.expect(prompt_regex(prompt), limit)
        if found[0].startswith(PANIC):
            raise MachineError(tail(console.text[start : found.end()], 20))
        return console.text[start : found.start()]

    def sh(self, command: str, limit: float = 30, prompt: str = HOS) -> str:
        """Run one command line; what it printed, without the echo of the line itself."""
        machine = self.ready()
        machine.sendline(command)
        text = self.until(prompt, limit)
        return text.split("\n", 1)[1] if "\n" in text else ""

    def status(self, prompt: str = HOS) -> int:
        """Exit status of the last command."""
        nonce = secrets.token_hex(4)
        text = self.sh(f"echo {nonce} $?", prompt=prompt)
        found = re.search(nonce + r" (\d+)", text)
        if not found:
            raise MachineError(f"`echo $?` printed {text!r}")
        return int(found.group(1))

    def server_pages(self) -> int:
        """Frames of the file server."""
        found = re.search(r"^\w+ +\w+ +\w+ +fs +(\d+) ", self.sh("ps"), re.MULTILINE)
        if not found:
            raise MachineError("`ps` shows no file server")
        return int(found[1])

    def free_pages(self) -> int:
        """Free frames, and those of the file server: its cache grows when it has time to read ahead, between two of
        these commands, too."""
        for _ in range(TRIES):
            before = self.server_pages()
            free = re.search(r"(\d+) free", self.sh("free"))
            if free and self.server_pages() == before:
                return before + int(free[1])
        raise MachineError(f"the file server's memory changed {TRIES} times while nobody used it")

    # ---- gOS inside of this machine

    def open_guest(self, command: str = "vmm", limit: float = 60) -> str:
        """Start gOS and wait for its shell; what was printed on the way."""
        return self.sh(command, limit, prompt=GOS)

    def guest(self, command: str, limit: float = 60) -> str:
        """Run one command line in gOS's shell."""
        return self.sh(command, limit, prompt=GOS)

    def close_guest(self, limit: float = 30) -> str:
        """Halt gOS; what hOS's shell shows up to its prompt."""
        return self.sh("halt", limit)
