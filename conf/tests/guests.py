"""Small Multiboot kernels as guests: honest ones, and those that try to do harm."""

import re

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, PARALLEL, RYZEN, SVM, SVM_2, VTX
from jos.qemu import ICOUNT
from jos.session import HOS, Session

from .common import hos, nonce, passes, qemu

GUESTS = "/vmm/guests"
DETACH_KEY = "\x1d"  # Ctrl-]


def run(session: Session, name: str, options: str = "", limit: float = 60) -> str:
    return session.sh(f"vmm {options} -k {GUESTS}/{name}", limit)


def fine(session: Session, name: str, options: str = "") -> str:
    """The guest checks itself, says ok, and powers off with 0. Returns what it has said."""
    text = run(session, name, options)
    check_that(f"{name}: ok" in text and "FAILED" not in text, f"`{name}: ok`", text)
    check_that(session.status() == 0, f"exit status 0 from {name} {options}", text)
    return text


def ended(session: Session, name: str, reason: str, options: str = "") -> None:
    """The VMM ends the guest for this reason; the shell goes on."""
    text = run(session, name, options)
    check_match(rf"vmm: guest ended: [^\n]*{reason}", text)
    check_that(session.status() == 1, f"exit status 1 from {name}", text)


@check("Guests", 0, "a long-mode kernel gets command line, module, memory map and console input", on=ALL)
def hello64(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    machine = session.ready()
    session.sh(f"echo {word} > /module")
    machine.sendline(f'vmm -k {GUESTS}/hello64 -a "first {word} status=9" -i "/module with words"')
    start = machine.console.pos
    end = machine.expect("type a line: ", 60).start()
    text = machine.console.text[start:end]
    check_match(rf'command line: "[^"\n]*first {word} status=9"', text)
    check_match(r'module 0: "/module with words", 13 bytes', text)
    check_match(r"memory \d+: 0x0*100000-0x0*4000000 type 1", text)
    check_match(r"breakpoint and page fault taken through my own IDT", text)
    machine.sendline(f"typed {word}")
    machine.expect(f'you typed "typed {word}"', 30)
    session.until(HOS, 30)
    check_that(session.status() == 9, "the guest's exit status, 9")


@check("Guests", 0, "a 32-bit ELF kernel and one with the a.out kludge run", on=ALL)
def other_formats(bench: Bench) -> None:
    session = hos(bench)
    for name in ("hello32", "kludge"):
        text = run(session, name)
        check_match(rf"{name}", text)
        check_that(session.status() == 0, f"exit status 0 from {name}", text)


@check("Guests", 0, "registers survive exits; the 16550 and the disk's block requests keep to their rules", on=ALL)
def devices(bench: Bench) -> None:
    session = hos(bench)
    for name in ("registers", "uart", "disk"):
        fine(session, name)


@check("Guests", 0, "what was typed ahead is there after a driver of the 16550 has started and emptied its FIFO", on=ALL)
def typed_ahead(bench: Bench) -> None:
    session, line = hos(bench), nonce() * 5
    text = session.sh(f"echo {line} | vmm -k /vmm/guests/uart -a typed")
    check_match(rf"(?m)^{line}$", text)


@check("Guests", 0, "the virtual local APIC: timer in three modes, self-IPI, priorities, STI and HLT", on=ALL)
def apic(bench: Bench) -> None:
    fine(hos(bench), "sti-hlt")
    if bench.platform == SVM:  # QEMU's time is real but for -icount, and too fast for what the guest compares
        fine(hos(bench, "icount", extra=list(ICOUNT)), "timer")
    elif bench.platform != SVM_2:
        fine(hos(bench), "timer")


@check("Guests", 0, "page faults of every kind arrive once, with and without -p", on=ALL)
def page_faults(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "pf-storm")
    text = run(session, "pf-storm", "-p -s")
    check_match(r"pf-storm: ok", text)
    injected = int(check_match(r"page faults injected\s+(\d+)", text).group(1))
    check_that(injected >= 50, "at least 50 injected page faults", text)


@check("Guests", 0, "an event whose delivery exits is delivered again, exactly once", on=ALL)
def vectoring(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "idt-vector")
    fine(session, "idt-vector", "-p")
    fine(session, "double-fault")


@check("Guests", 0, "unknown hypercalls, and bad addresses in any, are refused", on=ALL)
def hypercalls(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "bad-vmcall")
    check_match(r"these words come from compatibility mode", run(session, "bad-vmcall"))
    fine(session, "bad-gpa")


@check("Guests", 0, "VMX instructions, bad control registers, MSRs and ports do what hardware would", on=ALL)
def instructions(bench: Bench) -> None:
    session = hos(bench)
    for name in ("vmx-insns", "bad-port"):
        fine(session, name)
    in_qemu = bench.platform in (SVM, SVM_2)
    fine(session, "bad-cr", "-a low-bits" if in_qemu else "")
    fine(session, "bad-msr", "-a any-address" if in_qemu else "")


@check("Guests", 0, "a wide port access reaches the device at its first port and no neighbour", on=ALL)
def port_widths(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "port-widths")
    ended(session, "port-widths", r"it asked for a reset \(port 0xcf9\)", '-a "reset"')
    for words, status in (("exit", 7), ("off", 0)):
        run(session, "port-widths", f'-a "{words}"')
        check_that(session.status() == status, f"exit status {status} by {words}")


@check("Guests", 0, "NMIs to itself come at once, one at a time, and one waits for another", on=ALL)
def nmis(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "nmi")
    fine(session, "nmi", "-p")


@check("Guests", 0, "RF is set in the frames of faults and of no others; INT1 leaves DR6 alone", on=(VTX,))
def resume_flag(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "resume-flag")
    fine(session, "resume-flag", "-p")


@check("Guests", 0, "INS and OUTS set accessed and dirty flags as the CPU does", on=ALL)
def page_flags(bench: Bench) -> None:
    fine(hos(bench), "page-flags")


# QEMU leaves P out of the error code of a reserved bit, so the guest's comparison has nothing to compare with.
@check("Guests", 0, "INS and OUTS know PSE-36 as the CPU does", on=(VTX, RYZEN))
def pse36(bench: Bench) -> None:
    session = hos(bench)
    run(session, "page-flags", "-m 5G -a pse36")
    step = session.status()
    check_that(step == 0, "no step to fail", f"step {step}")


@check("Guests", 0, "a triple fault ends the guest, with the reason", on=PARALLEL)
def triple_fault(bench: Bench) -> None:
    ended(hos(bench), "triple-fault", r"triple fault at rip 0x[0-9a-f]+")


@check("Guests", 0, "where no memory is, reads are ones, writes are lost and code is invalid; page tables there end a guest", on=ALL)
def wild_access(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "wild-ept")
    ended(session, "wild-ept", r"(?:gpa 0x[0-9a-f]+, where there is no memory|triple fault)", "-a walk")


@check("Guests", 0, "instructions of all forms on memory that no device claims do the rest of what they do", on=ALL)
def unclaimed_memory(bench: Bench) -> None:
    session = hos(bench)
    text = run(session, "mmio", "-s")
    check_that("mmio: ok" in text and "FAILED" not in text, "`mmio: ok`", text)
    check_match(r"accesses that no device claimed\s+\d\d+", text)


@check("Guests", 0, "an instruction on a device's memory that vmm does not know ends the guest, with its bytes", on=ALL)
def unknown_instruction(bench: Bench) -> None:
    words = r"vmm cannot carry out the instruction at rip 0x[0-9a-f]+, which accesses gpa 0xd0000000, no RAM"
    ended(hos(bench), "mmio", rf"{words}; 64-bit code: f0 48 0f c7 08", "-a unknown")


@check("Guests", 0, "the monitor's decoder does to registers, flags and memory what the CPU does")
def decoder(bench: Bench) -> None:
    passes(qemu(bench), "test-decode")


@check("Guests", 0, "a device brought into the state of another one goes on like it; no bad state is taken")
def device_states(bench: Bench) -> None:
    passes(qemu(bench), "test-devices")


MAX_ROUNDS = 4


def held(bench: Bench, name: str) -> None:
    """The guest never ends, the host goes on, Ctrl-] leaves it and `vmm kill` ends it; nothing leaks."""
    session = hos(bench)
    machine = session.ready()
    free = []
    while len(free) < 2 or free[-1] != free[-2] and len(free) < MAX_ROUNDS:  # each CPU's first guest leaves some pages
        machine.sendline(f"vmm -k {GUESTS}/{name}")
        machine.expect(re.compile(r"trying [^\n]*\n"), 60)
        machine.send(DETACH_KEY)
        check_match(r"gos goes on in the background", session.until(HOS, 60))
        check_match(r"gos +(running|idle)", session.sh("vms"))
        session.sh("vmm kill gos")
        check_that(session.status() == 0, "exit status 0 of vmm kill")
        free.append(session.free_pages())
    check_that(free[-1] == free[-2], "as many free pages after a run as before it", free)


@check("Guests", 0, "cli; hlt holds the guest only, and the user can end it", on=ALL)
def cli_hlt(bench: Bench) -> None:
    held(bench, "cli-hlt")


@check("Guests", 0, "cli; jmp . loses the CPU to the host's timer, and the user can end it", on=PARALLEL)
def cli_spin(bench: Bench) -> None:
    held(bench, "cli-spin")


@check("Guests", 0, "a guest that touches 64 MiB has it by pages of 2 MiB, cleared ahead or not; one is split; all come back", on=ALL)
def large_pages(bench: Bench) -> str:
    return check_match(r"\d+ KiB touched: [^\n]*", passes(hos(bench), "test-large")).group()
