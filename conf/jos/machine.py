"""One run of an emulated machine, from start to end.

A Machine works on copies of the images in a private directory, so that a run never changes what the
build made; the command line is rewritten in the copy. conf/run sets fs_in_place, since there the
user's files are to stay.
"""

import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Optional, Protocol

from .console import Console, Pattern
from .errors import MachineEnded, MachineError, TimeUp, tail
from .limits import POLL_SECONDS, Patience, cpu_seconds

CONF = Path(__file__).resolve().parent.parent
POWERED_OFF = re.compile(r"Powered off with status (\d+)\.")

# An emulator does not outlive who has started it, however that ends.
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")

MEM_UNITS = {"M": 1, "G": 1024}


def megabytes(text: str) -> int:
    """256M, 5G or a plain number of MiB. Raises ValueError, also for sizes below 1M."""
    unit = MEM_UNITS.get(text[-1:])
    return count(text[:-1]) * unit if unit else count(text)


def count(text: str) -> int:
    """A whole number from 1 on. Raises ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    return number


def fs_image(obj: Path) -> Path:
    """The file system for a user's own runs: the one with Linux, if `make linux` has made it."""
    with_linux = obj / "linux/fs.img"
    return with_linux if with_linux.exists() else obj / "fs.img"


@dataclass
class Config:
    """What a machine is made of."""

    kernel: Optional[Path] = None  # kernel.img, first disk
    fs: Optional[Path] = None  # fs.img, second disk
    iso: Optional[Path] = None  # boot from this CD instead of the first disk
    cmdline: Optional[str] = None  # None: as it is in the image
    mem: int = 256  # MiB
    cpus: int = 1
    cpu: str = ""  # CPU model, "": the emulator's default for this project
    ips: int = 20_000_000  # Bochs: ticks in an emulated second
    bios: Optional[Path] = None  # Bochs: another BIOS image
    word: str = ""  # one more word on the command line, in front
    serial2: Optional[int] = None  # COM2: the emulator connects it to this TCP port
    serial3: Optional[int] = None  # COM3: likewise
    one_thread: bool = False  # QEMU's TCG: the CPUs take turns, see qemu.py
    trace: bool = False  # Bochs: log serial bytes and VM exits with their ticks, see trace.py
    window: bool = False  # show the VGA screen
    fs_in_place: bool = False  # write to fs itself, not to a copy
    extra: List[str] = field(default_factory=list)  # QEMU arguments


class Backend(Protocol):
    """What differs between emulators."""

    name: str
    accel: str  # "" or how it is accelerated
    busy_idle: bool  # an idle machine keeps a core of the host busy

    def command(self, config: Config, work: Path, port: int) -> List[str]:
        """Write what the emulator needs into work; the command that starts it."""

    def stop_signal(self) -> int:
        """The signal that ends the emulator in an orderly way."""

    def logs(self, work: Path) -> List[Path]:
        """Files that say what went wrong, most telling last."""


class Machine:
    """Use as a context manager: the emulator is gone when the block is left."""

    def __init__(self, backend: Backend, config: Config, log: Optional[Path] = None) -> None:
        self.backend = backend
        self.config = config
        self.work = Path(tempfile.mkdtemp(prefix="jos-run-"))
        self.console = Console(log or self.work / "console.log")
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.pidfd = -1
        self.lock_file = None
        self.busy = False  # something in it keeps a core busy all the time

    def __enter__(self) -> "Machine":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the emulator and wait until it holds the serial line. Raises MachineError."""
        config = self.config
        if config.kernel:
            config.kernel = self.copy(config.kernel)
            if config.word and config.cmdline is None:
                config.cmdline = kernimg(config.kernel).strip()
            if config.cmdline is not None:
                kernimg(config.kernel, f"{config.word} {config.cmdline}".strip())
        if config.fs:
            if config.fs_in_place:
                self.lock_image(config.fs)
            else:
                config.fs = self.copy(config.fs)
        command = self.backend.command(config, self.work, self.console.port)
        if not shutil.which(command[0]):
            needed = subprocess.run(
                [CONF / "need", command[0]], capture_output=True, text=True, check=False
            )
            raise MachineError(needed.stderr.strip() or f"cannot start {command[0]}")
        with open(self.work / "emulator.out", "wb") as out:
            self.process = subprocess.Popen(
                [*WITH_PARENT, *command],
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C at our terminal is not the emulator's
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        self.explained(lambda: self.console.attach(self.pidfd, 60, self.spent))

    def copy(self, image: Path) -> Path:
        """A private, sparse copy of an image."""
        if not image.exists():
            raise MachineError(f"{image} is missing; run `make` first")
        target = self.work / image.name
        copy = ["cp", "--sparse=always", "--reflink=auto", image, target]
        if subprocess.run(copy, check=False).returncode != 0:
            raise MachineError(f"cannot copy {image} to {self.work}; TMPDIR names another folder for it")
        target.chmod(0o644)
        return target

    def lock_image(self, image: Path) -> None:
        """Keep two runs from writing to one image. Raises MachineError."""
        if not image.exists():
            raise MachineError(f"{image} is missing; run `make` first")
        self.lock_file = open(image, "rb")
        try:
            fcntl.flock(self.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError(f"{image} is in use by another run; end that one first") from None

    def spent(self) -> float:
        return cpu_seconds(self.process.pid) if self.process else 0.0

    def explained(self, action: Callable[[], object]) -> object:
        """Do it; if the machine ended meanwhile, add what the emulator said."""
        try:
            return action()
        except MachineEnded as error:
            said = self.emulator_says()
            raise MachineEnded(f"{error}\n{said}" if said else str(error)) from None

    def emulator_says(self) -> str:
        """The end of the emulator's own logs."""
        parts = []
        for path in [self.work / "emulator.out", *self.backend.logs(self.work)]:
            text = path.read_text(errors="replace").strip() if path.exists() else ""
            if text:
                parts.append(f"{self.backend.name} said ({path.name}):\n{tail(text)}")
        return "\n".join(parts)

    def expect(self, pattern: Pattern, limit: float = 60) -> "re.Match[str]":
        """Wait for a pattern; see Console.expect."""
        found = self.explained(lambda: self.console.expect(pattern, limit, self.spent))
        assert isinstance(found, re.Match)
        return found

    def send(self, text: str) -> None:
        self.console.send(text)

    def sendline(self, line: str) -> None:
        self.console.send(line + "\n")

    def wait_off(self, limit: float = 30) -> int:
        """Wait until the machine has powered itself off. Returns its status. Raises TimeUp, or
        MachineEnded when it ended without a status."""
        found = self.expect(POWERED_OFF, limit)
        self.wait_exit(limit)
        return int(found.group(1))

    def wait_exit(self, limit: float = 30) -> int:
        """Wait until the emulator is gone, however it ends. Returns its exit status. Raises
        TimeUp."""
        assert self.process
        patience = Patience(limit, self.spent)
        ready: list = []
        while not ready and not patience.is_over():
            wait = 0 if self.console.receive(POLL_SECONDS) else POLL_SECONDS
            ready, _, _ = select.select([self.pidfd], [], [], wait)
        while self.console.receive(0):
            pass
        if not ready:
            raise TimeUp(f"{self.backend.name} did not end within {patience}")
        return self.process.wait()

    def stop(self) -> None:
        """End the emulator from outside."""
        if self.process is None or self.process.poll() is not None:
            return
        self.freeze(False)
        for number in (self.backend.stop_signal(), signal.SIGKILL):
            self.process.send_signal(number)
            ready, _, _ = select.select([self.pidfd], [], [], 5)
            if ready:
                break
        self.process.wait()

    def freeze(self, frozen: bool) -> None:
        """Stop an emulator that nobody talks to, if it would keep a core busy; let it go on."""
        if (self.backend.busy_idle or self.busy) and self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        """End the emulator at once, as a power failure would end a machine."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.stop()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if self.lock_file:
            self.lock_file.close()
        self.console.close()
        shutil.rmtree(self.work, ignore_errors=True)


def kernimg(image: Path, *text: str) -> str:
    """Rewrite, or without a text tell, the kernel command line in a kernel.img. Raises
    MachineError."""
    done = subprocess.run(
        [sys.executable, CONF / "kernimg", "cmdline", image, *text],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MachineError(done.stderr.strip() or f"no access to the command line of {image}")
    return done.stdout
