"""A guest's control block: vmcs (VT-x), vmcb (SVM).

gdb cannot execute VMREAD. The kernel copies the current VMCS to `vmcs_dump` (vmm/vmx/dump.c): its own
stub does that by `monitor vmcs copy`; at another stub the CPU is made to call vmcs_take_dump and put back
as it was. A VMCB is memory.
"""

import functools
import re
from typing import Dict, List, Optional

import gdb

from .base import KERNEL, MASK64, TOP, WORD, Command, Complaint, Env, cpu_number, evaluate, need_kernel, read
from .exits import code_words
from .guests import SVM, VT_X, guest, guests, on_cpu, technique
from .mode import register
from .place import PLACE

FIELD = re.compile(r"X\((\w+), 0x[0-9a-f]+\)")
VMCB_FIELD = re.compile(r"^ +X\((\w+), ([\w.\[\]]+)\)", re.MULTILINE)
VMCB_H = TOP / "vmm/svm/vmcb.h"
FIELDS = FIELD.findall((TOP / "vmm/vmx/vmcs_fields.h").read_text())
VMCB_FIELDS = VMCB_FIELD.findall(VMCB_H.read_text()) if VMCB_H.exists() else []
HOST = "`make gdb` and `make bochs-gdb` are gdbs on it"
REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{i}" for i in range(8, 16))]
ROOM = 512  # bytes below the stack pointer left alone by a call
STACK_ALIGN = 16
FL_IF = KERNEL["FL_IF"]


# ---- The VMCS


def call(function: str) -> None:
    """Let this CPU call a function of the kernel's without arguments, and put its registers back. The other
    CPUs stand still meanwhile. Raises Complaint when the CPU is not in the kernel."""
    need_kernel()
    if (register("cs") or 0) & 3:
        raise Complaint("the CPU is in a user program; stop it in the kernel first, e.g. at vmexit")
    saved = {name: register(name) for name in (*REGISTERS, "rsp", "rip", "eflags")}
    if None in saved.values():
        raise Complaint("the registers cannot be read")
    stack = (saved["rsp"] - ROOM) // STACK_ALIGN * STACK_ALIGN - WORD
    locking = gdb.parameter("scheduler-locking")
    gdb.selected_inferior().write_memory(stack, saved["rip"].to_bytes(WORD, "little"))
    others = [b for b in gdb.breakpoints() or () if b.enabled]
    back = gdb.Breakpoint(f"*{saved['rip']:#x}", internal=True, temporary=True)
    back.silent = True
    try:
        for other in others:
            other.enabled = False
        gdb.execute("set scheduler-locking on")
        for name, value in (("rsp", stack), ("rip", int(evaluate(f"&{function}"))),
                            ("eflags", saved["eflags"] & ~FL_IF)):
            gdb.execute(f"set ${name} = {value:#x}", to_string=True)
        gdb.execute("continue", to_string=True)
        if register("rip") != saved["rip"]:
            raise Complaint(f"{function} did not return")
    finally:
        for name, value in saved.items():
            gdb.execute(f"set ${name} = {value:#x}", to_string=True)
        gdb.execute(f"set scheduler-locking {locking}")
        for other in others:
            other.enabled = True
        if back.is_valid():
            back.delete()


@functools.lru_cache(maxsize=None)
def stub_has_vmcs() -> bool:
    """Is this the kernel's own stub, whose monitor commands are those of the kernel's monitor?"""
    try:
        return re.search(r"^\W*vmcs\b", gdb.execute("monitor help", to_string=True), re.MULTILINE) is not None
    except gdb.error:
        return False


def dump_fields() -> Dict[str, int]:
    """The fields of the VMCS that is current on this CPU. Raises Complaint when none is."""
    here = f"no VMCS is loaded on CPU {cpu_number()}"
    if not guests():
        raise Complaint(f"{here}: there is no guest; `vmm` in hOS's shell starts one")
    if not on_cpu():
        raise Complaint(f"{here}: no guest is on it now; `break vmexit` waits for one")
    if stub_has_vmcs():
        gdb.execute("monitor vmcs copy", to_string=True)
    else:
        call("vmcs_take_dump")
    copy = evaluate("vmcs_dump")
    if int(copy["cpu"]) != cpu_number() or not int(copy["guest"]):
        raise Complaint(f"the kernel has copied the VMCS of CPU {int(copy['cpu'])}; select that thread")
    size = len(FIELDS)
    valid = read(int(copy["valid"].address), size)
    values = read(int(copy["values"].address), size * WORD)
    return {
        name: int.from_bytes(values[i * WORD : (i + 1) * WORD], "little")
        for i, name in enumerate(FIELDS)
        if valid[i]
    }


def need(wanted: str, other: str) -> None:
    """Raise Complaint if the guests of this machine run by another technique."""
    need_kernel()
    if guests() and technique() != wanted:
        raise Complaint(f"guests run by {technique()} here; `{other}` shows their control block")


class Vmcs(Command):
    """vmcs [WORD]: all fields of the current VMCS by name, or those whose name has the word in it (VT-x)."""

    name = "vmcs"
    not_in_guest = f"its VMCS belongs to hOS: {HOST}. `info registers` shows what the guest sees of it"

    def run(self, arguments: List[str]) -> None:
        need(VT_X, "vmcb")
        wanted = arguments[0].upper() if arguments else ""
        fields = dump_fields()
        for name in FIELDS:
            if wanted in name:
                value = f"{fields[name]:016x}" if name in fields else "this CPU does not have it"
                more = f"  {code_words(fields[name])}" if name == "EXIT_REASON" else ""
                print(f"{name:22} {value}{more}")
        if not any(wanted in name for name in FIELDS):
            raise Complaint(f"no field has {wanted} in its name")


# ---- The VMCB


def vmcb_of(env: Env) -> Dict[str, int]:
    """All fields of a guest's VMCB, as the CPU left them at the last exit."""
    block = evaluate(f"*((struct SvmVcpu *){int(env['env_guest']):#x})->vmcb")
    address, size = int(block.address), block.type.sizeof
    data = read(address, size)
    fields = {}
    for name, member in VMCB_FIELDS:
        place = evaluate(f"&((struct Vmcb *){address:#x})->{member}")
        at = int(place) - address
        fields[name] = int.from_bytes(data[at : at + place.dereference().type.sizeof], "little")
    return fields


class VmcbCommand(Command):
    """vmcb [WORD] [GUEST]: the fields of a guest's VMCB by name, or those whose name has the word in it (SVM).

    Without a guest's name or id: the guest of this CPU, or the only one."""

    name = "vmcb"
    not_in_guest = f"its VMCB belongs to hOS: {HOST}. `info registers` shows what the guest sees of it"

    def run(self, arguments: List[str]) -> None:
        need_kernel()
        if not guests():
            raise Complaint("there is no guest; `vmm` in hOS's shell starts one")
        need(SVM, "vmcs")
        wanted = arguments[0].upper() if arguments else ""
        env = guest(*arguments[1:2])
        fields = {name: value for name, value in vmcb_of(env).items() if wanted in name}
        if not fields:
            raise Complaint(f"no field has {wanted} in its name")
        place = PLACE.now()
        if place and place.env == int(env.address):
            print(f"Guest {place.name} has the CPU: its registers are newer than the state in the VMCB.")
        for name, value in fields.items():
            more = f"  {code_words(value)}" if name == "EXITCODE" else ""
            print(f"{name:18} {value & MASK64:016x}{more}")


gdb.events.exited.connect(lambda _: stub_has_vmcs.cache_clear())
for command in (Vmcs, VmcbCommand):
    command.register()
