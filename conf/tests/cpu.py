"""A guest's CPU: its features fit together and can be turned off; AVX's registers are everybody's own."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import BOTH, PARALLEL, SVM, SVM_2, VTX
from jos.session import GOS, HOS

from .common import hos, passes
from .guests import GUESTS, ended, fine
from .hostile import await_guest, rounds

# Features that a guest can do without, and what the CPU itself can be told to leave out.
OFF = ("xsave", "rdtscp", "mtrr", "pat", "fsgsbase", "tsc_adjust", "umip", "smep", "aes", "invpcid", "rdrand", "rdseed")
GONE_WITH_XSAVE = ("avx", "avx2", "fma", "f16c", "xsaveopt")
NAMES = ("first", "second")


def in_qemu(bench: Bench) -> bool:
    return bench.platform in (SVM, SVM_2)


def words(*args: str) -> str:
    return f'-a "{" ".join(arg for arg in args if arg)}"'


@check("CPU", 0, "CPUID's leaves fit each other, CR4, MSRs and instructions; Linux's names turn features off", on=BOTH)
def model(bench: Bench) -> None:
    session = hos(bench)
    svm = "svm" if in_qemu(bench) else ""  # SVM has no way to stop some instructions
    fine(session, "cpu-model", words(svm))
    hidden = [f"no-{name}" for name in OFF + GONE_WITH_XSAVE]
    fine(session, "cpu-model", " ".join(f"-C {name}=off" for name in OFF) + " " + words(svm, *hidden))
    ended(session, "cpu-model", "triple fault", "-C nx=off")  # these guests set EFER.NXE at their start


@check("CPU", 0, "a feature that no guest can do without, or that nobody knows, is refused in words", on=BOTH)
def refusals(bench: Bench) -> None:
    session = hos(bench)
    for option, reason in (
        ("foo=off", r"-C foo=off: no such feature; these can be off:\n[^$]*\bavx2\b"),
        ("lm=off", r"-C lm=off: a guest cannot run without lm"),
        ("avx", r"-C avx: a feature is turned off by FEATURE=off; these can be off:\n[^$]*\bavx2\b"),
        ("avx=on", r"-C avx=on: a feature is turned off by FEATURE=off"),
    ):
        text = session.sh(f"vmm -C {option} -k {GUESTS}/hello32")
        check_match(rf"vmm: {reason}", text)
        check_that(session.status() == 2, "exit status 2", text)


@check("CPU", 0, "XCR0 takes what the manual allows; without XSAVE neither CR4 nor CPUID knows it", on=BOTH)
def xcr0(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "xsetbv", words("any" if in_qemu(bench) else ""))
    fine(session, "xsetbv", "-C xsave=off -a off")


@check("CPU", 0, "PCID and INVPCID keep to the manual, and to -C pcid=off", on=BOTH)
def pcid(bench: Bench) -> None:
    session = hos(bench)
    if bench.platform == VTX:
        fine(session, "pcid")
    fine(session, "pcid", f"-C pcid=off {words('off', 'low-bits' if in_qemu(bench) else '')}")


@check("CPU", 0, "AVX's registers of programs survive switches, calls, fork, and their end; new programs have zeroes", on=PARALLEL)
def programs(bench: Bench) -> None:
    text = passes(hos(bench), "test-avx", 120)
    check_that("no AVX" not in text, "a CPU with AVX", text)


@check("CPU", 0, "two guests with AVX's registers in use, a third and a program beside them, keep their own", on=PARALLEL)
def mixed(bench: Bench) -> None:
    session = hos(bench, "avx")
    for name in NAMES:
        session.sh(f"vmm -n {name} -m 16M -k {GUESTS}/innocent &", 60)
        await_guest(session, name)
    before = [rounds(session, name) for name in NAMES]
    passes(session, "test-avx", 240)
    fine(session, "avx-state", words("q"))
    for name, count in zip(NAMES, before):
        check_that(rounds(session, name) > count, f"more than {count} rounds of guest {name}")
        session.sh(f"vmm kill {name}", 60)


@check("CPU", 0, "vmm -s and vmstat count MSRs and ports that a guest's CPU and machine do not have, and name the last", on=BOTH)
def unknown(bench: Bench) -> None:
    session = hos(bench)
    text = session.sh(f"vmm -s -k {GUESTS}/bad-msr {words('any-address' if in_qemu(bench) else '')}")
    found = check_match(r"accesses to unknown MSRs +(\d+), last: 0x([0-9a-f]+)", text)
    check_that(int(found[1]) > 1, "more than one unknown MSR", text)
    text = session.sh(f"vmm -s -k {GUESTS}/fpu-state")
    check_match(r"accesses that no device claimed +64, last: port 0x2f9", text)
    check_that(not re.search("unknown MSRs", text), "no unknown MSR", text)


@check("CPU", 0, "gOS gives its own programs AVX", on=BOTH)
def in_gos(bench: Bench) -> None:
    session = hos(bench)
    session.sh("vmm", 120, GOS)
    passes(session, "test-avx", 240, GOS)
    session.sh("halt", 60, HOS)
