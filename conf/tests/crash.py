"""Crash reports: names for kernel and user frames, the other CPUs, guests, and the power-off after them."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.machine import Machine
from jos.platforms import BOTH
from jos.qemu import Tcg
from jos.session import HOS

from .common import TOP, nonce, own_machine, qemu

PANIC_STATUS = 99


def line_of(path: str, text: str) -> int:
    """Where a source file has this text."""
    lines = (TOP / path).read_text().split("\n")
    found = [number for number, line in enumerate(lines, 1) if text in line]
    check_that(len(found) == 1, f"one line with {text!r} in {path}", found)
    return found[0]


def user_frames(*calls: str) -> str:
    """The frames of user/crash.c whose lines hold these calls, then the library's."""
    frames = [rf"\w+\+0x\w+ \(user/crash\.c:{line_of('user/crash.c', call)}\)\n.*" for call in calls]
    return "".join(frames) + r"libmain\+0x\w+ \(lib/libmain\.c:\d+\)\n.*_start\+0x\w+ \(lib/entry\.S:\d+\)"


def report(machine: Machine) -> str:
    """The report, after which the machine has powered itself off."""
    start = machine.console.pos
    status = machine.wait_off(60)
    check_that(status == PANIC_STATUS, f"power-off with status {PANIC_STATUS}", status)
    return machine.console.text[start:]


@check("Kernel", 0, "a panic in a system call names function, file and line in kernel and program, and the other CPU")
def panic(bench: Bench) -> None:
    with bench.machine("crash-panic", Tcg, cmdline="graded crashtest", cpus=2) as machine:
        machine.expect(HOS, 60)
        machine.sendline("crash panic")
        text = report(machine)
    line = line_of("kern/crash.c", "has asked for")
    for pattern in (
        rf"kernel panic at kern/crash\.c:{line}: .*\non CPU \d, in env \w{{8}} \(crash\)",
        rf"backtrace:\n +\w+ sys_crash\+0x\w+ \(kern/crash\.c:{line}\)\n.*syscall_entry\+.*trapentry\.S:\d+",
        r"user backtrace of \w+ \(crash\):\n +\w+ sys_crash\+0x\w+ \(lib/syscall\.c:\d+\)\n.*"
        + user_frames("int r = deepest(kind);", "return deeper(i) < 0;"),
        r"\nCPU \d: .*(in \w+ \(\w+/\w+\.[cSh]:\d+\)|in user code)",
    ):
        check_match(pattern, text)


@check("Kernel", 0, "an exception in the kernel is reported alike; with nobody at the console the machine powers off")
def unattended(bench: Bench) -> None:
    with bench.machine("crash-fault", Tcg, cmdline="crashtest run=crash -- fault") as machine:
        text = report(machine)
    line = line_of("kern/crash.c", 'asm volatile("ud2")')
    check_match(rf"kernel panic: invalid opcode in the kernel.*backtrace:\n +\w+ sys_crash.*kern/crash\.c:{line}", text)
    check_match(user_frames("int r = deepest(kind);", "return deeper(i) < 0;"), text)
    with bench.machine("crash-attended", Tcg, cmdline="crashtest") as machine:
        machine.expect(HOS, 60)
        machine.sendline("crash panic")
        machine.expect("\nK> ")  # somebody has typed: the monitor waits


@check("Kernel", 0, "a program that ends by a fault gets a backtrace; noise in its names harms nobody; no word, no crash")
def program(bench: Bench) -> None:
    session = qemu(bench)
    check_match(
        r"page fault at 0 .*: ended\nuser backtrace of \w+ \(crash\):\n +\w+ deepest\+0x\w+ "
        + rf"\(user/crash\.c:{line_of('user/crash.c', '*(volatile int *)NULL')}\)\n.*"
        + user_frames("int r = deepest(kind);", "return deeper(0) < 0;"),
        session.sh("crash user"),
    )
    session.sh("crash names 1")
    before = session.free_pages()
    for seed in range(1, 13):
        text = session.sh(f"crash names {seed}")
        lines = check_match(r": ended\nuser backtrace of \w+ \(crash\):\n(.*)", text)[1]
        check_that(re.fullmatch(r"(?:  [0-9a-f]{16} [ -~]{1,200}\n?)+", lines), "short printable lines", text)
    after = session.free_pages()
    check_that(after == before, f"{before} free pages afterwards", after)
    check_match(r"crash: .*(permi|allow)", session.sh("crash panic"))
    word = nonce()
    check_match(word, session.sh(f"echo {word}"))


@check("VMM", 0, "a panic while guests run stops all CPUs and tells the guests' last exits", on=BOTH)
def with_guest(bench: Bench) -> None:
    with own_machine(bench, "crash-guest", cmdline="graded crashtest", cpus=2) as machine:
        machine.expect(HOS, 60)
        machine.sendline("vmm -T 16 -n spinner -k /vmm/guests/cli-spin &")
        machine.expect(HOS, 60)
        machine.sendline("sleep 1; vms; crash panic")
        text = report(machine)
    check_match(r"sys_crash\+0x\w+ \(kern/crash\.c:\d+\)", text)
    check_match(r"\nCPU \d: ", text)
    check_that("does not stop" not in text, "all CPUs stopped", text)
    check_match(r"guest spinner \(env \w+\), last exit: .*\n.*\n(?: +\d+ +\d+ [0-9a-f]{16} [^\n]*ticks\n){8}", text)
