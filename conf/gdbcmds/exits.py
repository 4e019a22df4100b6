"""Why guests exit: the neutral reasons of inc/vmexits.h, and each architecture's own codes."""

import re
from typing import Dict, List, NamedTuple, Optional

from .base import KERNEL, TOP
from .guests import SVM, technique

NEUTRAL = re.compile(r'X\((\w+), "([^"]*)"\)')
VMX_CODE = re.compile(r'X\((\d+), (\w+), (\w+), "([^"]*)"\)')
SVM_CODE = re.compile(r'X\((0x[0-9a-f]+), (0x[0-9a-f]+), (\w+), (\w+), "([^"]*)"\)')
CODE_MASK = 0xFFFFFFFF  # QEMU writes the lower half of the code only
MSR_WRITE = 1


class Reason(NamedTuple):
    """A reason that hOS counts."""

    number: int
    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name} ({self.words})"


class Code(NamedTuple):
    """What a CPU calls an exit."""

    first: int
    last: int
    name: str
    reason: str  # of REASONS
    words: str


def neutral_reasons() -> List[Reason]:
    pairs = NEUTRAL.findall((TOP / "inc/vmexits.h").read_text())
    return [Reason(number, name, text) for number, (name, text) in enumerate(pairs)]


def vmx_codes() -> List[Code]:
    found = VMX_CODE.findall((TOP / "vmm/vmx/exits.h").read_text())
    return [Code(int(n), int(n), name, reason, text) for n, name, reason, text in found]


def svm_codes() -> List[Code]:
    path = TOP / "vmm/svm/exits.h"
    found = SVM_CODE.findall(path.read_text()) if path.exists() else []
    codes = [Code(int(a, 16), int(b, 16), name, reason, text) for a, b, name, reason, text in found]
    return codes + [
        Code(KERNEL.get("SVM_EXIT_NPF", 0), KERNEL.get("SVM_EXIT_NPF", 0), "NPF", "MEMORY", "nested page fault"),
        Code(CODE_MASK, CODE_MASK, "INVALID", "ENTRY_REFUSED", "VMRUN refused: invalid state in the VMCB"),
    ]


REASONS = neutral_reasons()
BY_NUMBER: Dict[int, Reason] = {reason.number: reason for reason in REASONS}
VMX_CODES, SVM_CODES = vmx_codes(), svm_codes()


def codes() -> List[Code]:
    """Those of this machine's CPU."""
    return SVM_CODES if technique() == SVM else VMX_CODES


def code_of(value: int) -> Optional[Code]:
    value &= CODE_MASK if technique() == SVM else KERNEL["EXIT_REASON_BASIC"]
    for code in codes():
        if code.first <= value <= code.last:
            return code
    return None


def code_words(value: int) -> str:
    """The CPU's own code in words."""
    code = code_of(value)
    if code is None:
        running = technique() == SVM and value & CODE_MASK == KERNEL.get("SVM_EXIT_RUNNING")
        return "the guest runs" if running else f"{value:#x} (unknown)"
    return f"{code.name} ({code.words})"


def svm_reason(value: int, info: int) -> str:
    """The neutral reason of an exit of SVM's: EXITCODE and EXITINFO1."""
    code = code_of(value)
    if code is None:
        return "OTHER"
    return "WRMSR" if code.name == "MSR" and info & MSR_WRITE else code.reason
