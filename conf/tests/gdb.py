"""`make gdb` with real gdb: from the boot sector into long mode, and the commands of `help jos`."""

from pathlib import Path
from typing import Dict, List

from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.guestport import GuestPort
from jos.session import GOS

from .common import TOP, free_port, host, make, nonce

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
        "info registers", "python gdbcmds.vmm.call('vmcs_take_snapshot')",
        "info registers ", "print vmcs_snapshot.guest",
    ])  # fmt: skip
    for command in ("vmcs", "ept 0", "exits", "guest-bt", "step-exit"):
        check_match(r"there is no guest; `vmm`", said[command])
    check_match(r"no VMCS is loaded on CPU 0", said["vmcs"])
    check_match(r"name one exit reason; there are .*EPT_VIOLATION", said["break-exit NOSUCH"])
    check_match(r"handle_cpuid", said["info breakpoints"])
    check_match(r"break-exit EPT_MISCONFIG\n.*break-exit EPT_VIOLATION", said["complete break-exit EPT_"])
    check_that(said["info registers"] == said["info registers "], "the same registers", said["info registers "])
    check_match(r"= 0$", said["print vmcs_snapshot.guest"].strip())


GUEST_COMMANDS = [
    "vmcs", "break-exit ept_violation", "continue", "vmcs EXIT_", "ept 0x100000", "ept 0x3000000", "delete",
    "break-exit VMCALL", "continue ", "guest-bt", "exits", "delete ", "step-exit", "exits nosuch", "detach",
]  # fmt: skip


@check("gdb", 0, "on the kernel's own stub in Bochs: vmcs, ept, exits, break-exit, step-exit and guest-bt on gOS", lane="bochs")
def guest(bench: Bench) -> None:
    script = bench.folder / "gdb-guest.gdb"
    with GuestPort() as port:
        settings = {"cmdline": "gdb graded run=vmm -- -T 8", "serial2": port.machine_port}
        with bench.machine("gdb-guest", Bochs, **settings) as machine:
            write_script(script, GUEST_COMMANDS)
            init = script.with_suffix(".init")
            init.write_text("set remotetimeout 60\n" + "\n".join(start_for(bench, port.port)))
            done = host(["gdb", "-nx", "-q", "-batch", "-x", init, "-x", script], 120)
            machine.expect(GOS, 90)
            word = nonce()
            machine.sendline(f"echo {word}")
            machine.expect(f"\n{word}\n")
    said = answers(done.stdout)
    for command, pattern in (
        ("vmcs", r"no VMCS is loaded on CPU 0: there is no guest; `vmm`"),
        ("continue", r"VM exit: EPT_VIOLATION.*Breakpoint 1, handle_eptviolation \(g=0x"),
        ("vmcs EXIT_", r"EXIT_REASON +0{14}30  EPT_VIOLATION.*EXIT_QUALIFICATION +0*[1-9a-f]"),
        ("ept 0x100000", r"level 4 .*level 1 .*read write execute.*write-back\nGuest-physical 0x100000 is physical 0x"),
        ("ept 0x3000000", r"not present\nGuest-physical 0x3000000 is not mapped: the guest has 0x4000000 bytes"),
        ("continue ", r"VM exit: VMCALL.*Breakpoint 2, handle_vmcall \(g=0x"),
        ("guest-bt", r"#0 .* \(kern/platform\.c:\d+\)\n#1 .*kernel_main.* \(kern/main\.c:\d+\)\n#2 .*start64"),
        ("exits", r"guest gos: \d+ exits\n.*CPUID .*last exit: VMCALL.*\n +\d+ +\d+ \w{16} \w{16} CPUID .*; next"),
        ("step-exit", r"VM exit of guest gos: \w+ \(.*\), rip 0x\w+, qualification 0x"),
        ("exits nosuch", r"there is no guest nosuch; there are: \w{8} gos"),
    ):
        check_match(pattern, said[command])
