"""The virtual local APIC of a guest: xAPIC and x2APIC mode, its page, messages."""

from jos.grade import Bench, check, check_match
from jos.platforms import ALL, PARALLEL

from .common import hos, passes
from .guests import fine, run


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
