"""Programs that try to do harm: every system call with bad and random arguments, races, and taking all."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import BOTH
from jos.qemu import Tcg
from jos.session import Session

from .common import hos, nonce, qemu

SEED = 3001  # of the quick form; the long one takes others
LIMIT = 200  # seconds
HOLD_MS = 4000  # how long a hog keeps what it has
COUNTS = r"(?:seed|calls made|envs started|races run|addresses probed|free pages|envs|free disk blocks): .*"


def tries(session: Session, tests: str, rounds: int, seed: int, limit: float) -> str:
    """test-hostile passes; its counts. It checks itself that all pages, envs and blocks are free again."""
    text = session.sh(f"test-hostile -s {seed} -n {rounds} {tests}", limit)
    check_that("test-hostile: ok" in text and "FAILED" not in text, f"`test-hostile: ok` (seed={seed})", text)
    return "\n".join(re.findall(COUNTS, text))


def two(bench: Bench) -> Session:
    """hOS in QEMU on two CPUs, which really run at the same time."""
    return bench.session("qemu-2", Tcg, cpus=2)


@check("Hostile envs", 0, "every system call with one bad argument at a time is an error, and nothing changes")
def arguments(bench: Bench) -> str:
    return tries(qemu(bench), "arguments", 1, SEED, LIMIT)


@check("Hostile envs", 0, "no address of the kernel or of other envs can be read or written")
def memory(bench: Bench) -> str:
    return tries(qemu(bench), "memory", 1, SEED, LIMIT)


@check("Hostile envs", 0, "what a message says stands nowhere that other programs can read")
def messages(bench: Bench) -> str:
    return tries(qemu(bench), "messages", 1, SEED, LIMIT)


@check("Hostile envs", 0, "random system calls of several envs on two CPUs harm nobody else, and leak nothing")
def random_calls(bench: Bench) -> str:
    return tries(two(bench), "random", 1, SEED, LIMIT)


@check("Hostile envs", 0, "pairs of envs that race on two CPUs for the same pages, messages, lives and registers")
def races(bench: Bench) -> str:
    return tries(two(bench), "races", 1, SEED, LIMIT)


@check("Hostile envs", 0, "calls about guests with bad arguments, and races for guests on two CPUs", on=BOTH)
def guests(bench: Bench) -> str:
    return tries(hos(bench, "2-cpus", cpus=2, mem=1024), "arguments guest-races guests", 1, SEED, LIMIT)


@check("Hostile envs", 0, "a quarter of the open files is all that a program and its descendants get, orphans or not")
def orphans(bench: Bench) -> str:
    return tries(qemu(bench), "files", 1, SEED, LIMIT)


@check("Hostile envs", 0, "memory, page tables and open files are taken to the last: an error, then all is free again")
def hogs(bench: Bench) -> str:
    return tries(qemu(bench), "pages tables files", 1, SEED, LIMIT)


@check("Hostile envs", 0, "who scribbles over the console's descriptor harms no program that comes later")
def descriptors(bench: Bench) -> None:
    session, word = two(bench), nonce()
    tries(session, "descriptors", 1, SEED, LIMIT)
    check_match(rf"^{word}\n", session.sh(f"echo {word}"))


@check("Hostile envs", 0, "who scribbles over a pipe on two CPUs gives the other end data or an error, and no memory")
def pipes(bench: Bench) -> str:
    return tries(two(bench), "pipes", 1, SEED, LIMIT)


@check("Hostile envs", 0, "who scribbles over the descriptor of an open file moves its offset at most")
def shared_file(bench: Bench) -> str:
    return tries(two(bench), "shared-file", 1, SEED, LIMIT)


@check("Hostile envs", 0, "open files are refused to those who have not got them, whatever they know about them")
def rights(bench: Bench) -> str:
    return tries(two(bench), "rights", 1, SEED, LIMIT)


@check("Hostile envs", 0, "files that many children and programs have inherited are theirs as well")
def inherited(bench: Bench) -> str:
    return tries(two(bench), "inherited", 1, SEED, LIMIT)


def held(session: Session, hog: str, what: str) -> None:
    """While a hog holds all there is, the shell still starts programs."""
    word = nonce()
    machine = session.ready()
    machine.sendline(f"test-hostile -t {HOLD_MS} {hog} &")
    machine.expect(re.compile(rf"{what}: \d+, then an error"), LIMIT)
    text = session.sh(f"echo {word}; kill 7fffffff; ps | wc", LIMIT)
    check_match(rf"{word}\n.*kill: 7fffffff: .*\n *\d+ +\d+ +\d+", text)
    check_that("test-hostile: ok" not in text, "answers before the hog has ended", text)
    text = session.sh("wait", LIMIT)
    check_match("test-hostile: ok", text)


@check("Hostile envs", 0, "the shell answers while a fork bomb, or a memory hog, holds all there is")
def shell_answers(bench: Bench) -> None:
    session = qemu(bench)
    held(session, "envs", "envs")
    held(session, "pages", "pages")
