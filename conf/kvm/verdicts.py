"""The guests of the VMM's tests, and their verdicts: all that one prints, how it ends, and vmm's status."""

import re
from typing import Tuple

from jos.errors import MachineError, TimeUp
from jos.session import HOS, Session
from tests.guests import DETACH_KEY, GUESTS
from tests.hostile import KILLED, SELF_CHECKED

LIMIT = 40  # seconds of emulation for one guest; under KVM it has more, see machine.py
END_LIMIT = 60

Case = Tuple[str, str]  # a guest with its command line, and options of vmm

# Guests that need a word more here, and why. nmi: when Bochs 2.7 enters a guest whose VMCS has no blocking by NMI,
# it does not end the virtual-NMI blocking that its CPU had. So hOS, which runs after an exit from the NMI's handler,
# blocks NMIs, and KVM saves that as hOS's state. Each later entry of hOS blocks them again, and the guest's next
# entry does not end that, although its IRET had. With the word, the guest executes another one before each NMI.
WORDS = {"nmi": "nmi iret"}

# The hostile ones, and what the other tests run.
CASES: Tuple[Case, ...] = (
    *((words, "") for words in ("hello32", "kludge", "timer")),
    *((WORDS.get(words, words), "") for group in SELF_CHECKED.values() for words in group),
    *((words, "-p") for words in ("pf-storm", "idt-vector", "bad-idt", "self-map", "registers")),
    *((words, "") for words, _ in KILLED),
    ("wild-ept beyond", ""),
)

# What is known to differ: guest, the words in its verdict, and why.
DIFFERENCES: Tuple[Tuple[str, str, str], ...] = (
    ("cr-bits", r"\d+ taken, \d+ refused", "KVM's CPU has CR4.UMIP, which it emulates; Bochs' Haswell has not"),
)
# Exits that come with the host's time, in the report on a guest that cannot go on.
BY_TIME = re.compile(r"\b(?:INTERRUPT|TIMER) \d+ ?")
# The double fault before a triple fault exits under KVM's SVM, but never in QEMU.
DOUBLE_FAULT = re.compile(r"\bEXCEPTION 1 (?=(?:\w+ \d+ )*SHUTDOWN)")


def comparable(name: str, text: str) -> str:
    """A verdict without what is known to differ."""
    for guest, words, why in DIFFERENCES:
        if guest == name:
            text = re.sub(words, f"({why})", text)
    return DOUBLE_FAULT.sub("", BY_TIME.sub("", text))


def command(words: str, options: str) -> str:
    """What is typed at hOS's shell."""
    name, _, args = words.partition(" ")
    parts = ["vmm", options, f"-k {GUESTS}/{name}", f'-a "{args}"' if args else ""]
    return " ".join(part for part in parts if part)


def end_from_outside(session: Session) -> str:
    """End a guest that does not end by itself, and the machine where that does not help. Says what was done."""
    try:
        session.ready().send(DETACH_KEY)
        session.until(HOS, END_LIMIT)
        session.sh("vmm kill gos", END_LIMIT)
        return "ended from outside"
    except MachineError as error:
        session.drop()
        return f"the host did not answer any more: {error}"


def verdict(session: Session, words: str, options: str) -> str:
    """Run a guest. Raises MachineError when the machine cannot be started."""
    console = session.ready().console
    try:
        text = session.sh(command(words, options), LIMIT)
        return comparable(words.split()[0], f"{text.strip()}\nstatus {session.status()}")
    except TimeUp:
        printed = console.text[console.pos :].strip()
        return f"{printed}\ndoes not end: {end_from_outside(session)}"
    except MachineError as error:
        session.drop()
        return f"the machine ended: {error}"
