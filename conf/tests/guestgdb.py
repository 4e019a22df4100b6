"""gdb on a guest: `vmm -g`, real gdb, and the serial port between them."""

import os
import re
import select
import signal
import subprocess
import time
from typing import Optional

from jos.bochs import Bochs
from jos.errors import MachineError, TimeUp, tail
from jos.grade import Bench, check, check_match, check_that
from jos.guestport import GuestPort
from jos.session import GOS, HOS, Session

from .common import TOP, bochs, nonce
from .guests import fine

PROMPT = "(gdb) "
MAX_OTHERS = 20
LIMIT = 240  # seconds by the clock for one command of gdb's
WAITS = "waits at its entry for gdb on serial port COM3\n"

port: Optional[GuestPort] = None


class Gdb:
    """gdb on the guest; use as a context manager."""

    def __init__(self, symbols: object) -> None:
        assert port
        command = ["gdb", "-q", "-nx", "-ex", "set confirm off", "-ex", "set pagination off"]
        command += ["-ex", "set width 0", "-ex", f"target remote localhost:{port.port}", str(symbols)]
        self.process = subprocess.Popen(
            command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.hello = self.answer()

    def __enter__(self) -> "Gdb":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def answer(self) -> str:
        """What gdb prints up to its prompt."""
        assert self.process.stdout
        text, end = "", time.monotonic() + LIMIT
        while not text.endswith(PROMPT):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeUp(f"gdb does not answer within {LIMIT} s; got\n{tail(text)}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise MachineError(f"gdb has ended; got\n{tail(text)}")
            text += data.decode("utf-8", "replace")
        return text[: -len(PROMPT)]

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


def session_of(bench: Bench) -> Session:
    """hOS in Bochs with the port for gdb."""
    global port
    if port is None:
        port = GuestPort().__enter__()
    return bench.session("bochs-guestgdb", Bochs, serial3=port.machine_port)


def begin(session: Session, options: str = "") -> None:
    """Start a guest that waits for gdb."""
    machine = session.ready()
    machine.sendline(f"vmm -g {options}")
    machine.expect(WAITS, 60)


@check("Guest gdb", 0, "gdb stops gOS's kernel at breakpoints with names and locals; bad addresses are errors", lane="bochs")
def kernel(bench: Bench) -> None:
    session = session_of(bench)
    begin(session)
    with Gdb(bench.obj / "kern/kernel.sym") as gdb:
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


@check("Guest gdb", 0, "Ctrl-C, a breakpoint in a program of gOS's, detach, a second gdb, and kill", lane="bochs")
def programs(bench: Bench) -> None:
    session, word = session_of(bench), nonce()
    begin(session)
    machine = session.ready()
    with Gdb(bench.obj / "kern/kernel.sym") as gdb:
        gdb.start("continue")
        session.until(GOS, 60)
        check_match(r"SIGINT", gdb.interrupt())
        check_match(r"idle|sched_next", gdb.do("bt"))
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
    with Gdb(bench.obj / "kern/kernel.sym") as gdb:
        check_match(r" in |at ", gdb.hello)
        gdb.do("kill")
    check_match(r"gdb has killed it", session.until(HOS, 60))


@check("Guest gdb", 0, "a guest sees its own TF, #DB and INT3 and none of gdb's, stepped over all that shows flags", lane="bochs")
def unseen(bench: Bench) -> None:
    session = session_of(bench)
    fine(session, "stepped")
    begin(session, "-k /vmm/guests/stepped")
    machine = session.ready()
    with Gdb(bench.obj / "guests/stepped.sym") as gdb:
        gdb.do("break step_start")
        check_match(r"Breakpoint 1, .*step_start", gdb.do("continue"))
        gdb.do("delete")
        visited = ""
        for _ in range(20):
            visited += gdb.do("stepi 5")
            if "step_end" in visited:
                break
        check_match(r"step_end", visited)
        gdb.start("continue")
        gdb.answer()
    text = session.until(HOS, 60)
    check_that("stepped: ok" in machine.console.text[-400:], "`stepped: ok`", text)
    check_that(session.status() == 0, "exit status 0", text)


@check("Guest gdb", 0, "vmm -g says what is missing where there is no port, and who has it", lane="bochs")
def refused(bench: Bench) -> None:
    session = bochs(bench)
    check_match(r"vmm: -g: this machine has no serial port COM3", session.sh("vmm -g"))
    check_that(session.status() == 1, "exit status 1")
    session = session_of(bench)
    machine = session.ready()
    machine.sendline("vmm -n one -g &")
    session.until(HOS, 60)
    text = session.sh("vmm -n two -g")
    check_match(r"vmm: -g: the serial port COM3 is in use", text)
    check_match(r"one +stopped", session.sh("vms"))
    session.sh("vmm kill one")
    check_that(re.search(r"\bone\b", session.sh("vms")) is None, "no guest left")
