"""Crash reports: what ended, where, in kernel and in user code, and how the machine ends."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.qemu import Tcg
from jos.session import HOS

from .common import TOP

PANIC_STATUS = 99


def line_of(path: str, text: str) -> int:
    """The number of the first line of a source file that has this text."""
    lines = (TOP / path).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if text in line)


def frames_of_program(text: str, innermost: int) -> None:
    outer = line_of("user/crash.c", "int r = deepest(kind);")
    check_match(rf"deep(?:est|er)\+0x[0-9a-f]+ \(user/crash\.c:({innermost}|{outer})\)", text)
    check_match(rf"deeper\+0x[0-9a-f]+ \(user/crash\.c:{outer}\)", text)
    check_match(r"umain\+0x[0-9a-f]+ \(user/crash\.c:\d+\)", text)
    check_match(r"_start\+0x[0-9a-f]+ \(lib/entry\.S:\d+\)", text)


@check("Crashes", 0, "a fault or panic names function and line of kernel and user frames, env and CPU")
def report(bench: Bench) -> None:
    with bench.machine("crash-panic", Tcg, cmdline="graded crashtest", cpus=2) as machine:
        machine.expect(HOS, 60)
        machine.sendline("crash user")
        machine.expect("user backtrace of", 30)
        machine.expect(HOS, 30)
        text = machine.console.text
        check_match(r"\[[0-9a-f]+\] crash: page fault at 0 \(write, nothing mapped\)", text)
        frames_of_program(text, line_of("user/crash.c", "*(volatile int *)NULL = 1;"))
        machine.sendline("crash panic")
        status = machine.wait_off(60)
        text = machine.console.text[len(text) :]
    check_that(status == PANIC_STATUS, f"the machine's end with status {PANIC_STATUS}", status)
    check_match(r"kernel panic at kern/crash\.c:\d+", text)
    check_match(r"on CPU [01], in env [0-9a-f]{8} \(crash\)", text)
    check_match(r"sys_crash\+0x[0-9a-f]+ \(kern/crash\.c:\d+\)", text)
    frames_of_program(text, line_of("user/crash.c", "r = sys_crash(kind);"))
    check_match(r"CPU [01]: in \w+ \(kern/\w+\.[cS]:\d+\)", text)


@check("Crashes", 0, "without the word crashtest a program cannot crash the kernel")
def refused(bench: Bench) -> None:
    with bench.machine("crash-refused", Tcg) as machine:
        machine.expect(HOS, 60)
        machine.sendline("crash panic")
        found = machine.expect(re.compile(r"crash: [^\n]*|kernel panic"), 30).group(0)
        machine.expect(HOS, 30)
    check_that("panic" not in found.replace("crash panic", ""), "an error for the caller", found)
