"""Guests that try to do harm, one property each, beside one that does nothing wrong."""

import re
from typing import Callable, Sequence, Tuple

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import PARALLEL, SVM, SVM_2
from jos.session import HOS, Session

from .common import hos, nonce, passes
from .guests import DETACH_KEY, GUESTS

INNOCENT = "good"
TRIES = 30
SEED = 1001  # of the quick form; the long ones take others
GUESTS_QUICK = 85
PIECES_QUICK = 10000  # of random code, in these guests
LIMIT = 240  # seconds for one guest

# These check themselves, and end with "NAME: ok": group, then guest and its command line.
SELF_CHECKED = {
    "registers": (
        "cr-bits",
        "xsetbv",
        "fpu-state",
        "avx-state x",
        "debug-regs",
        "single-step",
        "align-check",
        "tsc",
        "perf",
    ),
    "exceptions": ("storm", "bad-idt", "self-map", "real-mode"),
    "instructions": ("odd-insns", "nmi", "smi", "init-ipi", "irq-flood"),
    "sweeps": ("high-gpa", "high-gpa bit=32", "high-gpa bit=38", "msr-sweep", "port-sweep step=61", "port-strings", "random-vmcall seed=7"),
    "rules": (
        "bad-vmcall",
        "bad-gpa",
        "wild-ept",
        "mmio",
        "own-image",
        "vmx-insns",
        "bad-cr",
        "bad-msr",
        "bad-port string",
        "double-fault",
        "idt-vector",
        "pf-storm",
        "sti-hlt",
        "disk",
        "uart",
        "registers",
    ),
}

# These cannot go on: what they do, and the words in which the VMM says so.
KILLED: Tuple[Tuple[str, str], ...] = (
    ("task-switch", r"task switch to selector 0x30"),
    ("task-switch call", r"task switch to selector 0x30"),
    ("task-switch gate", r"task switch to selector 0x30"),
    ("task-switch iret", r"task switch to selector 0x30"),
    ("triple-fault", r"triple fault at rip 0x"),
    ("wild-ept walk", r"(?:gpa 0x[0-9a-f]+, where there is no memory|triple fault)"),
    ("bad-idt unmapped", r"triple fault at rip 0x"),
    ("bad-idt nowhere", r"(?:gpa 0xd0000|triple fault)"),
    ("lost-stack", r"triple fault at rip 0x"),
    ("lost-stack high", r"triple fault at rip 0x"),
    ("lost-stack nowhere", r"(?:gpa 0xd000|triple fault)"),
)


def machine_of(bench: Bench) -> Session:
    """A machine of its own, with the innocent guest running in it."""
    session = hos(bench, "hostile")
    if session.machine is None:
        session.sh(f"vmm -n {INNOCENT} -m 16M -k {GUESTS}/innocent &", 60)
        await_guest(session, INNOCENT)
        rounds(session)
        session.ready().busy = True
    return session


def await_guest(session: Session, name: str) -> None:
    """Wait until a guest that was started in the background is loaded, and runs."""
    for _ in range(TRIES):
        if re.search(rf"(?m)^{name} +(?!loading)\w", session.sh("vms", 60)):
            return
    check_that(False, f"guest {name} to run")


def rounds(session: Session, name: str = INNOCENT) -> int:
    """Ask an innocent guest how far it is. Fails if it saw anything wrong."""
    machine, word = session.ready(), nonce()
    machine.sendline(f"vmm attach {name}")
    machine.sendline(word)
    found = machine.expect(re.compile(rf"innocent: {word}: (\d+) rounds, (\d+) wrong"), 60)
    machine.send(DETACH_KEY)
    session.until(HOS, 60)
    check_that(found.group(2) == "0", "an innocent guest that sees nothing wrong", found.group(0))
    return int(found.group(1))


def free_pages(session: Session) -> int:
    """The same when what has just ended is gone: three times alike."""
    seen = [session.free_pages() for _ in range(3)]
    while len(set(seen[-3:])) > 1 and len(seen) < TRIES:
        seen.append(session.free_pages())
    return seen[-1]


def run(session: Session, words: str) -> str:
    name, _, args = words.partition(" ")
    return session.sh(f'vmm -k {GUESTS}/{name} -a "{args}"', LIMIT)


def self_checked(session: Session, words: str) -> None:
    name = words.split()[0]
    text = run(session, words)
    check_that(f"{name}: ok" in text and "FAILED" not in text, f"`{name}: ok`", text)
    check_that(session.status() == 0, f"exit status 0 from {words}", text)


def killed(session: Session, words: str, reason: str) -> None:
    text = run(session, words)
    check_match(rf"vmm: guest ended: [^\n]*{reason}", text)
    check_that(session.status() == 1, f"exit status 1 from {words}", text)


def each(bench: Bench, guests: Sequence[str], try_one: Callable[[Session, str], None]) -> str:
    """Run them; after each the shell answers, the innocent guest has gone on, and no page is lost.
    Returns the counts."""
    session = machine_of(bench)
    try_one(session, guests[0])  # what the first guest leaves in caches is there now
    first = last = rounds(session)
    pages = free_pages(session)
    for words in guests:
        try_one(session, words)
        now, left = rounds(session), free_pages(session)
        check_that(now > last, f"more than {last} rounds of the innocent guest after {words}", now)
        check_that(left == pages, f"{pages} free pages after {words}, as before", left)
        last = now
    return (
        f"guests started: {len(guests) + 1}; free pages: {pages} before, {pages} after; "
        f"rounds of the innocent guest: {first} before, {last} after"
    )


# What QEMU does otherwise: user/guests/bad-cr.c, bad-msr.c, xsetbv.c.
IN_QEMU = {"bad-cr": "bad-cr low-bits", "bad-msr": "bad-msr any-address", "xsetbv": "xsetbv any"}


# These find what QEMU does otherwise than a CPU: no #AC, no EXT in error codes of an IDT's entries, no limits in real
# mode. They are run all the same, since the host has to bear them.
FOUND_IN_QEMU = ("align-check", "bad-idt", "real-mode")


def borne(session: Session, words: str) -> None:
    """The guest ends by itself, whatever it says."""
    check_match(r"(?m)^[\w-]+: (ok|FAILED)", run(session, words))


def group(bench: Bench, name: str) -> str:
    if bench.platform not in (SVM, SVM_2):
        return each(bench, SELF_CHECKED[name], self_checked)

    def try_one(session: Session, words: str) -> None:
        (borne if words in FOUND_IN_QEMU else self_checked)(session, IN_QEMU.get(words, words))

    return each(bench, SELF_CHECKED[name], try_one)


@check("Hostile guests", 0, "registers: control, debug, x87, SSE, clock and counters", on=PARALLEL)
def registers(bench: Bench) -> str:
    return group(bench, "registers")


@check("Hostile guests", 0, "storms of exceptions, bad IDTs, moving page tables, real mode", on=PARALLEL)
def exceptions(bench: Bench) -> str:
    return group(bench, "exceptions")


@check("Hostile guests", 0, "odd instructions, NMI, SMI, INIT, floods of interrupts", on=PARALLEL)
def instructions(bench: Bench) -> str:
    return group(bench, "instructions")


@check("Hostile guests", 0, "all MSRs, ports of the whole range, string I/O, random hypercalls", on=PARALLEL)
def sweeps(bench: Bench) -> str:
    return group(bench, "sweeps")


@check("Hostile guests", 0, "hypercalls, exceptions, devices and VMX keep to their rules, whoever asks", on=PARALLEL)
def rules(bench: Bench) -> str:
    return group(bench, "rules")


@check("Hostile guests", 0, "x87 and SSE registers of hOS's programs survive guests that use them", on=PARALLEL)
def host_registers(bench: Bench) -> None:
    session = machine_of(bench)
    session.sh(f"vmm -n fpu -m 16M -k {GUESTS}/innocent &", 60)
    await_guest(session, "fpu")
    passes(session, "test-fpu", LIMIT)
    session.sh("vmm kill fpu", 60)
    rounds(session)


@check("Hostile guests", 0, "what cannot go on ends that guest alone, and the reason names it", on=PARALLEL)
def ends(bench: Bench) -> str:
    # QEMU carries task switches out itself, whatever the intercept says.
    itself = bench.platform in (SVM, SVM_2)
    reasons = {words: reason for words, reason in KILLED if not (itself and words.startswith("task-switch"))}
    return each(bench, list(reasons), lambda session, words: killed(session, words, reasons[words]))


@check("Hostile guests", 0, "who keeps the CPU between guest and monitor does not keep it from others", on=PARALLEL)
def shares(bench: Bench) -> None:
    session = machine_of(bench)
    for _ in range(4):  # the end of the time slice falls on different moments
        session.sh(f"vmm -n spin -m 16M -k {GUESTS}/io-spin &", 60)
        await_guest(session, "spin")
        check_match(r"(?m)^spin +(running|stopped|idle)", session.sh("vms", 60))
        session.sh("vmm kill spin", 60)
    rounds(session)


def fuzz(session: Session, guests: int, seed: int, limit: float) -> str:
    """Guests of random bytes; what the program counted, which checks pages and envs."""
    text = session.sh(f"test-fuzz {guests} {seed}", limit)
    check_that("test-fuzz: ok" in text, f"`test-fuzz: ok` (seed={seed})", text[-2000:])
    return f"seed: {seed}\n" + text[text.index("guests started:") :].replace("test-fuzz: ok", "").rstrip()


@check("Hostile guests", 0, "random bytes as code in real, protected and long mode hurt nobody else", on=PARALLEL)
def random_code(bench: Bench) -> str:
    session = machine_of(bench)
    before = rounds(session)
    report = fuzz(session, GUESTS_QUICK, SEED, LIMIT)
    pieces = int(check_match(r"pieces of code: (\d+)", report).group(1))
    check_that(pieces >= PIECES_QUICK, f"at least {PIECES_QUICK} pieces of random code", report)
    check_that(rounds(session) > before, "an innocent guest that went on", before)
    return report
