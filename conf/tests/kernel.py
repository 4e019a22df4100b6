"""The kernel: memory, envs, exceptions, system calls, scheduling, monitor, gdb."""

import re
import tempfile
from pathlib import Path

from jos import qmp
from jos.grade import Bench, check, check_match
from jos.qemu import Tcg
from jos.session import HOS

from .common import free_port, make, nonce, passes, qemu

BREAK_KEY = "\x1c"  # Ctrl-\
MONITOR = "K> "


@check("Kernel", 0, "an exception ends only the env that caused it; page-fault upcalls work, nested too")
def faults(bench: Bench) -> None:
    passes(qemu(bench), "test-fault")


@check("Kernel", 0, "bad arguments are errors for the caller in every system call")
def bad_arguments(bench: Bench) -> None:
    passes(qemu(bench), "test-syscall")


@check("Kernel", 0, "the timer preempts: spinning envs share the CPU, sleepers wake in time")
def preemption(bench: Bench) -> None:
    passes(qemu(bench), "test-sched")


@check("Kernel", 0, "a CPU wakes its sleepers after another CPU has ended hundreds of them")
def sleepers(bench: Bench) -> None:
    session = bench.session("qemu-sleepers", Tcg, cpus=2)
    try:
        passes(session, "test-sleepers")
        session.sh("sleep 1")
    finally:
        session.drop()


@check("Kernel", 0, "IPC moves values and pages, blocks, and survives the partner's death")
def ipc(bench: Bench) -> None:
    passes(qemu(bench), "test-ipc")


@check("Kernel", 0, "floating-point state survives switches")
def fpu(bench: Bench) -> None:
    passes(qemu(bench), "test-fpu")


@check("Kernel", 0, "no program sees the segment selectors of another, and bases are out of reach")
def selectors(bench: Bench) -> None:
    passes(qemu(bench), "test-selectors")


@check("Kernel", 0, "spawning and ending programs 100 times leaks no page")
def leaks(bench: Bench) -> None:
    passes(qemu(bench), "test-leak", 120)


@check("Kernel", 0, "the monitor has help, mem, envs, and a backtrace with function, file and line")
def monitor(bench: Bench) -> None:
    with bench.machine("kernel-monitor", Tcg, cmdline="kdb") as machine:
        machine.expect(HOS, 60)
        machine.send(BREAK_KEY)
        machine.expect(MONITOR)
        for command, pattern in (
            ("help", r"backtrace.*mem.*envs"),
            ("mem", r"frames: \d+ free of \d+"),
            ("envs", r"\bfs\b.*\binit\b"),
            ("backtrace", r"kern/\w+\.[cS]:\d+"),
            ("nonsense", r"nonsense: unknown command"),
        ):
            machine.sendline(command)
            found = machine.expect(re.compile(re.escape(MONITOR)), 30)
            text = machine.console.text[: found.start()].rsplit(MONITOR, 1)[-1]
            check_match(pattern, text)
        machine.sendline("continue")
        word = nonce()
        machine.sendline(f"echo {word}")
        machine.expect(f"\n{word}\n")


SCREEN_LOOKS = 100


@check("Kernel", 0, "the PS/2 keyboard types, and the VGA screen shows what the serial line shows")
def keyboard_and_screen(bench: Bench) -> None:
    word = "Word" + nonce()
    wanted = rf"hOS\$ echo {word}\n{word}\nhOS\$"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "qmp")
        with bench.machine("kernel-screen", Tcg, extra=qmp.arguments(path)) as machine:
            machine.expect(HOS, 60)
            with qmp.Qmp(path) as control:
                for char in f"echo {word}\n":
                    control.press(char)
                    machine.expect(char)  # its echo: QEMU holds a key down for a while
                machine.expect(f"{word}\n{HOS}")
                # The serial line has a text first; the screen follows within a few looks at it.
                for _ in range(SCREEN_LOOKS):
                    screen = control.screen(Path(folder, "screen"))
                    if re.search(wanted, screen):
                        break
    check_match(wanted, screen)


@check("Kernel", 0, "make gdb stops at kernel functions, with source lines, arguments and a backtrace")
def gdb(bench: Bench) -> None:
    arguments = ["-batch", "-ex", "hbreak env_create", "-ex", "continue", "-ex", "info line",
                 "-ex", "backtrace", "-ex", "break vmexit"]
    flags = " ".join(f"'{argument}'" for argument in arguments)
    done = make(bench.obj, "gdb", f"GDBFLAGS={flags}", f"GDBPORT={free_port()}", limit=90)
    for pattern in (r"reakpoint 1, env_create \(", r" at kern/\w+\.c:\d+", r"#1 .*kernel_main", r"Breakpoint 2 at .*vmm/[\w/]+\.[ch]"):
        check_match(pattern, done.stdout)
