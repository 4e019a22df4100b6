"""Booting: own BIOS loader in both emulators, GRUB, memory sizes, errors in words."""

import re
import shutil

from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.machine import Machine
from jos.qemu import Tcg
from jos.session import HOS

from .common import bochs, nonce, qemu

ELF_MAGIC = b"\x7fELF"


def boot_memory(machine: Machine) -> int:
    """MiB that the kernel says it has."""
    return int(machine.expect(re.compile(r"hOS: (\d+) MiB of memory"), 60).group(1))


@check("Boot", 0, "the BIOS loader starts hOS in QEMU, up to the shell's prompt")
def in_qemu(bench: Bench) -> None:
    session = qemu(bench)
    session.ready()
    check_match(r"hOS: 25\d MiB of memory", session.boot_text)


@check("Boot", 0, "the BIOS loader starts hOS in Bochs, up to the shell's prompt, and Bochs looks for no sound card", lane="bochs")
def in_bochs(bench: Bench) -> None:
    session = bochs(bench)
    said = session.ready().emulator_says()
    check_match(r"hOS: 25\d MiB of memory", session.boot_text)
    check_that("sound" not in said.lower() and "alsa" not in said.lower(), "no word about sound", said)


def boots_with(bench: Bench, name: str, mem: int, least: int) -> None:
    with bench.machine(name, Tcg, mem=mem) as machine:
        seen = boot_memory(machine)
        check_that(least <= seen <= mem, f"{least} to {mem} MiB of memory", f"{seen} MiB")
        machine.expect(HOS, 60)
        machine.sendline("test-fork; halt")
        machine.expect("test-fork: ok", 60)
        check_that(machine.wait_off() == 0, "power-off with status 0")


@check("Boot", 0, "a machine with 64 MiB works")
def small_memory(bench: Bench) -> None:
    boots_with(bench, "boot-64M", 64, 60)


@check("Boot", 0, "a machine with 5 GiB works, and all of its memory is used")
def large_memory(bench: Bench) -> None:
    boots_with(bench, "boot-5G", 5 * 1024, 5 * 1024 - 16)


@check("Boot", 0, "GRUB starts the same kernel from the ISO")
def grub(bench: Bench) -> None:
    iso = bench.obj / "jos.iso"
    check_that(iso.exists(), f"{iso}; run `make iso`")
    with bench.machine("boot-grub", Tcg, kernel=None, cmdline=None, iso=iso) as machine:
        machine.expect(HOS, 90)
        machine.sendline("test-fork; halt 3")
        machine.expect("test-fork: ok", 60)
        check_that(machine.wait_off() == 3, "power-off with status 3")


@check("Boot", 0, "the command line rewritten in the image starts a program with its arguments")
def command_line(bench: Bench) -> None:
    word = nonce()
    line = f"graded thenhalt run=echo -- {word} twice {word}"
    with bench.machine("boot-cmdline", Tcg, cmdline=line) as machine:
        machine.expect(f"{word} twice {word}", 60)
        check_that(machine.wait_off() == 0, "power-off with echo's status, 0")


@check("Boot", 0, "a damaged kernel is refused by the loader in words, on the serial line too")
def damaged(bench: Bench) -> None:
    broken = bench.folder / "damaged.img"
    shutil.copyfile(bench.obj / "kernel.img", broken)
    with open(broken, "r+b") as image:
        place = image.read().index(ELF_MAGIC)
        image.seek(place)
        image.write(b"\x7fELG")
    with bench.machine("boot-damaged", Tcg, kernel=broken) as machine:
        machine.expect("The kernel cannot be loaded: it is not an ELF file.", 60)
        machine.wait_exit(30)
