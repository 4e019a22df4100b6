"""hOS in QEMU with KVM: Linux runs on an outer machine, an emulator with VT-x or SVM, and QEMU on that Linux.

Callers see a Machine like any other, and its console is hOS's. Linux passes the outer machine's COM1 and
its two disks to QEMU, which makes hOS's console and disks of them. Linux itself talks on COM2.
"""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import List, Protocol

from jos.bochs import Bochs
from jos.console import Console, Pattern
from jos.errors import MachineError, tail
from jos.machine import Backend, Config, Machine
from jos.qemu import Qemu, Tcg

OUTER_MEM = 768  # MiB
OUTER_IPS = 100_000_000
SVM_MEM = 1024  # MiB
SVM_CPU = "EPYC"  # in which Debian's kvm_amd finds all that it wants
PATIENCE = 3  # an exit of a guest costs many exits of hOS's machine here
LINUX_LIMIT = 400  # seconds from power-on to the first program
READY = "init: ready\n"
TROUBLE = re.compile(r"init: cannot [^\n]*|Kernel panic[^\n]*|" + re.escape(READY))


class Outer(Backend, Protocol):
    """An emulated machine that boots the CD, with the COM1 and the disks of hOS's configuration."""

    kvm: str  # the module of Linux that drives its virtualization


class BochsWithVtx(Bochs):
    """Bochs, which has VT-x."""

    name = "KVM in Bochs"
    kvm = "kvm-intel"

    def __init__(self, cd: Path) -> None:
        self.cd = cd

    def command(self, config: Config, work: Path, port: int) -> List[str]:
        outer = replace(config, iso=self.cd, mem=OUTER_MEM, ips=OUTER_IPS, cpu="", cpus=1, bios=None)
        return super().command(outer, work, port)


class QemuWithSvm(Tcg):
    """QEMU, which emulates SVM."""

    name = "KVM in QEMU"
    kvm = "kvm-amd"

    def __init__(self, cd: Path) -> None:
        super().__init__()
        self.cd = cd

    def command(self, config: Config, work: Path, port: int) -> List[str]:
        outer = replace(config, iso=self.cd, mem=SVM_MEM, cpu=SVM_CPU, cpus=1)
        return super().command(outer, work, port)


class Kvm(Qemu):
    """QEMU as `make qemu-nox` starts it where KVM offers nested virtualization."""

    def choose_accel(self) -> str:
        return "kvm"


def inner_command(config: Config) -> List[str]:
    """The command line of `make qemu-nox`, to be run by Linux on the outer machine. There the console's
    socket becomes COM1, and the two images become disks; nothing else changes. Raises MachineError unless
    each of the three is replaced exactly once."""
    assert config.kernel and config.fs
    plain = replace(config, serial2=None, serial3=None)
    console = (r"socket,id=com1,.*", "serial,id=com1,path=/dev/ttyS0")
    disks = ((f"file={re.escape(str(image.resolve()))},(.*)", rf"file={device},\1")
             for image, device in ((config.kernel, "/dev/sda"), (config.fs, "/dev/sdb")))
    command = Kvm().command(plain, Path(), 0)
    for pattern, inside in (console, *disks):
        changed = [re.sub(rf"^{pattern}$", inside, word) for word in command]
        if sum(old != new for old, new in zip(command, changed)) != 1:
            raise MachineError(f"QEMU's command line has not one {pattern}: {shlex.join(command)}")
        command = changed
    return command


class NestedMachine(Machine):
    """Its start ends when QEMU has been started; hOS boots then."""

    def __init__(self, outer: Outer, config: Config, log: Path) -> None:
        super().__init__(outer, config, log)
        self.linux = Console(log.with_suffix(".linux.log"))
        config.serial2 = self.linux.port

    def start(self) -> None:
        super().start()
        self.explained(self.start_inside)

    def start_inside(self) -> None:
        """Wait for Linux, and let it start QEMU. Raises MachineError."""
        self.linux.attach(self.pidfd, 60)
        found = self.linux.expect(TROUBLE, LINUX_LIMIT, self.spent)
        if found[0] != READY:
            raise MachineError(f"Linux on the outer machine: {found[0]}")
        self.linux.send(shlex.join(inner_command(self.config)) + "\n")

    def expect(self, pattern: Pattern, limit: float = 60) -> "re.Match[str]":
        """See Machine.expect; limits are those of an emulator alone, and here everything takes longer."""
        return super().expect(pattern, limit * PATIENCE)

    def emulator_says(self) -> str:
        """The emulator's logs, and what Linux printed last: there QEMU complains."""
        while self.linux.receive(0):
            pass
        said = super().emulator_says()
        return f"{said}\nLinux and QEMU said:\n{tail(self.linux.text)}".strip()

    def close(self) -> None:
        super().close()
        self.linux.close()
