"""PCI and virtio devices, driven by small guests; bare.py compares them with QEMU's."""

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, PARALLEL
from jos.session import HOS

from .common import hos, nonce, passes, qemu
from .guests import GUESTS, fine, run


@check("Virtio", 0, "configuration space in all widths, BARs that are sized, moved and switched off, MSI's registers", on=ALL)
def pci(bench: Bench) -> None:
    text = fine(hos(bench), "pci")
    check_that("the registers of MSI in slot 1" in text, "a card with MSI", text)


@check("Virtio", 0, "random bytes come into buffers, and interrupts by MSI-X, which masks hold back, and by MSI", on=PARALLEL)
def rng(bench: Bench) -> None:
    text = fine(hos(bench), "virtio-rng")
    check_match(r"trying interrupts by MSI\r?\n", text)


@check("Virtio", 0, "a network card in loop back gives back frames of all sizes, in order, and nothing else", on=ALL)
def net(bench: Bench) -> None:
    fine(hos(bench), "virtio-net", "-N")
    text = run(hos(bench), "virtio-net")
    check_that("there is no virtio device" in text, "no card without -N", text)


@check("Virtio", 0, "virtio-console shows what the guest sends, and gives it what the user types", on=PARALLEL)
def console(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    machine = session.ready()
    machine.sendline(f"vmm -k {GUESTS}/virtio-console")
    machine.expect("these words come through a queue", 60)
    machine.expect("type a line: ", 60)
    machine.sendline(f"typed {word}, and more than one buffer holds")
    machine.expect(f'you typed "typed {word}, and more than one buffer holds"', 30)
    text = session.until(HOS, 30)
    check_that("virtio-console: ok" in text, "`virtio-console: ok`", text)


@check("Virtio", 0, "input of virtio-console comes from a file or pipe, too", on=PARALLEL)
def console_input(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    text = session.sh(f"echo {word} | vmm -k {GUESTS}/virtio-console")
    check_match(f'you typed "{word}"', text)


@check("Virtio", 0, "output that nobody polls for is shown before long: much of it, before other I/O, before virtio's", on=PARALLEL)
def collected(bench: Bench) -> None:
    session = hos(bench)
    for arguments in ("", "-a other", "-t -a other", "-a both", "-t -a both"):
        machine = session.ready()
        start = machine.console.pos
        machine.sendline(f"vmm -n collected {arguments} -k {GUESTS}/collected")
        machine.expect("this is the end", 30)
        text = machine.console.text[start:]
        if "both" in arguments:
            check_match(r"COM1's\r?\nvirtio's\r?\nthis is the end", text)
        else:
            check_that(text.count("line ") == 400, "400 lines", text)
        machine.send("\x1d")
        session.until(HOS, 30)
        session.sh("vmm kill collected")


@check("Virtio", 0, "rings that break the rules: the device needs a reset, and has touched nothing else", on=ALL)
def rings(bench: Bench) -> None:
    session = hos(bench)
    text = run(session, "virtio-rings")
    check_that("virtio-rings: ok" in text and "FAILED" not in text, "`virtio-rings: ok`", text)
    told = text.count("the guest's driver has broken the random number generator")
    check_that(told == 1, "a sentence, once, about the broken device", text)


@check("Virtio", 0, "BARs over memory, ports and each other, and forbidden messages, change nothing", on=PARALLEL)
def hostile(bench: Bench) -> None:
    fine(hos(bench), "pci-hostile")


@check("Virtio", 0, "virtio devices that are driven at random touch RAM only, and go on in another one from a saved state")
def models(bench: Bench) -> None:
    passes(qemu(bench), "test-virtio")
