"""Commands about guests: vmcs, ept, exits, break-exit, step-exit, guest-bt.

gdb cannot execute VMREAD. The kernel copies the current VMCS to `vmcs_snapshot` (vmm/vmx/dump.c): its own
stub does that by `monitor vmcs copy`; at another stub the CPU is made to call vmcs_take_snapshot and put back
as it was.
"""

import functools
import re
from typing import Dict, List, NamedTuple, Optional

import gdb

from .base import ADDRESS, KERNEL, MASK64, PAGE, TOP, WORD, Command, Complaint, cpu
from .base import Env, cpu_number, enum_name, envs, evaluate, need_kernel, number, read, read_entry
from .base import read_physical, words
from .mode import register

EXIT = re.compile(r'X\((\d+), (\w+), "([^"]*)"\)')
FIELD = re.compile(r"X\((\w+), 0x[0-9a-f]+\)")
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
MAX_FRAMES = 32
COMPARED = 256  # bytes of code that tell whether a guest runs this kernel
SHOWN_EXITS = 20
REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{i}" for i in range(8, 16))]
ROOM = 512  # bytes below the stack pointer left alone by a call
STACK_ALIGN = 16
FL_IF = KERNEL["FL_IF"]


class Reason(NamedTuple):
    """A basic exit reason of inc/vmexits.h."""

    number: int
    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name} ({self.words})"


REASONS = [Reason(int(n), name, text) for n, name, text in EXIT.findall((TOP / "inc/vmexits.h").read_text())]
FIELDS = FIELD.findall((TOP / "vmm/vmx/vmcs_fields.h").read_text())
HOST = "`make bochs-gdb` is a gdb on it"
BY_NUMBER = {reason.number: reason for reason in REASONS}


def reason_of(value: int) -> Reason:
    value &= KERNEL["EXIT_REASON_BASIC"]
    return BY_NUMBER.get(value, Reason(value, str(value), "unknown reason"))


# ---- Guests


def guests() -> List[Env]:
    """struct Env of all guests."""
    kind = int(evaluate("(int)ENV_TYPE_GUEST"))
    return [env for env in envs() if int(env["env_type"]) == kind and int(env["env_guest"])]


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
    current = cpu()["cpu_vmcs_guest"]
    for env in found:
        if int(current) and int(env["env_guest"]) == int(current):
            return env
    if len(found) > 1:
        raise Complaint(f"name a guest; there are: {names}")
    return found[0]


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


def snapshot() -> Dict[str, int]:
    """The fields of the VMCS that is current on this CPU. Raises Complaint when none is."""
    here = f"no VMCS is loaded on CPU {cpu_number()}"
    if not guests():
        raise Complaint(f"{here}: there is no guest; `vmm` in hOS's shell starts one")
    if not int(cpu()["cpu_vmcs_guest"]):
        raise Complaint(f"{here}: no guest is on it now; `break vmexit` waits for one")
    if stub_has_vmcs():
        gdb.execute("monitor vmcs copy", to_string=True)
    else:
        call("vmcs_take_snapshot")
    copy = evaluate("vmcs_snapshot")
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


class Vmcs(Command):
    """vmcs [WORD]: all fields of the current VMCS by name, or those whose name has the word in it."""

    name = "vmcs"
    not_in_guest = f"its VMCS belongs to hOS: {HOST}. `info registers` shows what the guest sees of it"

    def run(self, arguments: List[str]) -> None:
        wanted = arguments[0].upper() if arguments else ""
        fields = snapshot()
        for name in FIELDS:
            if wanted in name:
                value = f"{fields[name]:016x}" if name in fields else "this CPU does not have it"
                more = f"  {reason_of(fields[name])}" if name == "EXIT_REASON" else ""
                print(f"{name:22} {value}{more}")
        if not any(wanted in name for name in FIELDS):
            raise Complaint(f"no field has {wanted} in its name")


# ---- Guest memory


def ept_walk(root: int, gpa: int) -> tuple:
    """Where the EPT takes a guest-physical address (None: nowhere), and a line for each level."""
    lines, table = [], root & ADDRESS
    for level in (3, 2, 1, 0):
        shift = 12 + 9 * level
        index = gpa >> shift & 511
        entry = read_entry(table, index)
        leaf = level == 0 or (level < 3 and entry & KERNEL["PTE_PS"])
        text = words(entry, EPTE_LEAF_WORDS if leaf else EPTE_WORDS)
        if leaf and entry:
            kind = entry >> 3 & 7
            text += f", {MEMORY_TYPES.get(kind, f'reserved memory type {kind}')}"
            text += ", large page" if level else ""
        text = text if entry & KERNEL["EPTE_RWX"] else "not present"
        lines.append(f"{TABLES[level]} {table:012x} [{index:3}] = {entry:016x}  {text}")
        if not entry & KERNEL["EPTE_RWX"]:
            return None, lines
        if leaf:
            offset = (1 << shift) - 1
            return (entry & ADDRESS & ~offset) | (gpa & offset), lines
        table = entry & ADDRESS
    return None, lines


class Ept(Command):
    """ept GPA [GUEST]: how the EPT translates a guest-physical address, level by level.

    Without a guest's name or id: the guest of this CPU, or the only one."""

    name = "ept"
    not_in_guest = f"its EPT is in hOS's memory: {HOST}. `pt` shows the guest's own page tables"

    def run(self, arguments: List[str]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise Complaint("name a guest-physical address, and maybe a guest")
        env = guest(*arguments[1:])
        gpa = number(arguments[0], "address")
        machine = env["env_guest"].dereference()
        hpa, lines = ept_walk(int(machine["eptp"]), gpa)
        print("\n".join(lines))
        if hpa is None:
            print(f"Guest-physical {gpa:#x} is not mapped: the guest has {int(machine['memsize']):#x} bytes, "
                  "and gets a page when it touches it.")
        else:
            print(f"Guest-physical {gpa:#x} is physical {hpa:#x}.")


class GuestMemory:
    """The memory of a guest as its CPU sees it, with the VMCS's paging state."""

    def __init__(self, env: gdb.Value, vmcs: Dict[str, int]) -> None:
        self.eptp = int(env["env_guest"]["eptp"])
        self.cr0, self.cr3, self.cr4 = (vmcs[f"GUEST_CR{i}"] for i in (0, 3, 4))
        self.long = bool(vmcs.get("GUEST_EFER", 0) & KERNEL["EFER_LMA"])
        self.pdptes = [vmcs.get(f"GUEST_PDPTE{i}", 0) for i in range(4)]

    def physical(self, gpa: int, size: int) -> Optional[bytes]:
        """Guest-physical memory that does not cross a page."""
        hpa, _ = ept_walk(self.eptp, gpa)
        return None if hpa is None else read_physical(hpa, size)

    def translate(self, va: int) -> Optional[int]:
        """The guest-physical address by the guest's own tables (SDM "Paging")."""
        if not self.cr0 & KERNEL["CR0_PG"]:
            return va
        wide = bool(self.cr4 & KERNEL["CR4_PAE"])
        size, bits = (8, 9) if wide else (4, 10)
        table, levels = self.cr3, 4 if self.long else 2
        if wide and not self.long:
            table = self.pdptes[va >> 30 & 3]
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


def code_name(rip: int, is_return: bool) -> str:
    """Function, file and line of a code address, as gdb's symbols have them."""
    place = gdb.execute(f"info symbol {rip - is_return:#x}", to_string=True)
    if place.startswith("No symbol"):
        return "?"
    function = place.split(" in section")[0]
    line = gdb.find_pc_line(rip - is_return)
    return f"{function} ({line.symtab.filename}:{line.line})" if line.symtab else function


class GuestBt(Command):
    """guest-bt: the calls in the guest of this CPU, up from where it exited.

    Frames are found through the guest's page tables and the EPT. A guest that runs the kernel that gdb
    knows (gOS) gets names, others addresses; names of its programs come from `add-env`."""

    name = "guest-bt"
    not_in_guest = "`backtrace` shows its calls"

    def run(self, arguments: List[str]) -> None:
        vmcs = snapshot()
        env = guest()
        memory = GuestMemory(env, vmcs)
        rip, rsp = vmcs["GUEST_RIP"], vmcs["GUEST_RSP"]
        frame = int(env["env_tf"]["tf_rbp"]) & MASK64
        ours = same_kernel(memory)
        print(f"guest {env['env_name'].string()}: rip {rip:016x} rsp {rsp:016x} rbp {frame:016x} "
              f"cr3 {vmcs['GUEST_CR3']:016x}")
        if not ours:
            print("It does not run this kernel: addresses only.")
        for index in range(MAX_FRAMES):
            print(f"#{index:<2} {rip:016x} {code_name(rip, index > 0) if ours else ''}".rstrip())
            caller, rip = memory.word(frame), memory.word(frame + WORD)
            if frame % WORD or caller is None or not rip:
                return
            if caller <= frame and caller:
                print(f"#{index + 1:<2} {rip:016x} {code_name(rip, True) if ours else ''}".rstrip())
                return
            frame = caller


# ---- Exits


class Exits(Command):
    """exits [GUEST]: a guest's exits by reason, and the last ones where the kernel keeps them (vmm -t)."""

    name = "exits"
    not_in_guest = "hOS counts its exits: `vmstat` and `vmtrace` in hOS's shell show them"

    def run(self, arguments: List[str]) -> None:
        env = guest(*arguments[:1])
        machine = env["env_guest"].dereference()
        counts = machine["stats"]["reasons"]
        data = read(int(counts.address), counts.type.sizeof)
        rows = [
            (int.from_bytes(data[at : at + WORD], "little"), reason_of(at // WORD))
            for at in range(0, len(data), WORD)
        ]
        print(f"guest {env['env_name'].string()}: {sum(count for count, _ in rows)} exits")
        for count, reason in sorted(rows, key=lambda row: -row[0]):
            if count:
                print(f"{count:10}  {reason}")
        last = last_reason(machine)
        if last is not None:
            print(f"last exit: {last}")
        if int(machine["trace"]):
            print_ring(machine["trace"].dereference())


def last_reason(machine: gdb.Value) -> Optional[Reason]:
    """The reason of a guest's last exit, as the kernel counted it."""
    value = int(machine["clock_reason"])
    return BY_NUMBER.get(value)


def print_ring(trace: gdb.Value) -> None:
    """The last exits of a guest that is traced (vmm/trace.c)."""
    end, size = int(trace["next"]), int(trace["size"])
    a_page = PAGE // trace["now"].type.sizeof
    print("    exit            TSC rip              qualification    reason; what came next")
    for index in range(max(0, end - min(size, SHOWN_EXITS)), end):
        slot = index % size
        entry = trace["pages"][slot // a_page][slot % a_page]
        action = enum_name("enum GuestAction", int(entry["action"]), "ACTION_")
        print(
            f"{index:8} {int(entry['tsc']):14} {int(entry['rip']):016x} "
            f"{int(entry['qualification']):016x} {reason_of(int(entry['reason']))}; {action}"
        )


class ExitBreakpoint(gdb.Breakpoint):
    """Stops where the handler of a reason starts, if the exit was for that reason: some handlers serve
    several. RDI is the handler's argument, its guest."""

    def __init__(self, reason: Reason, handler: int) -> None:
        self.reason = reason
        super().__init__(f"*{handler:#x}")

    def stop(self) -> bool:
        machine = evaluate(f"(struct Guest *){register('rdi'):#x}").dereference()
        last = last_reason(machine)
        if last is not None and last.number != self.reason.number:
            return False
        print(f"VM exit: {self.reason}")
        return True


class BreakExit(Command):
    """break-exit REASON: stop when an exit with this reason arrives, where its handler starts.

    Reasons have the names of inc/vmexits.h; the tab key completes them. `delete` takes it away again, as
    any breakpoint. Stops the exits of all guests."""

    name = "break-exit"
    not_in_guest = f"its exits are hOS's affair: {HOST}"
    completions = [reason.name for reason in REASONS]

    def run(self, arguments: List[str]) -> None:
        wanted = arguments[0].upper() if len(arguments) == 1 else ""
        for reason in REASONS:
            if reason.name == wanted or str(reason.number) == wanted:
                handler = int(evaluate(f"'vmm/vmx/exit.c'::handlers[{reason.number}]"))
                ExitBreakpoint(reason, handler or int(evaluate("&'vmm/vmx/exit.c'::handle_unexpected")))
                return
        known = ", ".join(self.completions)
        raise Complaint(f"name one exit reason; there are {known}")


class StepExit(Command):
    """step-exit: let everything run until the next VM exit, and say what it was."""

    name = "step-exit"
    not_in_guest = f"its exits are hOS's affair: {HOST}"

    def run(self, arguments: List[str]) -> None:
        if not guests():
            raise Complaint("there is no guest; `vmm` in hOS's shell starts one")
        gdb.Breakpoint("vmexit", internal=True, temporary=True).silent = True
        gdb.execute("continue")
        envs.cache_clear()
        if gdb.selected_thread() is None or gdb.newest_frame().name() != "vmexit":
            return  # something else came first; gdb has said what
        vmcs = snapshot()
        env = guest()
        print(f"VM exit of guest {env['env_name'].string()}: {reason_of(vmcs['EXIT_REASON'])}, "
              f"rip {vmcs['GUEST_RIP']:#x}, qualification {vmcs['EXIT_QUALIFICATION']:#x}")


gdb.events.exited.connect(lambda _: stub_has_vmcs.cache_clear())
for command in (Vmcs, Ept, Exits, BreakExit, StepExit, GuestBt):
    command.register()
