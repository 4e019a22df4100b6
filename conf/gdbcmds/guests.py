"""Guests as hOS has them: finding one, its memory by the second stage, its calls; what virtualizes here."""

import functools
from typing import Dict, List, Optional, Tuple

import gdb

from .base import ADDRESS, KERNEL, MASK64, PAGE, WORD, Complaint, Env, cpu, envs, evaluate, read, read_entry
from .base import read_physical, words
from .mode import register
from .place import PLACE

VT_X, SVM = "VT-x", "SVM"
TABLES = ("level 1", "level 2", "level 3", "level 4")
# SDM "Memory Types That Can Be Encoded With PAT"
MEMORY_TYPES = {
    0: "uncached",
    1: "write-combining",
    4: "write-through",
    5: "write-protected",
    6: "write-back",
}
EPTE_WORDS = [(KERNEL["EPTE_R"], "read"), (KERNEL["EPTE_W"], "write"), (KERNEL["EPTE_X"], "execute")]
EPTE_LEAF_WORDS = EPTE_WORDS + [
    (KERNEL["EPTE_IPAT"], "ignore-guest-PAT"),
    (1 << 8, "accessed"),
    (1 << 9, "dirty"),
]
NPTE_WORDS = [
    (KERNEL["PTE_P"], "present"),
    (KERNEL["PTE_W"], "writable"),
    (KERNEL["PTE_U"], "user"),
    (KERNEL["PTE_A"], "accessed"),
    (KERNEL["PTE_D"], "dirty"),
    (KERNEL["PTE_NX"], "no-execute"),
]
COMPARED = 256  # bytes of code that tell whether a guest runs this kernel


@functools.lru_cache(maxsize=None)
def has_svm() -> bool:
    """Was the kernel built with SVM?"""
    return gdb.lookup_global_symbol("svm_backend") is not None


def technique() -> str:
    """What this machine runs guests by, once the kernel has looked."""
    return SVM if has_svm() and int(evaluate("backend == &svm_backend")) else VT_X


def guests() -> List[Env]:
    """struct Env of all guests."""
    kind = int(evaluate("(int)ENV_TYPE_GUEST"))
    return [env for env in envs() if int(env["env_type"]) == kind and int(env["env_guest"])]


def on_cpu() -> int:
    """The vCPU (struct Vcpu) whose state this CPU has; 0: none."""
    if technique() == VT_X:
        return int(cpu()["cpu_vmcs_guest"])
    env = cpu()["cpu_env"]
    is_guest = int(env) and int(env["env_type"]) == int(evaluate("(int)ENV_TYPE_GUEST"))
    return int(env["env_guest"]) if is_guest else 0


def guest(name: str = "") -> Env:
    """The guest's env: by name or id; without one, the guest of this CPU, or the only one there is."""
    found = guests()
    names = ", ".join(f"{int(env['env_id']):08x} {env['env_name'].string()}" for env in found)
    if not found:
        raise Complaint("there is no guest; `vmm` in hOS's shell starts one")
    if name:
        for env in found:
            if name in (env["env_name"].string(), f"{int(env['env_id']):08x}"):
                return env
        raise Complaint(f"there is no guest {name}; there are: {names}")
    current = on_cpu()
    for env in found:
        if current and int(env["env_guest"]) == current:
            return env
    if len(found) > 1:
        raise Complaint(f"name a guest; there are: {names}")
    return found[0]


# ---- The second stage


def describe_ept(entry: int, level: int) -> Tuple[bool, bool, str]:
    """Is an entry of the EPT present, does it map a page, and what are its bits in words?"""
    leaf = level == 0 or bool(level < 3 and entry & KERNEL["PTE_PS"])
    if not entry & KERNEL["EPTE_RWX"]:
        return False, leaf, "not present"
    text = words(entry, EPTE_LEAF_WORDS if leaf else EPTE_WORDS)
    if leaf:
        kind = entry >> 3 & 7
        text += f", {MEMORY_TYPES.get(kind, f'reserved memory type {kind}')}"
        text += ", large page" if level else ""
    return True, leaf, text


def describe_npt(entry: int, level: int) -> Tuple[bool, bool, str]:
    """The same of AMD's nested page tables."""
    leaf = level == 0 or bool(level < 3 and entry & KERNEL["PTE_PS"])
    if not entry & KERNEL["PTE_P"]:
        return False, leaf, "not present"
    return True, leaf, words(entry, NPTE_WORDS) + (", large page" if leaf and level else "")


def root_of(vcpu: gdb.Value) -> int:
    """The physical address of a guest's second stage."""
    return int(vcpu["vm"]["tables"]) - KERNEL["KERNBASE"]


def second_stage(root: int, gpa: int) -> Tuple[Optional[int], List[str]]:
    """Where a guest-physical address is in physical memory (None: nowhere), and a line for each level."""
    describe = describe_npt if technique() == SVM else describe_ept
    lines, table = [], root & ADDRESS
    for level in (3, 2, 1, 0):
        shift = 12 + 9 * level
        index = gpa >> shift & 511
        entry = read_entry(table, index)
        present, leaf, text = describe(entry, level)
        lines.append(f"{TABLES[level]} {table:012x} [{index:3}] = {entry:016x}  {text}")
        if not present:
            return None, lines
        if leaf:
            offset = (1 << shift) - 1
            return (entry & ADDRESS & ~offset) | (gpa & offset), lines
        table = entry & ADDRESS
    return None, lines


class GuestMemory:
    """The memory of a guest as its CPU sees it, by the CPU's paging state: CR0, CR3, CR4 and EFER by name, and
    with VT-x GUEST_PDPTE0 to 3."""

    def __init__(self, env: Env, state: Dict[str, int]) -> None:
        self.root = root_of(env["env_guest"].dereference())
        self.cr0, self.cr3, self.cr4 = (state[f"CR{i}"] for i in (0, 3, 4))
        self.long = bool(state.get("EFER", 0) & KERNEL["EFER_LMA"])
        self.pdptes = [state.get(f"GUEST_PDPTE{i}") for i in range(4)]

    def physical(self, gpa: int, size: int) -> Optional[bytes]:
        """Guest-physical memory that does not cross a page."""
        hpa, _ = second_stage(self.root, gpa)
        return None if hpa is None else read_physical(hpa, size)

    def pdpte(self, index: int) -> int:
        """An entry of the tables' root with PAE: the CPU's copy, or where it keeps none, memory."""
        kept = self.pdptes[index]
        if kept is not None:
            return kept
        return int.from_bytes(self.physical((self.cr3 & ~31) + index * WORD, WORD) or b"", "little")

    def translate(self, va: int) -> Optional[int]:
        """The guest-physical address by the guest's own tables (SDM "Paging")."""
        if not self.cr0 & KERNEL["CR0_PG"]:
            return va
        wide = bool(self.cr4 & KERNEL["CR4_PAE"])
        size, bits = (8, 9) if wide else (4, 10)
        table, levels = self.cr3, 4 if self.long else 2
        if wide and not self.long:
            table = self.pdpte(va >> 30 & 3)
            if not table & KERNEL["PTE_P"]:
                return None
        for level in reversed(range(levels)):
            shift = 12 + bits * level
            entry = self.physical((table & ADDRESS) + (va >> shift & (1 << bits) - 1) * size, size)
            value = int.from_bytes(entry or b"", "little")
            if not value & KERNEL["PTE_P"]:
                return None
            if level == 0 or value & KERNEL["PTE_PS"]:
                offset = (1 << shift) - 1
                return (value & ADDRESS & ~offset) | (va & offset)
            table = value
        return None

    def read(self, va: int, size: int) -> Optional[bytes]:
        """Memory at a virtual address of the guest's that does not cross a page."""
        gpa = self.translate(va)
        return None if gpa is None or va % PAGE + size > PAGE else self.physical(gpa, size)

    def word(self, va: int) -> Optional[int]:
        data = self.read(va, WORD)
        return None if data is None else int.from_bytes(data, "little")


def same_kernel(memory: GuestMemory) -> bool:
    """Does the guest have our own kernel's code at our kernel's addresses?"""
    start = int(evaluate("&text_start"))
    return memory.read(start, COMPARED) == read(start, COMPARED)


LIVE = {"CR0": "cr0", "CR3": "cr3", "CR4": "cr4", "EFER": "efer", "RIP": "pc", "RSP": "rsp", "RBP": "rbp"}


def live_state() -> Optional[Dict[str, int]]:
    """The registers of a guest that has this CPU now; None: hOS has it."""
    if PLACE.now() is None:
        return None
    values = {name: register(short) for name, short in LIVE.items()}
    return {name: value or 0 for name, value in values.items()}


def frame_pointer(env: Env) -> int:
    """RBP as hOS has saved it."""
    return int(env["env_tf"]["tf_rbp"]) & MASK64
