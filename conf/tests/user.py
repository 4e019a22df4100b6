"""User space: library, shell, utilities."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.qemu import Tcg
from jos.session import HOS, Session

from .common import CTRL_C, cancel, nonce, passes, qemu, running
from .terminal import Display

AT_ONCE = 8  # programs in a command line
UP, DOWN, LEFT, BACKSPACE = "\x1b[A", "\x1b[B", "\x1b[D", "\x7f"
CTRL_A, CTRL_E, CTRL_K = "\x01", "\x05", "\x0b"


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


def edit_long(session: Session, columns: int, answers: bool = True) -> None:
    """Edit a line of several rows on a terminal of this width, and run it."""
    machine, word = session.ready(), nonce()
    display = Display(machine, columns, answers)
    start = HOS + "echo "
    machine.send("\n")
    display.wait(lambda: display.shows(HOS, len(HOS)), "a prompt")
    display.key("echo ", start, len(start))
    filler = "+".join(str(number) for number in range(100, 100 + columns // 2))
    line = f"{start}{filler}"
    display.key(filler, line, len(line))
    display.wait(lambda: display.asked > 0, "a question for the width")
    fill = "x" * (-len(line) % columns)
    line += fill
    display.key(fill, line, len(line))  # the last row is full
    display.key("y", line + "y", len(line) + 1)
    display.key(BACKSPACE, line, len(line))
    display.key(CTRL_A, line, len(HOS))
    inserted = f"{HOS}echo {word}; {line[len(HOS) :]}"
    display.key(f"echo {word}; ", inserted, len(inserted) - len(line) + len(HOS))
    display.key(CTRL_E, inserted, len(inserted))
    display.key(LEFT * columns, inserted, len(inserted) - columns)
    shorter = inserted[: len(inserted) - columns]
    display.key(CTRL_K, shorter, len(shorter))
    display.key(UP, start + "before", len(start) + len("before"))
    display.key(DOWN, HOS, len(HOS))
    display.key(shorter[len(HOS) :], shorter, len(shorter))
    machine.console.pos = len(machine.console.text)
    machine.send("\n")
    said = session.until(HOS, 30).split("\n", 1)[1]
    check_that(said == f"{word}\n{shorter.split('; echo ')[1].rstrip()}\n", "what was typed, and nothing else", said)


@check("User space", 0, "a long line is shown and edited right at 40, 80, 100 and 200 columns, and at 80 without an answer")
def widths(bench: Bench) -> None:
    session = qemu(bench)
    session.sh("echo before")
    for columns in (100, 40, 200, 80, 27):
        edit_long(session, columns)
        session.sh("echo before")
    session.sh("echo nobody answers in this line")
    session.sh("echo before")
    edit_long(session, 80, answers=False)


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
