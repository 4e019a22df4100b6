"""The kernel's own gdb stub on COM2: stock gdb against it, in QEMU and in Bochs."""

import secrets
from typing import List

from jos import limits
from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.guestport import GuestPort
from jos.qemu import Tcg
from jos.session import GOS, HOS

from .common import TOP, dying_gdb, line_noise, nonce

LIMIT = 120
# gdb presses Ctrl-C itself, a while after the machine goes on; the machine idles then until somebody does.
INTERRUPT = (
    "python import os, signal, threading; gdb.events.cont.connect(lambda _: threading.Timer("
    "1, lambda: os.kill(os.getpid(), signal.SIGINT)).start())"
)


def gdb_command(bench: Bench, port: GuestPort, *commands: str) -> List[str]:
    """gdb, connected, with these commands."""
    start = ["set confirm off", "set pagination off", "set remotetimeout 30"]
    start += [f"file {bench.obj / 'kern/kernel.sym'}", f"target remote 127.0.0.1:{port.port}"]
    command = ["gdb", "-nx", "-q", "-batch"]
    for line in (*start, *commands):
        command += ["-ex", line]
    return command


def run(bench: Bench, port: GuestPort, *commands: str) -> str:
    """What gdb printed."""
    command = gdb_command(bench, port, *commands)
    return limits.run(command, LIMIT, TOP).stdout


@check("Kernel", 0, "the kernel's own gdb stub: threads, registers, memory, steps, watchpoints, monitor commands")
def stub(bench: Bench) -> None:
    with GuestPort() as port:
        settings = {"cmdline": "gdb graded", "cpus": 2, "serial2": port.machine_port}
        with bench.machine("gdbstub-qemu", Tcg, **settings) as machine:
            text = run(
                bench, port, "break env_create", "continue", "info threads", "backtrace 2", "stepi",
                "info registers rip cr3", "finish", "x/1gx 0x10", "x/1gx 0xdead00000000000",
                "watch envs[1].env_type", "delete 1", "continue", "print envs[1].env_type",
                "monitor kerninfo", "monitor nonsense", "detach",
            )
            for pattern in (
                r"1, env_create \(", r"\* 1 .*CPU 0.*\n  2 .*CPU 1: no env", r"#1 .* kernel_main ",
                r"rip +\S+ +0x\w+ <env_create\+\d+>", r"kernel_main .*env_create\(embedded_init",
                r"Cannot access memory at address 0x10\n.*Cannot access memory at address 0xdead0",
                r"watchpoint 2: .*Old value = 0\nNew value = 2", r"role: hOS",
                r"nonsense: unknown command", r"detached",
            ):
                check_match(pattern, text)
            machine.expect(HOS, 60)
            word = nonce()
            machine.sendline(f"echo {word}")
            machine.expect(f"\n{word}\n")


@check("Kernel", 0, "Ctrl-C of gdb stops a kernel whose boot CPU spins with interrupts off, by another CPU that looks")
def spinning(bench: Bench) -> None:
    with GuestPort() as port:
        settings = {"cmdline": "gdb=nowait graded crashtest", "cpus": 2, "serial2": port.machine_port}
        with bench.machine("gdbstub-spin", Tcg, **settings) as machine:
            machine.expect(HOS, 60)
            machine.sendline("crash spin & crash spin & crash spin")  # they change CPUs
            machine.expect("CPU 0 spins", 60)
            text = run(bench, port, INTERRUPT, "continue", "info threads", "thread 1", "backtrace", "kill")
            check_match(r"SIGINT.*CPU 0: env \w+ \(crash\).*sys_crash.*#0 .*sys_crash \(kind=4\).*#1 .*syscall_entry", text)


@check("Kernel", 0, "line noise and a gdb that dies harm no kernel with a gdb stub, and the next gdb works at once")
def noisy(bench: Bench) -> str:
    seed = secrets.randbits(32)
    with GuestPort() as port:
        settings = {"cmdline": "gdb=nowait graded", "cpus": 2, "serial2": port.machine_port}
        with bench.machine("gdbstub-noise", Tcg, **settings) as machine:
            machine.expect(HOS, 60)
            for trouble in (lambda: line_noise(port.port, seed), lambda: dying_gdb(port.port, "ffffffff80100000")):
                trouble()
                text = run(bench, port, "info threads", "print envs[0].env_status", "break sched_yield", "detach")
                pattern = r"CPU 0.*\n  2 .*CPU 1.*= \w+\nBreakpoint 1 at .*detached"
                check_match(pattern, f"seed {seed}\n{text}")
                check_that("rror" not in text and "warning" not in text, f"no complaint of gdb's (seed {seed})", text)
                word = nonce()
                machine.sendline(f"echo {word}")
                machine.expect(f"\n{word}\n")
    return f"line noise: seed {seed}"


@check("VMM", 0, "gdb on the kernel's own stub stops at vmexit, steps through it, and interrupts an idle gOS", lane="bochs")
def exits(bench: Bench) -> None:
    with GuestPort() as port:
        settings = {"cmdline": "gdb graded run=vmm", "serial2": port.machine_port}
        with bench.machine("gdbstub-bochs", Bochs, **settings) as machine:
            text = run(
                bench, port, "break vmexit", "continue", "backtrace 2", "stepi", "info line",
                "delete", "hbreak handle_cpuid", "continue", "finish", "delete", "detach",
            )
            for pattern in (
                r"1, vmexit \(v=0x\w+\) at vmm/vmx/exit\.c:\d+", r"#1 .* asm_vm\w+ ", r"\d+\s.*vmread",
                r"2, handle_cpuid \(v=0x\w+\)", r"asm_vm\w+ \(\) at vmm/vmx/asm_vmrun\.S:\d+", r"detached",
            ):
                check_match(pattern, text)
            machine.expect(GOS, 90)
            text = run(bench, port, INTERRUPT, "continue", "backtrace", "detach")
            check_match(r"SIGINT.*#0 .*detached", text)
            word = nonce()
            machine.sendline(f"echo {word}")
            machine.expect(f"\n{word}\n")
