"""User space: library, shell, utilities."""

from jos.grade import Bench, check, check_match, check_that
from jos.qemu import Tcg
from jos.session import HOS

from .common import nonce, passes, qemu

AT_ONCE = 8  # programs in a command line
UP, BACKSPACE, LEFT, CTRL_A, CTRL_K = "\x1b[A", "\x7f", "\x1b[D", "\x01", "\x0b"


@check("User space", 0, "fork copies on write, in both directions")
def fork(bench: Bench) -> None:
    passes(qemu(bench), "test-fork")


@check("User space", 0, "pipes carry large data and know when the other end is closed")
def pipes(bench: Bench) -> None:
    passes(qemu(bench), "test-pipe")


@check("User space", 0, "spawn refuses broken programs by name and leaves nothing behind")
def spawn(bench: Bench) -> None:
    passes(qemu(bench), "test-spawn")


@check("User space", 0, "malloc and printf do what their contracts say")
def library(bench: Bench) -> None:
    passes(qemu(bench), "test-malloc")
    passes(qemu(bench), "test-printf")


@check("User space", 0, "the shell has pipes, redirection, quoting, ; and &, and $?")
def shell(bench: Bench) -> None:
    session = qemu(bench)
    word = nonce()
    for command, expected in (
        (f"echo {word} | cat | wc", r"\b1\s+1\s+13\b"),
        (f"echo {word} > /t1; echo more >> /t1; cat < /t1", rf"^{word}\nmore\n"),
        (f"echo '{word}  a' \"b  c\"", rf"^{word}  a b  c\n"),
        (f"sleep 1 & echo {word}; wait", rf"{word}"),
        ("false; echo $?", r"^1\n"),
        ("true; echo $?", r"^0\n"),
        ("rm /t1; cat /t1", r"/t1"),
    ):
        check_match(expected, session.sh(command))


@check("User space", 0, "a script runs by name and by sh")
def scripts(bench: Bench) -> None:
    session = qemu(bench)
    word = nonce()
    session.sh("echo '#!/bin/sh' > /script")
    session.sh(f"echo 'echo {word}; echo second' >> /script")
    for command in ("sh /script", "/script"):
        check_match(rf"^{word}\nsecond\n", session.sh(command))
    session.sh("rm /script")


# Programs that print their arguments, whatever these are, have none, or are not started by people.
NO_USAGE = ("echo", "hello", "true", "false", "init", "linux")
COLUMNS = 80


@check("User space", 0, "-h of every program prints its usage in 80 columns, with status 0; a wrong option the same, with status 2")
def usages(bench: Bench) -> None:
    session = qemu(bench)
    names = [name for name in session.sh("ls /bin").split() if not name.startswith("test-") and name not in NO_USAGE]
    check_that("vmm" in names and "ls" in names, "the programs in /bin", names)
    for some in range(0, len(names), AT_ONCE):
        group = names[some : some + AT_ONCE]
        text = session.sh("; ".join(f"{name} -h > /usage; echo {name} $?; cat /usage" for name in group))
        for name in group:
            check_match(rf"^{name} 0\nusage: {name}\b", text)
        wide = [line for line in text.splitlines() if len(line) > COLUMNS]
        check_that(not wide, f"at most {COLUMNS} columns", "\n".join(wide))
    for command in ("ls -z", "cat -z", "sync now", "vmm -?"):
        check_match(f"^usage: {command.split()[0]}", session.sh(command))
        check_that(session.status() == 2, f"status 2 for {command}")
    session.sh("rm /usage")


@check("User space", 0, "a mistyped command is named, with status 127")
def mistyped(bench: Bench) -> None:
    session = qemu(bench)
    word = "x" + nonce()
    check_match(rf"{word}: command not found", session.sh(word))
    check_that(session.status() == 127, "status 127")


@check("User space", 0, "the command line can be edited, and has a history")
def editing(bench: Bench) -> None:
    session = qemu(bench)
    word = nonce()
    check_match(rf"\n{word}\n\Z", "\n" + session.sh(f"ecHX{BACKSPACE}{BACKSPACE}ho {word}"))
    check_match(rf"{word}\n\Z", session.sh(UP))
    check_match(rf"{word} b\n\Z", session.sh(f"echo b{LEFT}{word} "))
    check_match(r"^kept\n\Z", session.sh(f"lost{CTRL_A}{CTRL_K}echo kept"))


@check("User space", 0, "the utilities work: ls, cp, mkdir, wc, ps, kill, free, and halt with a status")
def utilities(bench: Bench) -> None:
    session = qemu(bench)
    word = nonce()
    session.sh(f"mkdir /d; echo {word} > /d/a; cp /d/a /d/b")
    check_match(rf"{word}\n", session.sh("cat /d/b"))
    check_match(r"\ba\b.*\bb\b", session.sh("ls /d"))
    check_match(r"init.*sh.*ps", session.sh("ps"))
    check_that(session.free_pages() > 1000, "more than 1000 free pages")
    session.sh("rm /d/a; rm /d/b; rm /d")
    with bench.machine("user-halt", Tcg) as machine:
        machine.expect(HOS, 60)
        machine.sendline("halt 42")
        check_that(machine.wait_off() == 42, "power-off with status 42")
