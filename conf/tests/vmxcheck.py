"""The VM-entry checker: it agrees with the CPU, is silent about good guests, and explains bad ones."""

import re
from typing import Dict

from jos.bochs import Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.platforms import BOTH, VTX
from jos.session import Session

from .common import hos

CASE = re.compile(r"^vmxcheck: (\d+) (agree|known|WRONG): (.*?) \([^()]*\): (checker: .*)$", re.MULTILINE)
SUMMARY = re.compile(
    r"vmxcheck: (\d+) rules broken and (\d+) valid variants, (\d+) verdicts agree with the CPU, "
    r"(\d+) known differences, (\d+) wrong"
)
FEWEST_RULES = 40

# Where Bochs decides otherwise than the manual; the cases' own lines tell how.
DIFFERENCES = {
    "entry to SMM",
    "64-bit mode without paging",
    "guest DEBUGCTL with a reserved bit",
    "CS with RPL and DPL 3, SS with DPL 0",
    "RIP too wide in 64-bit mode",
    "#GP in activity state HLT",
    "a virtual NMI while NMIs are blocked",
    "a single step lost under MOV SS",
    "a single step from nowhere under MOV SS",
    "the microcode update in the MSR area",
    "the SMM monitor in the MSR area",
    "CS with RPL 3 and DPL 0",
}

# Honest and dishonest guests that use real mode, paging, interrupts, faults and 64-bit mode.
GUESTS = ("sti-hlt", "timer", "registers", "idt-vector", "vmx-insns", "pf-storm", "double-fault", "nmi", "resume-flag")

NOT_IN_QEMU = ("resume-flag",)  # INT1 is #UD there

# A case of each kind: its name, how the entry fails, what the checker says.
EXPLAINED = (
    ("VPID 0", r"invalid control fields", r"VPID = 0x0: must not be 0"),
    ("host CR3 too wide", r"invalid host-state fields", r"HOST_CR3 = 0x4\w+: must be within"),
    ("DS that was not accessed (type 2)", r"invalid guest state", r"GUEST_DS_AR = 0xc092: bit 0 "),
    ("GS.base in the MSR area", r"entry 1 of the MSR area", r"ENTRY_MSR_LOAD_ADDR = \w+: .*GS\.base"),
)


def checked(bench: Bench) -> Session:
    """hOS that has tested the checker at boot, and checks every entry."""
    return hos(bench, "vmxcheck", cmdline="graded vmxcheck vmxcheck-test")


def cases(bench: Bench) -> Dict[str, "re.Match[str]"]:
    """The lines of the test, by the name of the case."""
    text = checked(bench).ready().console.text
    return {found[3]: found for found in CASE.finditer(text)}


@check("Checker", 0, "40 broken rules and more: the checker's verdict is the CPU's", lane="bochs")
def agrees(bench: Bench) -> str:
    lines = cases(bench)
    summary = SUMMARY.search(checked(bench).ready().console.text)
    check_that(summary, "the summary of the test")
    broken, valid, agree, known, wrong = map(int, summary.groups())
    check_that(len(lines) == broken + valid, f"{broken + valid} cases by name", len(lines))
    check_that(broken >= FEWEST_RULES, f"{FEWEST_RULES} rules or more", broken)
    bad = [found[0] for found in lines.values() if found[2] == "WRONG"]
    check_that(wrong == 0 and not bad, "no wrong verdict", "\n".join(bad))
    check_that(agree + known == broken + valid, "every case to be judged", summary[0])
    differ = {name for name, found in lines.items() if found[2] == "known"}
    check_that(differ == DIFFERENCES, "exactly the known differences", sorted(differ ^ DIFFERENCES))
    return summary[0]


@check("Checker", 0, "gOS and test guests run with vmxcheck: no violation", on=BOTH)
def silent(bench: Bench) -> str:
    session = checked(bench)
    texts = [session.sh("echo halt | vmm -n quiet", 60)]
    guests = [name for name in GUESTS if bench.platform == VTX or name not in NOT_IN_QEMU]
    texts += [session.sh(f"vmm -n quiet-{name} -k /vmm/guests/{name}", 60) for name in guests]
    entries = 0
    for text in texts:
        entries += int(check_match(r"vmxcheck: quiet\S*: (\d+) entries checked, 0 violations", text)[1])
        check_that(not re.search(r"vmxcheck: \w+ = ", text), "no violation", text)
    check_that(entries > len(texts), "more than one entry a guest", entries)
    return f"{entries} entries checked"


@check("Checker", 0, "an entry fails without vmxcheck: the rule is named, the host goes on", lane="bochs")
def explains(bench: Bench) -> None:
    lines = cases(bench)
    session = bench.session("vmxcheck-break", Bochs, cmdline="graded vmxcheck-break")
    for name, failure, words in EXPLAINED:
        text = session.sh(f"vmm -n break-{lines[name][1]} -k /vmm/guests/registers", 60)
        check_match(rf"vmm: guest ended: VM entry \w+: .*{failure}", text)
        check_match(rf'^vmxcheck: {words}.*\(SDM "[\w ,-]+"\)$', text)
    text = session.sh("vmm -n whole -k /vmm/guests/registers", 60)
    check_that("vmxcheck" not in text, "no word about a guest that is well", text)
