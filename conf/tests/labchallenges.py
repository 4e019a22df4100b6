"""The lab's challenges: a test for each. They are off by default and give no points:
`./grade-lab4 challenges` runs all, `./grade-lab4 --challenge NAME` one.
"""

import re
from typing import Callable

from jos.bochs import Bochs
from jos.errors import MachineError
from jos.grade import CHECKS, Bench, Check, Mismatch, check_match, check_that
from jos.session import GOS, HOS, Session

from .common import nonce, passes

GROUP = "Challenges"
GUESTS = "/vmm/guests"
NOT_DONE = re.compile(r"challenge: (\w+) is not implemented yet")
DETACH_KEY = "\x1d"  # Ctrl-]
SUM = r"^[\w-]+ {nonce} 8 sum: (\d+) ok, (\d+) failed$"


def challenge(name: str, sentence: str) -> Callable[[Callable[[Bench], None]], None]:
    """Decorator: register the test of a challenge."""

    def register(function: Callable[[Bench], None]) -> None:
        def run(bench: Bench) -> None:
            try:
                function(bench)
            except MachineError as error:
                log = bench.used.log if bench.used else bench.last_log
                text = log.read_text(errors="replace") if log and log.exists() else ""
                missing = NOT_DONE.search(text)
                raise Mismatch(f"{missing[1]} is not implemented yet" if missing else error) from None

        item = Check(GROUP, 0, f"{name}: {sentence}", "bochs", run)
        item.challenge, item.guide = name, f"doc/lab/challenges.md#{name}"
        CHECKS.append(item)

    return register


def machine(bench: Bench) -> Session:
    return bench.session("challenges", Bochs)


def all_hold(text: str, word: str) -> None:
    """Each property of a test that printed its lines with this nonce."""
    wrong = re.findall(rf"^[\w-]+ {word} 8 ([\w-]+: FAIL .*)$", text, re.MULTILINE)
    check_that(not wrong, "every property to hold", "\n".join(wrong))
    total = check_match(SUM.format(nonce=word), text)
    check_that(int(total[1]) > 0 and total[2] == "0", "a sum without failures", total[0])


@challenge("pass_pagefault", "page faults are verified and injected, once, and counted")
def page_faults(bench: Bench) -> None:
    session = machine(bench)
    text = session.sh(f"vmm -p -s -k {GUESTS}/pf-storm")
    check_match(r"pf-storm: ok", text)
    injected = int(check_match(r"page faults injected\s+(\d+)", text)[1])
    check_that(injected >= 50, "at least 50 injected page faults", text)
    text = session.sh('vmm -p -a "run=test-fork thenhalt"', 60)
    check_match(r"test-fork: ok", text)


@challenge("ept_map_large", "the entry, counts, what is refused, and the end of a large page")
def large_pages(bench: Bench) -> None:
    word = nonce()
    words = f"graded epttest={word}:8 epttest-off"
    with bench.machine("challenge-large", Bochs, cmdline=words) as tested:
        tested.wait_off()
        all_hold(tested.console.text, word)
    passes(machine(bench), "test-large")


@challenge("vmcs_switch", "two guests run on one CPU, each with its own shell and disk")
def two_guests(bench: Bench) -> None:
    session, words = machine(bench), {"one": nonce(), "two": nonce()}
    for name in words:
        session.sh(f"vmm -n {name} &; sleep 1")
    text = session.sh("vms")
    check_that(all(re.search(rf"^{name} ", text, re.MULTILINE) for name in words), "two guests", text)
    for name, word in words.items():
        session.sh(f"vmm attach {name}", 60, GOS)
        session.guest(f"echo {word} > /word")
        session.ready().send(DETACH_KEY)
        session.until(HOS, 30)
    for name, word in words.items():
        session.sh(f"vmm attach {name}", 60, GOS)
        check_match(rf"^{word}$", session.guest("cat /word"))
        session.close_guest()
    session.sh("rm /vmm/one.img /vmm/two.img")


@challenge("hv_exits", "a guest learns how many exits it has made, by reason and in all")
def own_exit(bench: Bench) -> None:
    word = nonce()
    text = machine(bench).sh(f'vmm -k {GUESTS}/lab-own-exit -a "{word}"')
    all_hold(text, word)
