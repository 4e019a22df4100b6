"""hOS or a guest: which of the two has the CPU that gdb looks at.

gOS is the same kernel at the same addresses, so a breakpoint can stop in either, and QEMU's stub shows the
registers of whoever has the CPU. It does not know nested page tables: what it reads while a guest has the CPU comes
from the wrong memory. So here:
    - whether a guest has the CPU is found in hOS's own memory, which is read by physical addresses;
    - breakpoints and watchpoints get the condition $here(), which goes on from where the user is not (`break-in`);
    - while gdb stands in a guest, its own reads of memory are refused; commands about hOS borrow hOS's page tables.

SVM's control block is memory: asm_svmrun writes SVM_EXIT_RUNNING into it before VMRUN, and the CPU the code of the
exit after it. Where guests run by VT-x, this gdb is on the kernel's own stub, which runs in hOS alone.
"""

import contextlib
from typing import Dict, Iterator, List, NamedTuple, Optional

import gdb

from .base import ADDRESS, KERNEL, WORD, Command, Complaint, cpu_number
from .mode import NAME, register

CONDITION = "$here()"
CR0_PG, EFER_LMA = KERNEL["CR0_PG"], KERNEL["EFER_LMA"]
EXIT_CODE = 0x70  # in the VMCB
EXIT_CODE_MASK = 0xFFFFFFFF
NAME_SIZE = 32
GDB_REGION = "mem 0 1 ro"  # with a region of memory that gdb knows of, all others are refused
HOS, GOS, BOTH = "hos", "gos", "both"


class Place(NamedTuple):
    """A guest that has the CPU."""

    env: int  # address of its struct Env in hOS
    vmcb: int  # physical address of its control block
    name: str


# ---- hOS's memory, whoever has the CPU


def send(packet: str) -> bytes:
    return gdb.selected_inferior().connection.send_packet(packet)


@contextlib.contextmanager
def physical_addresses() -> Iterator[None]:
    """QEMU's stub takes addresses as physical ones."""
    send("Qqemu.PhyMemMode:1")
    try:
        yield
    finally:
        send("Qqemu.PhyMemMode:0")


def physical(pa: int, size: int) -> bytes:
    """Physical memory, of QEMU's stub; within physical_addresses. Raises Complaint."""
    answer = send(f"m{pa:x},{size:x}")
    if len(answer) != 2 * size:
        raise Complaint(f"physical address {pa:#x} cannot be read")
    return bytes.fromhex(answer.decode())


def physical_word(pa: int, size: int = WORD) -> int:
    return int.from_bytes(physical(pa, size), "little")


def image_word(va: int) -> int:
    """A word in the kernel's image."""
    return physical_word(va - KERNEL["KERNEL_VMA"])


class Layout:
    """Addresses in the kernel and offsets in its structures, looked up once: in 32-bit code gdb cuts them short."""

    def __init__(self) -> None:
        self.svm_backend, self.backend, self.kern_pml4 = map(self.number, ("&svm_backend", "&backend", "&kern_pml4"))
        self.asm_start, self.asm_end = map(self.number, ("&asm_svmrun", "&asm_svmrun_end"))
        self.cpu_env = [self.number(f"&cpus[{n}].cpu_env") for n in range(self.number("sizeof(cpus)/sizeof(cpus[0])"))]
        self.type_guest = self.number("(int)ENV_TYPE_GUEST")
        self.env_type, self.env_guest, self.env_name = (
            self.number(f"&((struct Env *)0)->{name}") for name in ("env_type", "env_guest", "env_name")
        )
        self.vmcb = self.number("&((struct SvmVcpu *)0)->vmcb")

    @staticmethod
    def number(expression: str) -> int:
        return int(gdb.parse_and_eval(f"(unsigned long)({expression})"))


def hos_address(root: int, va: int) -> int:
    """Where hOS's tables take an address of the kernel's. Raises Complaint."""
    table = root
    for level in (3, 2, 1, 0):
        shift = 12 + 9 * level
        entry = physical_word(table + (va >> shift & 511) * WORD)
        if not entry & KERNEL["PTE_P"]:
            raise Complaint(f"hOS has nothing at {va:#x}")
        if level == 0 or entry & KERNEL["PTE_PS"]:
            offset = (1 << shift) - 1
            return (entry & ADDRESS & ~offset) | (va & offset)
        table = entry & ADDRESS
    raise AssertionError


# ---- Who has the CPU


def hos_root(at: Layout) -> int:
    """The physical address of hOS's page tables."""
    return image_word(at.kern_pml4) - KERNEL["KERNBASE"]


def guest_here(at: Layout) -> Optional[Place]:
    """The guest that has the selected thread's CPU; None: hOS has it. Raises Complaint."""
    with physical_addresses():
        if image_word(at.backend) != at.svm_backend:
            return None
        root = hos_root(at)

        def word(va: int, size: int = WORD) -> int:
            return physical_word(hos_address(root, va), size)

        env = image_word(at.cpu_env[cpu_number()])
        if not env or word(env + at.env_type, 4) != at.type_guest:
            return None
        vmcb = hos_address(root, word(word(env + at.env_guest) + at.vmcb))
        running = physical_word(vmcb + EXIT_CODE) & EXIT_CODE_MASK == KERNEL["SVM_EXIT_RUNNING"]
        if not running or at.asm_start <= (register("pc") or 0) < at.asm_end:
            return None
        name = physical(hos_address(root, env + at.env_name), NAME_SIZE)
        return Place(env, vmcb, name.split(b"\0")[0].decode("ascii", "replace"))


def stub_is_qemus() -> bool:
    try:
        return send("qqemu.PhyMemMode") in (b"0", b"1")
    except (gdb.error, AttributeError):
        return False


def layout() -> Optional[Layout]:
    """None: this kernel knows no SVM."""
    try:
        return Layout()
    except gdb.error:
        return None


class Whereabouts:
    """Follows the CPU from stop to stop."""

    def __init__(self) -> None:
        self.wanted = HOS
        self.shown: Optional[Place] = None  # what the user was told last
        self.guarded = False
        self.known: Dict[int, Optional[Place]] = {}  # by thread, for this stop
        self.asked = False
        self.layout: Optional[Layout] = None  # None: not to be told here
        self.cr3_number = -1  # in the stub's description

    def forget(self) -> None:
        """The connection is gone."""
        self.guard(False)
        self.__init__()

    def now(self) -> Optional[Place]:
        """The guest that has the CPU, or None."""
        thread = gdb.selected_thread()
        if thread is None:
            return None
        if not self.can_tell():
            return None
        if thread.num not in self.known:
            try:
                self.known[thread.num] = guest_here(self.layout)
            except (Complaint, gdb.error):  # hOS has not come so far, or a fault of the line
                return None
        return self.known[thread.num]

    def can_tell(self) -> bool:
        """Can this gdb know who has the CPU, and is there any doubt?"""
        if not self.asked and gdb.selected_thread() is not None:
            self.asked = True
            self.layout = layout() if stub_is_qemus() else None
        return self.layout is not None

    def here(self) -> bool:
        """Does the user want to stop where the CPU is?"""
        self.known.clear()  # gdb asks before it tells that it has stopped
        place = self.now()
        if place is None:
            return self.wanted != GOS
        self.guard(self.wanted != HOS)  # for the rest of the condition
        return self.wanted != HOS

    def set_cr3(self, value: int) -> None:
        """Behind gdb's back, which keeps the value that it has read."""
        if self.cr3_number < 0:
            names = [name for name, _ in NAME.findall(gdb.execute("maint print xml-tdesc", to_string=True))]
            self.cr3_number = names.index("cr3")
        thread = gdb.selected_thread().ptid[1]
        send(f"Hg{thread:x}")
        send(f"P{self.cr3_number:x}={value.to_bytes(WORD, 'little').hex()}")

    def at_stop(self) -> None:
        self.known.clear()
        self.look()

    def look(self) -> None:
        """Say it when the CPU has changed hands, and guard gdb's reads of memory."""
        place = self.now()
        if place != self.shown:
            print(f"[in guest {place.name}: memory is not shown; guest-bt, npt and vmcb work]" if place else "[in hOS]")
            self.shown = place
        self.guard(place is not None)

    def guard(self, on: bool) -> None:
        if on == self.guarded:
            return
        gdb.execute(GDB_REGION if on else "delete mem", to_string=True)
        gdb.execute("maintenance flush dcache", to_string=True)
        self.guarded = on


PLACE = Whereabouts()


@contextlib.contextmanager
def hos_tables() -> Iterator[None]:
    """While a guest has the CPU: gdb reads hOS's memory, by hOS's tables. What gdb knows of the registers stays the
    guest's. Raises Complaint."""
    place = PLACE.now()
    if place is None:
        yield
        return
    if not (register("cr0") & CR0_PG and register("efer") & EFER_LMA):
        raise Complaint(f"guest {place.name} has the CPU, and is not in 64-bit mode yet; `step-exit` comes to hOS")
    with physical_addresses():
        root = hos_root(PLACE.layout)
    saved = register("cr3") or 0
    PLACE.guard(False)
    try:
        PLACE.set_cr3(root)
        gdb.execute("maintenance flush dcache", to_string=True)
        yield
    finally:
        PLACE.set_cr3(saved)
        PLACE.guard(True)


# ---- Stops


class Here(gdb.Function):
    """$here(): is the CPU where breakpoints are to stop (`break-in`)?"""

    def __init__(self) -> None:
        super().__init__("here")

    def invoke(self) -> bool:
        return PLACE.here()


class BreakIn(Command):
    """break-in hos|gos|both: whether breakpoints and watchpoints stop in hOS, in its guests, or in both.

    gOS has hOS's addresses. At first they stop in hOS only, and go on from guests. Ctrl-C stops wherever the CPU
    is. Without a word: says what is set."""

    name = "break-in"
    not_in_guest = "it stops in this guest only"
    completions = [HOS, GOS, BOTH]
    of_hos = False

    def run(self, arguments: List[str]) -> None:
        if arguments and (len(arguments) > 1 or arguments[0] not in self.completions):
            raise Complaint("it is hos, gos or both")
        PLACE.wanted = arguments[0] if arguments else PLACE.wanted
        words = {HOS: "hOS", GOS: "guests", BOTH: "hOS and in guests"}
        print(f"Breakpoints stop in {words[PLACE.wanted]}.")


def conditioned(point: gdb.Breakpoint) -> None:
    """The user has made or changed a breakpoint: it is to stop only where the user wants."""
    if type(point) is not gdb.Breakpoint or point.number < 0 or not PLACE.can_tell():
        return
    if (point.condition or "").startswith(CONDITION):
        return
    point.condition = f"{CONDITION} && ({point.condition})" if point.condition else CONDITION


def hook(command: str, function: str) -> None:
    gdb.execute(f"define {command}\npython gdbcmds.place.PLACE.{function}()\nend")


Command.hos_tables = hos_tables
gdb.events.breakpoint_created.connect(conditioned)
gdb.events.breakpoint_modified.connect(conditioned)
gdb.events.cont.connect(lambda _: PLACE.guard(False))
gdb.events.exited.connect(lambda _: PLACE.forget())
hook("hookpost-thread", "look")
Here()
BreakIn.register()
