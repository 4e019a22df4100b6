"""QEMU: fast. With KVM where that offers nested virtualization; otherwise with TCG, which emulates SVM with nested
paging, so that guests run on any machine.
"""

import fcntl
import os
import signal
from pathlib import Path
from typing import Dict, List

from .machine import Config

KVM_CHECK_EXTENSION = 0xAE03
KVM_CAP_NESTED_STATE = 157
EXIT_PORT = "isa-debug-exit,iobase=0x501,iosize=4"
# One TSC tick, one nanosecond of the machine, is one instruction; an idle CPU skips to its next timer.
ICOUNT = ("-icount", "shift=0,sleep=off", "-rtc", "clock=vm,base=2024-01-01")
# All that this QEMU emulates: SVM and nested paging, which the default CPU does not announce; SMEP, SMAP, NX and 1 GiB
# pages; x2APIC and the TSC deadline in newer ones. Named models (EPYC, qemu64,+svm,+npt) have less, and no more of SVM.
TCG_CPU = "max"
# Of a copy that is thrown away: a flush of the drive need not wait for the build machine's own disk.
NO_FSYNC = "cache=unsafe"
# Where guests run on several CPUs, these take turns in one thread. With a thread each (MTTCG), QEMU 7.2 loses flags
# of the first CPU, as GIF and that of nested paging: whenever another CPU loads an x87 state without a pending
# exception (FXRSTOR, FNINIT), it clears a bit in the same word of the first one, without a lock.
ONE_THREAD = ",thread=single"
# What nested virtualization gives hOS: the CPU's flag, and the module of Linux that drives it.
KVM_MODULES: Dict[str, str] = {
    "vmx": "kvm_intel",
    # LAB project cut
    "svm": "kvm_amd",
    # LAB project end
}


def kvm_offers(*flags: str) -> bool:
    """Ask KVM itself: a /dev/kvm that can be opened, a CPU with one of these flags, nested virtualization."""
    return any(kvm_nests(flag) for flag in flags or KVM_MODULES)


def kvm_nests(flag: str) -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
        nested = Path(f"/sys/module/{KVM_MODULES[flag]}/parameters/nested").read_text().strip()
        fd = os.open("/dev/kvm", os.O_RDWR)
    except OSError:
        return False
    try:
        keeps_state = fcntl.ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE)
    except OSError:
        keeps_state = 0
    finally:
        os.close(fd)
    return f" {flag} " in flags.replace("\n", " ") and nested in ("Y", "1") and keeps_state > 0


def gdb_arguments(port: int) -> List[str]:
    """Start stopped, with the gdb stub on this port."""
    return ["-S", "-gdb", f"tcp:127.0.0.1:{port}"]


class Qemu:
    name = "qemu"
    busy_idle = False

    def __init__(self) -> None:
        self.accel = self.choose_accel()

    def choose_accel(self) -> str:
        return "kvm" if kvm_offers() else "tcg"

    def command(self, config: Config, work: Path, port: int) -> List[str]:
        default_cpu = "host" if self.accel == "kvm" else TCG_CPU
        turns = ONE_THREAD if config.one_thread and config.cpus > 1 and self.accel == "tcg" else ""
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-accel", self.accel + turns]
        command += ["-cpu", config.cpu or default_cpu, "-smp", f"{config.cpus},sockets={config.cpus}"]
        command += ["-m", f"{config.mem}M", "-vga", "std"]
        command += ["-display", "gtk" if config.window else "none"]
        command += ["-chardev", f"socket,id=com1,host=127.0.0.1,port={port},server=off"]
        command += ["-serial", "chardev:com1", "-device", EXIT_PORT, "-no-reboot"]
        for index, to in ((1, config.serial2), (2, config.serial3)):
            if to is not None:
                name = f"com{index + 1}"
                command += ["-chardev", f"socket,id={name},host=127.0.0.1,port={to},server=off"]
                command += ["-device", f"isa-serial,chardev={name},index={index}"]
        for index, image in enumerate((config.kernel, config.fs)):
            if image:
                drive = f"file={image.resolve()},format=raw,if=ide,index={index}"
                command += ["-drive", drive if config.fs_in_place else f"{drive},{NO_FSYNC}"]
        if config.iso:
            command += ["-drive", f"file={config.iso.resolve()},media=cdrom,if=ide,index=2"]
            command += ["-boot", "d"]
        return command + config.extra

    def stop_signal(self) -> int:
        return signal.SIGTERM

    def logs(self, work: Path) -> List[Path]:
        return []


class Tcg(Qemu):
    """QEMU without KVM, the same on every build machine: what tests use."""

    def choose_accel(self) -> str:
        return "tcg"
