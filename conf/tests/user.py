"""User space: library, shell, utilities."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.qemu import Tcg
from jos.session import HOS

from .common import CTRL_C, cancel, nonce, passes, qemu, running

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


@check("User space", 0, "Ctrl-C ends the foreground pipeline with status 130, and the line, but nothing in the background")
def ctrl_c(bench: Bench) -> None:
    session = qemu(bench)
    word = nonce()
    session.sh("sleep 1000 &")
    text = cancel(session, f"echo {word}; sleep 1000 | cat; echo not here", word)
    check_that(text == "^C\n", "nothing after ^C", text)
    check_that(running(session, "sleep") == 1, "only the sleep in the background goes on")
    for line in ("cat", "cat | cat", "wait", "sh -c 'sleep 1000; sleep 1000'"):
        cancel(session, f"echo {word}; {line}", word)
    check_that(running(session, "sleep") == 1, "only the sleep in the background goes on")
    check_that(running(session, "cat") == 0, "no cat goes on")
    # Programs that scripts have started, in a shell that another one waits for.
    session.sh(f"echo 'echo {word}; sleep 1000; sleep 1000' > /canceled")
    session.sh("sh")
    session.sh("sleep 1000 &")
    cancel(session, "sh /canceled | cat", word)
    check_that(running(session, "sleep") == 2, "only two sleeps in the background go on")
    session.sh("exit 3")
    check_that(session.status() == 3, "the inner shell to go on, and end by itself")
    for found in re.findall(r"(?m)^(\w+) .* sleep$", session.sh("ps")):
        session.sh(f"kill {found}")
    session.sh("rm /canceled")


@check("User space", 0, "Ctrl-C is a character where a program has claimed it, and ends a wait where one has claimed that")
def claims(bench: Bench) -> None:
    session = qemu(bench)
    machine = session.ready()
    machine.sendline("test-interrupt")
    for whom in ("the wait", "the child", "the parent", "this program"):
        machine.expect(f"press for {whom}\n")
        machine.send(CTRL_C)
    check_match(r"^test-interrupt: ok\n\Z", session.until(HOS, 30))


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
