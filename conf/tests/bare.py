"""Small PC kernels that drive one device each and rely on nothing of this project: on a bare machine, whose devices are
QEMU's or Bochs', and as guests, where they say the same."""

import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

from jos import qmp
from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.machine import CONF, Machine
from jos.platforms import BOTH, SVM, Platform
from jos.qemu import ICOUNT, Tcg
from jos.session import Session

from .common import hos, nonce
from .guests import GUESTS

LIMIT = 60  # seconds for a kernel
DISK_SECTORS = (8192, 8192)
MODERN = "disable-legacy=on"
RNG = ("-device", f"virtio-rng-pci,{MODERN}")


@dataclass(frozen=True)
class Row:
    kernel: str
    emulator: type  # of the bare machine
    words: str = ""  # on the kernel's command line, there and in the guest
    devices: Tuple[str, ...] = ()  # more arguments for QEMU; {work} is the check's folder
    options: str = ""  # of the guest's vmm
    own: str = ""  # lines that say what only this machine has


# Words leave out what an emulator does otherwise than the manual says; the kernels' sources tell. QEMU has no x2APIC,
# and its local APIC gives no errors; Bochs has no virtio.
ROWS = (
    Row("uart", Bochs),
    Row("uart", Tcg),
    Row("acpi", Bochs, own=r"table |[A-Z]{4} [0-9a-f]"),
    Row("acpi", Tcg, own=r"table |[A-Z]{4} [0-9a-f]"),
    Row("ioapic", Bochs),
    Row("ioapic", Tcg, "nogate"),
    Row("pm", Bochs),
    Row("pm", Tcg),
    Row("rtc", Bochs, "bare"),
    Row("rtc", Tcg),
    Row("xapic", Bochs, "bare"),
    Row("apic-modes", Bochs, "bare"),
    Row("timer", Bochs, "bare"),
    # QEMU's virtio devices have MSI-X only; edu has MSI.
    Row("pci", Tcg, "bare", (*RNG, "-device", "edu"), own=r"trying the registers of MSI"),
    Row("virtio-rng", Tcg, "", RNG, own=r"trying interrupts by MSI\s*$"),
    Row(
        "blk",
        Tcg,
        "bare two",
        (
            *("-drive", "file={work}/disk0,format=raw,if=none,id=a", "-device", f"virtio-blk-pci,drive=a,serial=A,{MODERN}"),
            *("-drive", "file={work}/disk1,format=raw,if=none,id=b,readonly=on"),
            *("-device", f"virtio-blk-pci,drive=b,serial=B,{MODERN}"),
        ),
        "-V -d /bare0.img,serial=A -d /bare1.img,ro,serial=B",
    ),
    Row(
        "virtio-net",
        Tcg,
        "bare",
        (  # what it sends comes back, since both ends of its line are one socket
            *("-netdev", "dgram,id=n,local.type=unix,local.path={work}/net,remote.type=unix,remote.path={work}/net"),
            *("-device", f"virtio-net-pci,netdev=n,romfile=,{MODERN}"),
        ),
        "-N",
    ),
)


def rows_for(platform: Platform) -> List[Row]:
    """Each kernel once, with the platform's own emulator as the bare machine if that has the device."""
    chosen = {}
    for row in ROWS:
        if row.kernel not in chosen or row.emulator is platform.emulator:
            chosen[row.kernel] = row
    return list(chosen.values())


def folder(bench: Bench) -> Path:
    """For files of QEMU's devices: the lanes run at a time."""
    path = bench.folder / f"bare-{bench.platform.key}"
    path.mkdir(exist_ok=True)
    return path


def bare(bench: Bench, row: Row, *more: str) -> Machine:
    """The kernel on the bare machine. QEMU's -kernel takes 32-bit ELF only; in Bochs this project's loader starts it."""
    name = f"bare-{row.kernel}-{bench.platform.key}"
    kernel = bench.obj / "guests" / row.kernel
    if row.emulator is Bochs:
        image = bench.folder / f"{name}.img"
        build = [sys.executable, CONF / "kernimg", "build", "-o", image, "--boot", bench.obj / "boot/boot.img"]
        subprocess.run([*build, "--kernel", kernel], check=True)
        return bench.machine(name, Bochs, kernel=image, fs=None, cmdline=row.words)
    image = bench.folder / f"{name}.elf32"
    subprocess.run(["objcopy", "-I", "elf64-x86-64", "-O", "elf32-i386", kernel, image], check=True)
    extra = ["-kernel", str(image), "-append", row.words, *more]
    extra += [word.format(work=folder(bench)) for word in row.devices]
    return bench.machine(name, Tcg, kernel=None, fs=None, cmdline=None, extra=extra)


def result(machine: Machine, name: str) -> str:
    """All that the kernel says, once it has come to an end."""
    machine.expect(re.compile(rf"{name}: (?:ok|\d+ checks failed|FAILED: unexpected trap[^\n]*)\r?\n"), LIMIT)
    return machine.console.text


def said(row: Row, text: str) -> List[str]:
    """The kernel's lines from its first one on."""
    name = row.kernel
    check_that(f"{name}: ok" in text and "FAILED" not in text, f"`{name}: ok`", text)
    lines = text[text.index(f"{name}: ") : text.index(f"{name}: ok")].splitlines()
    return [line.rstrip() for line in lines if not (row.own and re.match(f"{name}: (?:{row.own})", line))]


def as_guest(session: Session, row: Row, feed: str = "") -> str:
    """What it says, without vmm's line about the loading."""
    text = session.sh(f'{feed}vmm {row.options} -k {GUESTS}/{row.kernel} -a "{row.words}"', LIMIT)
    return re.sub(r"(?m)^[^\n]* KiB ok [^\n]*\n", "", text, count=1)


def same(row: Row, on_bare: str, in_guest: str) -> None:
    want, got = "\n".join(said(row, on_bare)), "\n".join(said(row, in_guest))
    check_that(want == got, f"what {row.kernel} says on the bare machine:\n{want}\n", got)


@check("Devices", 0, "small PC kernels say the same in a guest as on the bare machine", on=BOTH)
def reference(bench: Bench) -> None:
    session = hos(bench)
    for number, sectors in enumerate(DISK_SECTORS):
        (folder(bench) / f"disk{number}").write_bytes(bytes(sectors * 512))
        session.sh(f"test-disks make {sectors} /bare{number}.img")
    for row in rows_for(bench.platform):
        if row.kernel == "timer" and bench.platform == SVM:  # it compares times, and QEMU's are real but for this
            session = hos(bench, "icount", extra=list(ICOUNT))
        with bare(bench, row) as machine:
            on_bare = result(machine, row.kernel)
            machine.kill()
        same(row, on_bare, as_guest(session, row))
        session = hos(bench)
    session.sh("rm /bare0.img /bare1.img")


@check("Devices", 0, "QEMU's virtio-console and the guest's give the same to one driver", on=BOTH)
def console(bench: Bench) -> None:
    word, path = nonce(), folder(bench) / "console"
    path.unlink(missing_ok=True)
    line = ["-chardev", f"socket,id=v,path={path}", "-device", f"virtio-serial-pci,{MODERN}"]
    line += ["-device", "virtconsole,chardev=v"]
    row = Row("virtio-console", Tcg)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(LIMIT)
        with bare(bench, row, *line) as machine, server.accept()[0] as end:
            end.settimeout(LIMIT)
            end.sendall(f"{word}\n".encode())
            shown = b""
            while f'"{word}"\n'.encode() not in shown:
                shown += end.recv(4096)
            result(machine, row.kernel)
            own = machine.console.text
    same(row, shown.decode() + own[own.index(f"{row.kernel}: ") :], as_guest(hos(bench), row, f"echo {word} | "))


@check("Devices", 0, "one kernel switches off and starts again by ACPI's registers on bare machines and as a guest", on=BOTH)
def power(bench: Bench) -> None:
    off = Row("pm", bench.platform.emulator, "off")
    with bare(bench, off) as machine:
        result(machine, "pm")
        machine.wait_exit(LIMIT)
    again = Row("pm", Tcg, "reset")
    with bare(bench, again, "-M", "q35", "-action", "reboot=reset") as machine:
        for _ in range(2):
            machine.expect("pm: trying the timer", LIMIT)
            machine.expect("pm: ok", LIMIT)
    session = hos(bench)
    as_guest(session, off)
    check_that(session.status() == 0, "status 0")
    check_match(r"it asked for a reset \(port 0xcf9\)", as_guest(session, again))


@check("Devices", 0, "QEMU's power button does to a kernel what a guest's does")
def button(bench: Bench) -> None:
    path = bench.folder / "button.qmp"
    with bare(bench, Row("pm", Tcg, "button"), *qmp.arguments(path)) as machine:
        machine.expect("to wait for the button", LIMIT)
        with qmp.Qmp(path) as control:
            control.execute("system_powerdown")
        text = result(machine, "pm")
    check_that("pm: ok" in text, "`pm: ok`", text)
