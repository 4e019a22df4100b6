"""gdb on a guest: `vmm -g`, real gdb, and the serial port between them."""

import os
import re
import secrets
import select
import signal
import subprocess
from typing import Dict

from jos.bochs import Bochs
from jos.errors import MachineError, TimeUp, tail
from jos.grade import Bench, check, check_match, check_that
from jos.guestport import GuestPort
from jos.limits import POLL_SECONDS, Patience, cpu_seconds
from jos.platforms import BOTH, VTX, Platform
from jos.session import GOS, HOS, Session

from .common import TOP, dying_gdb, free_port, hos, line_noise, make, nonce
from .guests import fine
from .many import detach

PROMPT = "(gdb) "
MAX_OTHERS = 20
LOOKS = 200  # at vms, until a guest is in the state it is to come to
ALL, FEW = 20, 3  # times five steps
LIMIT = 60  # seconds for one command of gdb's
WAITS = "waits at its entry for gdb on serial port COM3\n"

ports: Dict[Platform, GuestPort] = {}  # of the shared sessions


class Gdb:
    """gdb on the guest; use as a context manager."""

    def __init__(self, port: GuestPort, symbols: object, early: bool = False) -> None:
        command = ["gdb", "-q", "-nx", "-x", "conf/guest.gdb", "-ex", "set width 0"]
        if early:  # as make gdb-guest does
            command += ["-ex", f"python gdbcmds.wait.for_guest({port.port})"]
        command += ["-ex", f"target remote 127.0.0.1:{port.port}", "-s", str(symbols)]
        self.process = subprocess.Popen(
            command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.hello = self.answer("Ctrl-C ends this\n" if early else PROMPT)

    def __enter__(self) -> "Gdb":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def answer(self, end: str = PROMPT) -> str:
        """What gdb prints up to its prompt, or to another end."""
        assert self.process.stdout
        text, patience = "", Patience(LIMIT, lambda: cpu_seconds(self.process.pid))
        while not text.endswith(end):
            ready, _, _ = select.select([self.process.stdout], [], [], POLL_SECONDS)
            if not ready:
                if patience.is_over():
                    raise TimeUp(f"gdb does not answer within {patience}; got\n{tail(text)}")
                continue
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise MachineError(f"gdb has ended; got\n{tail(text)}")
            text += data.decode("utf-8", "replace")
        return text[: -len(end)]

    def start(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, command: str) -> str:
        self.start(command)
        return self.answer()

    def interrupt(self) -> str:
        """Ctrl-C; what gdb shows of the stop."""
        self.process.send_signal(signal.SIGINT)
        return self.answer()


def port_of(bench: Bench) -> GuestPort:
    """The port of session_of's machine."""
    if bench.platform not in ports:
        ports[bench.platform] = GuestPort().__enter__()
    return ports[bench.platform]


def session_of(bench: Bench) -> Session:
    """hOS with the port for gdb, on the running check's platform."""
    return hos(bench, "guestgdb", serial3=port_of(bench).machine_port)


def begin(session: Session, options: str = "") -> None:
    """Start a guest that waits for gdb."""
    machine = session.ready()
    machine.sendline(f"vmm -g {options}")
    machine.expect(WAITS, 60)


def interrupt_idle(gdb: Gdb, session: Session) -> None:
    """Ctrl-C where gOS is idle, after its prompt; its shell may still be on the way there."""
    for _ in range(MAX_OTHERS):
        check_match(r"SIGINT", gdb.interrupt())
        calls = gdb.do("bt")
        if re.search(r"idle|sched_next", calls):
            return
        gdb.start("continue")
        session.ready().sendline("")
        session.until(GOS, 60)
    check_match(r"idle|sched_next", calls)


@check("Guest gdb", 0, "gdb stops gOS's kernel at breakpoints with names and locals; bad addresses are errors", on=BOTH)
def kernel(bench: Bench) -> None:
    session = session_of(bench)
    begin(session)
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
        check_match(r"_start \(\) at kern/entry\.S", gdb.hello)
        gdb.do("break kernel_main")
        check_match(r"Breakpoint 1, kernel_main \(magic=732803074", gdb.do("continue"))
        check_match(r"#0 +kernel_main .*#1 .* start64 \(\) at kern/entry\.S", gdb.do("bt"))
        check_match(r"Cannot access memory at address 0xdead000000", gdb.do("x/x 0xdead000000"))
        check_match(r"Cannot access memory", gdb.do("set var *(char *)0xdead000000 = 1"))
        gdb.do("delete")
        gdb.do("break trap")
        check_match(r"Breakpoint 2, trap \(tf=0x[0-9a-f]+", gdb.do("continue"))
        check_match(r"tf_trapno = \d+", gdb.do("print *tf"))
        check_match(r"No locals|= ", gdb.do("info locals"))
        code = gdb.do("x/2bx trap")
        check_that("0xcc" not in code, "no INT3 of gdb's in what it reads", code)
        registers = gdb.do("info registers rip cr3 cs efer")
        check_match(r"rip .*trap.*cr3 +0x[1-9a-f].*cs +0x8 .*efer +0x[1-9a-f]", registers)
        gdb.do("delete")
        gdb.do("set var $rax = 0x123456789abcdef0")
        check_match(r"= 0x123456789abcdef0", gdb.do("print/x $rax"))
        gdb.do("detach")
    session.until(GOS, 60)
    session.close_guest()


@check("Guest gdb", 0, "a gdb that comes before `vmm -g` says what to do, waits, and debugs the guest from its entry", on=BOTH)
def early(bench: Bench) -> None:
    session = session_of(bench)
    session.ready()
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym", early=True) as gdb:
        check_match(r"type `vmm -g` at hOS's prompt", gdb.hello)
        begin(session)
        check_match(r"_start \(\) at kern/entry\.S", gdb.answer())
        gdb.do("break kernel_main")
        check_match(r"Breakpoint 1, kernel_main \(magic=732803074", gdb.do("continue"))
        gdb.do("kill")
    session.until(HOS, 60)


@check("Guest gdb", 0, "without a machine make gdb-guest says how to start one")
def no_machine(bench: Bench) -> None:
    done = make(bench.obj, "gdb-guest", f"GUESTGDBPORT={free_port()}")
    check_that(done.returncode != 0 and "Traceback" not in done.stdout, "an error in words", done.stdout)
    check_match(r"gdb-guest: port \d+: Connection refused; .*`make bochs-nox-guestgdb`", done.stdout)


@check("Guest gdb", 0, "Ctrl-C, a breakpoint in a program of gOS's, detach, a second gdb, and kill", on=BOTH)
def programs(bench: Bench) -> None:
    session, word = session_of(bench), nonce()
    begin(session)
    machine = session.ready()
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
        gdb.start("continue")
        session.until(GOS, 60)
        interrupt_idle(gdb, session)
        gdb.do(f"add-symbol-file {bench.obj}/user/echo.sym")
        gdb.do("break user/echo.c:umain")
        gdb.start("continue")
        machine.sendline(f"echo {word}")
        stop = gdb.answer()
        for _ in range(MAX_OTHERS):  # other programs, the shell first, have code there too
            if f'"{word}"' in gdb.do("print (char *)argv[1]"):
                break
            stop = gdb.do("continue")
        check_match(r"Breakpoint \d+, umain \(argc=(?:argc@entry=)?2", stop)
        check_match(rf'"{word}"', gdb.do("print (char *)argv[1]"))
        check_match(r"#0 +umain .*#1 .* libmain", gdb.do("bt"))
        rip = gdb.do("print/x $rip")
        check_that(gdb.do("stepi") and gdb.do("print/x $rip") != rip, "another rip after stepi", rip)
        gdb.do("delete")
        gdb.do("detach")
    check_match(rf"^{word}$", session.until(GOS, 60))
    check_match(r"^again$", session.guest("echo again"))
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
        check_match(r" in |at ", gdb.hello)
        gdb.do("kill")
    check_match(r"gdb has killed it", session.until(HOS, 60))


@check("Guest gdb", 0, "a kernel that Linux's boot protocol starts: breakpoints by name, calls and variables, with its own symbols", on=BOTH)
def linux_kernel(bench: Bench) -> None:
    session, word = session_of(bench), nonce()
    begin(session, f"-m 64M -k /vmm/guests/vmlinux -a {word}")
    with Gdb(port_of(bench), bench.obj / "guests/vmlinux.sym") as gdb:
        gdb.do("break print")
        stop = gdb.do("continue")
        check_match(r"Breakpoint 1, print \(\) at user/guests/bzimage\.S:\d+", stop)
        check_match(rf'{word}"', gdb.do("x/s $rsi"))
        check_match(r"#0 +print .*\n#1 +0xffffffff81\w+ in high \(\) at user/guests/bzimage\.S:\d+", gdb.do("bt"))
        check_match(r"= 0\n", gdb.do("print (int)printed"))
        check_match(r"Breakpoint 1, print \(\)", gdb.do("continue"))
        check_match(r"= 1\n", gdb.do("print (int)printed"))
        gdb.do("delete")
        gdb.start("continue")
        gdb.answer()
    check_match(r"(?m)^vmlinux: ok$", session.until(HOS, 60))


@check("Guest gdb", 0, "-r: a guest that starts again stops at its entry without old breakpoints; nothing stops it after detach", on=BOTH)
def restarted(bench: Bench) -> None:
    session, name = session_of(bench), "triple-fault"
    machine = session.ready()
    begin(session, f"-r -n again -k /vmm/guests/{name}")
    with Gdb(port_of(bench), bench.obj / f"guests/{name}.sym") as gdb:
        entry = gdb.do("print/x $pc")
        gdb.do("break guest_main")
        check_match(r"Breakpoint 1, guest_main", gdb.do("continue"))
        check_match(r"SIGTRAP", gdb.do("continue"))
        machine.expect("vmm: again starts again: triple fault", 60)
        machine.expect(WAITS, 60)
        check_that(gdb.do("print/x $pc").split()[-1] == entry.split()[-1], "the entry", entry)
        check_match(r"Breakpoint 1, guest_main", gdb.do("continue"))
        gdb.do("delete")
        gdb.do("detach")
    for _ in range(2):
        machine.expect("vmm: again starts again: triple fault", 60)
    detach(session, "again")
    session.sh("vmm kill again")


@check("Guest gdb", 0, "with -t and -p: help jos in gOS from 32-bit code on, watch and rwatch, and the trace at its end", on=BOTH)
def together(bench: Bench) -> None:
    session = session_of(bench)
    begin(session, "-t -p")
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
        check_match(r"\[32-bit code\]", gdb.hello)
        check_match(r"<_start>:\s+cli\s.*mov +%eax,%ebp\s", gdb.do("x/3i $pc"))
        gdb.do("set var $ecx = 0x1234")
        gdb.do("stepi")
        check_match(r"= 0x1234$", gdb.do("print/x $ecx").strip())
        check_match(r"kernel has not started", gdb.do("envs"))
        gdb.do("break env_create if $_streq(name, \"init\")")
        check_match(r"64-bit code.*, env_create \(", gdb.do("continue"))
        check_match(r"\bfs$", gdb.do("envs").strip())
        check_match(r"PT .*present.*is physical 0x1\w{5}\.", gdb.do("pt $pc"))
        for command in ("vmcs", "ept 0", "exits", "guest-bt", "break-exit CPUID", "step-exit"):
            check_match(rf"{command.split()[0]}: this gdb is on a guest; ", gdb.do(command))
        gdb.do("delete")
        gdb.do("watch envs[1].env_type")
        check_match(r"Old value = 0\nNew value = 2", gdb.do("continue"))
        gdb.do("delete")
        gdb.do("rwatch envs[1].env_type")
        stop = gdb.do("continue")
        check_match(r"read watchpoint \d+: envs\[1\]\.env_type\s+Value = 2", stop)
        gdb.do("delete")
        gdb.do("add-env sh")
        gdb.do('break umain if $env_is("sh")')
        check_match(r"umain \(.*user/sh/sh\.c:\d+", gdb.do("continue"))
        gdb.do("kill")
    text = session.until(HOS, 60)
    check_match(r"guest ended: gdb has killed it\n.*\n +\d+ +\d+ [0-9a-f]{16} .*second-stage page fault", text)


@check("Guest gdb", 0, "a CPU whose monitor trap flag does nothing is found out, and guests are stepped there by TF", on=(VTX,))
def broken_flag(bench: Bench) -> None:
    with GuestPort() as port:
        settings = {"cmdline": "graded", "cpu": "corei7_icelake_u", "serial3": port.machine_port}
        with bench.machine("guestgdb-icelake", Bochs, **settings) as machine:
            machine.expect(HOS, 60)
            machine.sendline("vmm -g -k /vmm/guests/stepped")
            machine.expect("vmm: this CPU's monitor trap flag does not work")
            machine.expect(WAITS, 60)
            step_through(bench, port, FEW)
            machine.expect("stepped: ok", 60)


def step_through(bench: Bench, port: GuestPort, parts: int = ALL) -> None:
    """Step over the instructions of user/guests/stepped.c that see flags, or a part of them, then let it end."""
    with Gdb(port, bench.obj / "guests/stepped.sym") as gdb:
        gdb.do("break step_start")
        check_match(r"Breakpoint 1, .*step_start", gdb.do("continue"))
        gdb.do("delete")
        visited = ""
        for _ in range(parts):
            visited += gdb.do("stepi 5")
            if "step_end" in visited:
                break
        check_that(parts < ALL or "step_end" in visited, "steps to step_end", visited)
        rip = gdb.do("print/x $rip")
        check_that(gdb.do("stepi") and gdb.do("print/x $rip") != rip, "another rip after stepi", rip)
        gdb.start("continue")
        gdb.answer()


# INT1, which the guest executes, is #UD in QEMU.
@check("Guest gdb", 0, "a guest sees its own TF, #DB and INT3 and none of gdb's, stepped over all that shows flags", on=(VTX,))
def unseen(bench: Bench) -> None:
    session = session_of(bench)
    fine(session, "stepped")
    begin(session, "-k /vmm/guests/stepped")
    machine = session.ready()
    step_through(bench, port_of(bench))
    text = session.until(HOS, 60)
    check_that("stepped: ok" in machine.console.text[-400:], "`stepped: ok`", text)
    check_that(session.status() == 0, "exit status 0", text)


@check("Guest gdb", 0, "vmm -g says what is missing where there is no port, and who has it", on=BOTH)
def refused(bench: Bench) -> None:
    session = hos(bench)
    check_match(r"vmm: -g: this machine has no serial port COM3", session.sh("vmm -g"))
    check_that(session.status() == 1, "exit status 1")
    session = session_of(bench)
    machine = session.ready()
    machine.sendline("vmm -n one -g &")
    session.until(HOS, 60)
    seen = ""
    for _ in range(LOOKS):  # the port is its own when it waits at its entry
        seen = session.sh("vms")
        if re.search(r"one +stopped", seen):
            break
    check_match(r"one +stopped", seen)
    text = session.sh("vmm -n two -g")
    check_match(r"vmm: -g: the serial port COM3 is in use", text)
    session.sh("vmm kill one")
    check_that(re.search(r"\bone\b", session.sh("vms")) is None, "no guest left")


@check("Guest gdb", 0, "line noise and a gdb that dies harm neither monitor nor guest, and the next gdb works at once", on=BOTH)
def noisy(bench: Bench) -> str:
    session, port, seed = session_of(bench), port_of(bench), secrets.randbits(32)
    begin(session)
    for trouble in (lambda: line_noise(port.port, seed), lambda: dying_gdb(port.port, "100000")):
        trouble()
        with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
            text = gdb.hello + gdb.do("print/x $pc") + gdb.do("detach")
        check_match(r" (?:in|at) .*= 0x.*detached", f"seed {seed}\n{text}")
        check_that("rror" not in text, f"no complaint of gdb's (seed {seed})", text)
    session.until(GOS, 60)
    line_noise(port.port, seed)
    with Gdb(port_of(bench), bench.obj / "kern/kernel.sym") as gdb:
        check_match(r" (?:in|at) ", f"seed {seed}\n{gdb.hello}")
        gdb.do("detach")
    check_match(r"^again$", session.guest("echo again"))
    session.close_guest()
    return f"line noise: seed {seed}"
