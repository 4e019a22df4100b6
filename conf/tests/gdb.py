"""`make gdb` with real gdb: from the boot sector into long mode, and the commands of `help jos`."""

import contextlib
from pathlib import Path
from typing import Dict, List

from jos.grade import Bench, check, check_match, check_that
from jos.guestport import GuestPort
from jos.platforms import SVM, SVM_2, VTX
from jos.qemu import gdb_arguments
from jos.session import GOS

from .common import TOP, free_port, host, make, nonce, own_machine

PROLOGUE = """\
python
def attempt(command):
    print(f"\\n>>> {command}")
    try:
        gdb.execute(command)
    except gdb.error as error:
        print(error)
"""


def write_script(path: Path, commands: List[str]) -> None:
    calls = "".join(f"attempt({command!r})\n" for command in commands)
    path.write_text(f"{PROLOGUE}{calls}end\n")


def answers(text: str) -> Dict[str, str]:
    """What each command printed; one that comes twice: the last time."""
    parts = text.split("\n>>> ")[1:]
    return {command: said for command, said in (part.split("\n", 1) for part in parts)}


def drive(bench: Bench, name: str, commands: List[str], *arguments: str) -> Dict[str, str]:
    """Give `make gdb` these commands; what each printed."""
    script = bench.folder / f"{name}.gdb"
    write_script(script, commands)
    bench.last_log = script.with_suffix(".log")
    flags = f"GDBFLAGS=-batch -x {script}"
    done = make(bench.obj, "gdb", flags, f"GDBPORT={free_port()}", *arguments, limit=120)
    Path(bench.last_log).write_text(done.stdout)
    return answers(done.stdout)


def start_for(bench: Bench, port: int) -> List[str]:
    """The lines of .gdbinit.tmpl, for a machine at this port."""
    text = (TOP / ".gdbinit.tmpl").read_text()
    return text.replace("@OBJ@", str(bench.obj)).replace("@PORT@", str(port)).split("\n")


@check("gdb", 0, "one session goes from the boot sector through 32-bit code into the kernel, each decoded as it is")
def modes(bench: Bench) -> None:
    said = drive(bench, "gdb-modes", [
        "x/i $pc", "break *0x7c00", "continue", "x/2i $pc", "stepi", "break protected_entry", "continue ",
        "x/2i $pc ", "set $ecx = 0x1234", "monitor info registers", "break loader_main", "break kernel_main",
        "continue  ", "backtrace", "continue   ", "x/2i $pc  ", "backtrace ", "print/x $cs", "stepi ",
        "info line", "pt &envs",
    ])  # fmt: skip
    for command, pattern in (
        ("continue", r"boot_start \(\) at boot/boot\.S:\d+"),
        ("x/2i $pc", r"boot_start>:\s+cli\s.*ljmp +\$0x0,\$0x7c"),
        ("stepi", r"boot/boot\.S|ljmp"),
        ("continue ", r"32-bit code.*protected_entry \(\) at boot/entry\.S"),
        ("x/2i $pc ", r"mov +\$0x10,%ax\s.*mov +%eax,%ds"),
        ("monitor info registers", r"ECX=00001234.*CS32.*CR0=00000011"),
        ("continue  ", r"loader_main \(\) at boot/main\.c:\d+"),
        ("backtrace", r"#0 +loader_main .*#1 .*protected_entry \(\) at boot/entry\.S"),
        ("continue   ", r"64-bit code.*kernel_main \(.*\) at kern/main\.c:\d+"),
        ("x/2i $pc  ", r"kernel_main(\+\d+)?>:\s+\w+ .*%r"),
        ("backtrace ", r"#1 .*start64 \(\) at kern/entry\.S"),
        ("info line", r"kern/main\.c"),
    ):
        check_match(pattern, said[command])


@check("gdb", 0, "help jos lists the commands; envs, pt and add-env look at a running system, two CPUs too")
def commands(bench: Bench) -> None:
    said = drive(bench, "gdb-commands", [
        "envs", "pt 0x7c00", "help jos", "help pt", "add-env nosuch", "add-env fs", "add-env sh",
        'break umain if $env_is("sh")', "continue", "backtrace", "envs ", "info threads", "pt $pc", "pt $sp",
        "pt 0", "pt 0xffff800000007c00", "pt nonsense",
    ], "CPUS=2")  # fmt: skip
    for command, pattern in (
        ("envs", r"kernel has not started"),
        ("pt 0x7c00", r"paging is still off"),
        ("help jos", r"add-env NAME.*break-exit REASON.*envs:.*ept GPA.*exits.*guest-bt.*pt VA.*step-exit.*vmcs"),
        ("help pt", r"level by level"),
        ("add-env nosuch", r"no program nosuch; there are .*\bsh\b"),
        ("add-env sh", r"Symbols of sh, .* 0x800000"),
        ("continue", r"umain \(.*\) at user/sh/sh\.c:\d+"),
        ("backtrace", r"#1 .*lib/"),
        ("envs ", r"\bfs\b.*\binit\b.*\n\* .* running .* sh$"),
        ("info threads", r"CPU#0.*CPU#1"),
        ("pt $pc", r"PML4 .*PT .*present user\b.*is physical"),
        ("pt $sp", r"writable user accessed dirty.*no-execute.*is physical"),
        ("pt 0", r"not present\n0x0 is not mapped"),
        ("pt 0xffff800000007c00", r"is physical 0x7c00"),
        ("pt nonsense", r"nonsense is no address"),
    ):
        check_match(pattern, said[command])
    check_that("user" not in said["pt 0xffff800000007c00"].splitlines()[3], "no user bit in the direct map")


@check("gdb", 0, "without a guest the commands about guests say so; a kernel function called by gdb leaves no trace")
def no_guest(bench: Bench) -> None:
    said = drive(bench, "gdb-no-guest", [
        "break sched_yield", "continue", "vmcs", "ept 0", "exits", "guest-bt", "step-exit", "break-exit NOSUCH",
        "break-exit cpuid", "info breakpoints", "complete break-exit EPT_",
        "info registers", "python gdbcmds.vmm.call('vmcs_take_dump')",
        "info registers ", "print vmcs_dump.guest",
    ])  # fmt: skip
    for command in ("vmcs", "ept 0", "exits", "guest-bt", "step-exit"):
        check_match(r"there is no guest; `vmm`", said[command])
    check_match(r"no VMCS is loaded on CPU 0", said["vmcs"])
    check_match(r"name one exit reason; there are .*EPT_VIOLATION", said["break-exit NOSUCH"])
    check_match(r"handle_cpuid", said["info breakpoints"])
    check_match(r"break-exit EPT_MISCONFIG\n.*break-exit EPT_VIOLATION", said["complete break-exit EPT_"])
    check_that(said["info registers"] == said["info registers "], "the same registers", said["info registers "])
    check_match(r"= 0$", said["print vmcs_dump.guest"].strip())


GUEST_COMMANDS = [
    "vmcs", "vmcb", "break-exit memory", "continue", "vmcs EXIT_", "vmcb EXIT", "ept 0x100000", "npt 0x3000000",
    "delete", "break-exit VMCALL", "continue ", "guest-bt", "exits", "delete ", "step-exit", "exits nosuch", "detach",
]  # fmt: skip


def on_gos(bench: Bench, name: str, commands: List[str], stub: bool, cpus: int = 1) -> Dict[str, str]:
    """Boot hOS, which starts gOS, under gdb with these commands, on the kernel's own stub or on QEMU's; what each
    printed. gOS answers afterwards."""
    script = bench.folder / f"{name}-{bench.platform.key}.gdb"
    bench.last_log = script.with_suffix(".log")
    settings: Dict[str, object] = {"cmdline": f"{'gdb ' * stub}graded run=vmm -- -T 8", "cpus": cpus}
    with contextlib.ExitStack() as stack:
        if stub:
            port = stack.enter_context(GuestPort())
            number, settings["serial2"] = port.port, port.machine_port
        else:
            number = free_port()
            settings["extra"] = gdb_arguments(number)
        machine = stack.enter_context(own_machine(bench, name, **settings))
        write_script(script, commands)
        init = script.with_suffix(".init")
        init.write_text("set remotetimeout 60\n" + "\n".join(start_for(bench, number)))
        done = host(["gdb", "-nx", "-q", "-batch", "-x", init, "-x", script], 90)
        script.with_suffix(".log").write_text(done.stdout)
        machine.expect(GOS, 90)
        word = nonce()
        machine.sendline(f"echo {word}")
        machine.expect(f"\n{word}\n")
    bench.last_log = script.with_suffix(".log")
    return answers(done.stdout)


GOS_CALLS = r"#0 .* \(kern/platform\.c:\d+\)\n#1 .*kernel_main.* \(kern/main\.c:\d+\)\n#2 .*start64"


@check("gdb", 0, "on the kernel's own stub: vmcs, ept, exits, break-exit, step-exit and guest-bt on gOS", on=(VTX,))
def guest(bench: Bench) -> None:
    said = on_gos(bench, "gdb-guest", GUEST_COMMANDS, stub=True)
    for command, pattern in (
        ("vmcs", r"no VMCS is loaded on CPU 0: there is no guest; `vmm`"),
        ("vmcb", r"there is no guest; `vmm`"),
        ("continue", r"VM exit: EPT_VIOLATION.*Breakpoint \d, handle_eptviolation \(\w+=0x"),
        ("vmcs EXIT_", r"EXIT_REASON +0{14}30  EPT_VIOLATION.*EXIT_QUALIFICATION +0*[1-9a-f]"),
        ("vmcb EXIT", r"guests run by VT-x here; `vmcs`"),
        ("ept 0x100000", r"level 4 .*level 1 .*read write execute.*write-back\nGuest-physical 0x100000 is physical 0x"),
        ("npt 0x3000000", r"not present\nGuest-physical 0x3000000 is not mapped: the guest has 0x4000000 bytes"),
        ("continue ", r"VM exit: VMCALL.*Breakpoint \d, handle_vmcall \(\w+=0x"),
        ("guest-bt", GOS_CALLS),
        ("exits", r"guest gos: \d+ exits\n.*CPUID .*last exit: VMCALL.*\n +\d+ +\d+ \w{16} \w{16} CPUID .*; next"),
        ("step-exit", r"VM exit of guest gos: \w+ \(.*\), rip 0x\w+, qualification 0x"),
        ("exits nosuch", r"there is no guest nosuch; there are: \w{8} gos"),
    ):
        check_match(pattern, said[command])


@check("gdb", 0, "in QEMU: vmcb, npt, exits, break-exit, step-exit and guest-bt on gOS", on=(SVM, SVM_2))
def svm_guest(bench: Bench) -> None:
    said = on_gos(bench, "gdb-svm", GUEST_COMMANDS, stub=False, cpus=int(bench.platform.settings.get("cpus", 1)))
    for command, pattern in (
        ("vmcb", r"the kernel has not started"),
        ("continue", r"VM exit: NPF \(nested page fault\).*Breakpoint \d, asm_svmrun\w* \(\)"),
        ("vmcs EXIT_", r"guests run by SVM here; `vmcb`"),
        ("vmcb EXIT", r"EXITCODE +0{13}400  NPF \(nested page fault\)\n.*EXITINFO2 "),
        ("ept 0x100000", r"level 4 .*level 1 .*present writable user.*\nGuest-physical 0x100000 is physical 0x"),
        ("npt 0x3000000", r"not present\nGuest-physical 0x3000000 is not mapped: the guest has 0x4000000 bytes"),
        ("continue ", r"VM exit: VMMCALL .*Breakpoint \d, asm_svmrun\w* \(\)"),
        ("guest-bt", GOS_CALLS),
        ("exits", r"guest gos: \d+ exits\n.*CPUID .*last exit: .*\n +\d+ +\d+ \w{16} \w{16} CPUID .*; next"),
        ("step-exit", r"VM exit of guest gos: \w+ \(.*\), rip 0x\w+, information 0x"),
        ("exits nosuch", r"there is no guest nosuch; there are: \w{8} gos"),
    ):
        check_match(pattern, said[command])


BOTH_COMMANDS = [
    "break env_create", "info breakpoints", "continue", "continue ", "break-exit VMCALL", "continue  ", "continue   ",
    "delete", "break env_create ", "break-in gos", "continue    ", "print ncpu", "x/2gx $sp", "guest-x $sp", "guest-bt",
    "envs", "pt $pc", "npt 0x100000", "vmcb RIP", "delete ", "step-exit", "print ncpu ", "break-in nonsense",
    "break sched_yield if ncpu == 77", "break-in hos", "tbreak clock_init", "break-in both", "detach",
]  # fmt: skip


@check("gdb", 0, "a breakpoint stops in hOS or in gOS, as break-in says; gdb tells which, and reads no wrong memory", on=(SVM,))
def hos_or_gos(bench: Bench) -> None:
    said = on_gos(bench, "gdb-both", BOTH_COMMANDS, stub=False)
    for command, pattern in (
        ("info breakpoints", r"env_create.*\n\tstop only if \$here\(\)"),
        ("continue ", r'Breakpoint 1, env_create .*"init"'),
        ("continue  ", r"VM exit: VMMCALL .*asm_svmrun"),
        ("continue   ", r"VM exit: VMMCALL .*asm_svmrun"),
        ("break-in gos", r"Breakpoints stop in guests"),
        ("continue    ", r"\[in guest gos: .*\]\n.*Breakpoint \d, env_create "),
        ("print ncpu", r"Cannot access memory"),
        ("x/2gx $sp", r"Cannot access memory"),
        ("guest-x $sp", r"^0xffffffff8\w{7}: ffffffff801\w{5}$"),
        ("guest-bt", r"guest gos: rip \w+ .*\n#0 .* env_create \(kern/embed\.c:\d+\)\n#1 .* \(kern/"),
        ("envs", r"\bfs\b.*\n\* \w+ \w+ running .* guest .* gos$"),
        ("pt $pc", r"guest gos has the CPU"),
        ("npt 0x100000", r"Guest-physical 0x100000 is physical 0x"),
        ("vmcb RIP", r"Guest gos has the CPU: its registers are newer.*RIP +\w{16}"),
        ("step-exit", r"\[in hOS\]\nVM exit of guest gos: \w+ \("),
        ("print ncpu ", r"= 1"),
        ("break-in nonsense", r"hos, gos or both"),
    ):
        check_match(pattern, said[command].strip())


# gdb presses Ctrl-C itself, a while after the machine goes on. The guest never leaves its CPU by itself.
PRESS = """\
python
import os, signal, threading
def press(_):
    gdb.events.cont.disconnect(press)
    threading.Timer(4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
gdb.events.cont.connect(press)
end
"""
SPINNING = ["continue", "guest-bt", "vmcb EXITCODE", "kill"]


@check("gdb", 0, "Ctrl-C stops where the CPU is, also in a guest that spins with interrupts off, and gdb says so", on=(SVM, SVM_2))
def spinning(bench: Bench) -> None:
    number, script = free_port(), bench.folder / f"gdb-spin-{bench.platform.key}.gdb"
    line = "graded run=vmm -- -k /vmm/guests/cli-spin"
    with own_machine(bench, "gdb-spin", cmdline=line, extra=gdb_arguments(number)):
        write_script(script, SPINNING)
        init = script.with_suffix(".init")
        init.write_text("\n".join(start_for(bench, number)) + PRESS)
        done = host(["gdb", "-nx", "-q", "-batch", "-x", init, "-x", script], 90)
    script.with_suffix(".log").write_text(done.stdout)
    bench.last_log = script.with_suffix(".log")
    said = answers(done.stdout)
    check_match(r"SIGINT", said["continue"])
    if bench.platform == SVM:  # with two CPUs gdb may look at the other one
        check_match(r"\[in guest gos: ", said["continue"])
        check_match(r"does not run this kernel.*#0 +0+10\w{4}", said["guest-bt"])
        check_match(r"the guest runs", said["vmcb EXITCODE"])
