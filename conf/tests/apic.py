"""The virtual local APIC of a guest: xAPIC and x2APIC mode, its page, messages."""

from jos.grade import Bench, check, check_match
from jos.platforms import ALL, PARALLEL

from .common import hos, passes
from .guests import ended, fine, run


@check("Local APIC", 0, "in xAPIC mode: reset state, LVT, errors, priorities, destinations, IPIs, timer", on=ALL)
def xapic(bench: Bench) -> None:
    fine(hos(bench), "xapic")


@check("Local APIC", 0, "changes of mode, and the page moved over RAM and away", on=ALL)
def modes(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "apic-modes")
    check_match(r"these words come from RAM behind the APIC", run(session, "apic-modes"))


@check("Local APIC", 0, "messages of devices: refused ones, destinations, trigger modes, NMI", on=PARALLEL)
def messages(bench: Bench) -> None:
    passes(hos(bench), "test-msi")


@check("Local APIC", 0, "every form of MOV to its page in 64-, 32- and 16-bit code, rewritten code, other instructions", on=PARALLEL)
def movs(bench: Bench) -> None:
    fine(hos(bench), "apic-movs")


HOSTILE = (
    ("tables", r"its page tables are in the page of its local APIC"),
    ("stack", r"needs what is in the page of its local APIC"),
    ("code", r"it executes what is in the page of its local APIC"),
    ("idt", r"needs what is in the page of its local APIC"),
    ("init", r"it has sent INIT to its own CPU"),
)


@check("Local APIC", 0, "its page over a guest's tables, stack, code or IDT, and INIT to itself, end that guest with the reason", on=PARALLEL)
def hostile(bench: Bench) -> None:
    session = hos(bench)
    for word, reason in HOSTILE:
        ended(session, "apic-hostile", reason, f"-a {word}")
    check_match(r"still here", run(session, "apic-hostile", "-a init"))


@check("Local APIC", 0, "a storm of interrupts that send themselves; the page moved thousands of times over RAM", on=PARALLEL)
def storm(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "apic-hostile", "-a storm")
    fine(session, "apic-hostile", "-a moves")
