"""The processor's mode: 16-bit code in the boot sector, 32-bit code in the loader, 64-bit code in the
kernel, each disassembled as what it is.

QEMU's stub describes the 64-bit registers, whatever mode the processor is in, and gdb decodes
instructions as the description's architecture says. So at each stop the mode is looked at, and for 16-bit
and 32-bit code gdb gets another description: the stub's own with the mode's architecture, where RAX has
become EAX and an upper half beside it. The packet with all registers keeps its layout by that. A packet
with one register names it by its number in the stub's description, so here numbers are ones that mean
nothing to the stub, and what the user changes is sent with the right number from here.

`continue` goes on with the stub's description, since it may end at a breakpoint in the kernel, whose
address has 64 bits.
"""

import re
import tempfile
from pathlib import Path
from typing import Dict, Optional

import gdb

CR0_PE = 1 << 0
EFER_LMA = 1 << 10
FOUR_GIB = 1 << 32

REAL, PROTECTED, LONG = "i8086", "i386", "i386:x86-64"
BITS = {REAL: 16, PROTECTED: 32, LONG: 64}
BITS_OF_CS = {"CS16": REAL, "CS32": PROTECTED, "CS64": LONG}

# Where `monitor info registers` of QEMU has a code segment: selector, base, and in protected mode its kind.
CS_LINE = re.compile(r"^CS =[0-9a-f]{4} ([0-9a-f]+) .*?(?:DPL=\d (CS\d\d).*)?$", re.MULTILINE)
CPU_LINE = re.compile(r"^CPU#(\d+)$", re.MULTILINE)
NAME = re.compile(r'<reg name="(\w+)" bitsize="(\d+)"')
WIDE = re.compile(r'<reg name="r(ax|bx|cx|dx|si|di|bp|sp|ip)" bitsize="64" type="(\w+)" regnum="\d+"/>')
NUMBER = re.compile(r' regnum="\d+"')
FIRST_NUMBER = 4096  # of the registers in a description of ours
SEGMENTS = "org.gnu.gdb.i386.segments"  # which gdb fails on in 32-bit code
ARCHITECTURE = re.compile(r"<architecture>[^<]*</architecture>")


SHORT = {"r" + name: "e" + name for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip")}
WRITABLE = {*SHORT.values(), "eflags", "cs", "ss", "ds", "es", "fs", "gs", "cr0", "cr2", "cr3", "cr4", "efer"}


def split_register(found: "re.Match[str]") -> str:
    """A 64-bit register of the description as two of 32 bits, the lower one with the 32-bit name."""
    kind = found[2] if found[2].endswith("ptr") else "int32"
    low = f'<reg name="e{found[1]}" bitsize="32" type="{kind}"/>'
    return f'{low}<reg name="e{found[1]}_high" bitsize="32" type="int32"/>'


def narrow(description: str, architecture: str) -> str:
    """The same registers in the same places, for 16-bit or 32-bit code."""
    text = ARCHITECTURE.sub(f"<architecture>{architecture}</architecture>", description)
    text = NUMBER.sub("", WIDE.sub(split_register, text))
    text = text.replace(SEGMENTS, "org.jos.segments")
    return text.replace("<reg ", f'<reg regnum="{FIRST_NUMBER}" ', 1)


def register(name: str) -> Optional[int]:
    """A register of the selected thread, or None if the stub does not tell it."""
    try:
        value = gdb.newest_frame().read_register(name)
        return int(value.format_string(format="x"), 16)
    except (gdb.error, ValueError):
        return None


def segment() -> Optional["re.Match[str]"]:
    """QEMU's words about the code segment of the selected thread's CPU."""
    try:
        text = gdb.execute("monitor info registers -a", to_string=True).replace("\r", "")
    except gdb.error:
        return None
    blocks = CPU_LINE.split(text)
    thread = gdb.selected_thread()
    wanted = str(thread.ptid[1] - 1 if thread and thread.ptid[1] else 0)  # threads count from 1
    for number, block in zip(blocks[1::2], blocks[2::2]):
        if number == wanted:
            return CS_LINE.search(block)
    return None


class Mode:
    """Follows the processor from stop to stop."""

    def __init__(self) -> None:
        self.current = LONG  # what gdb's description is for
        self.shown = LONG  # what the user was told last
        self.description = ""  # the stub's own
        self.files: Dict[str, str] = {}
        self.folder: Optional[tempfile.TemporaryDirectory] = None
        self.values: Dict[str, int] = {}  # of the registers when 16-bit or 32-bit code stopped
        self.base = 0  # of the code segment, in 16-bit code

    def forget(self) -> None:
        """The connection is gone; the next one may be to another stub."""
        if self.folder:
            self.folder.cleanup()
        if self.current != LONG:
            gdb.execute("unset tdesc filename", to_string=True)
        self.__init__()

    def find(self) -> str:
        """The mode of the selected thread's CPU."""
        cr0, efer = register("cr0"), register("efer")
        if cr0 is None or efer is None:
            return LONG  # a stub that runs in the kernel
        self.base = 0
        if efer & EFER_LMA and (register("pc") or 0) >= FOUR_GIB:
            return LONG  # no other code reaches there
        if efer & EFER_LMA and self.current == LONG and (register("cs") or 0) & 3:
            return LONG  # the kernel's user programs are 64-bit
        words = segment()
        if not cr0 & CR0_PE:
            self.base = int(words[1], 16) if words else 0
            return REAL
        if words and words[2]:
            return BITS_OF_CS[words[2]]
        return LONG if efer & EFER_LMA else PROTECTED

    def file(self, mode: str) -> str:
        """The path of a description for this mode."""
        if mode not in self.files:
            if not self.folder:
                self.folder = tempfile.TemporaryDirectory(prefix="jos-gdb-")
            path = Path(self.folder.name, f"{BITS[mode]}.xml")
            path.write_text(narrow(self.description, mode))
            self.files[mode] = str(path)
        return self.files[mode]

    def switch(self, mode: str) -> None:
        if not self.description:
            self.description = gdb.execute("maint print xml-tdesc", to_string=True)
        fetch = "auto" if mode == LONG else "off"
        gdb.execute(f"set remote fetch-register-packet {fetch}", to_string=True)
        if mode == LONG:
            gdb.execute("unset tdesc filename", to_string=True)
        else:
            gdb.execute(f"set tdesc filename {self.file(mode)}", to_string=True)
        self.current = mode

    def at_stop(self) -> None:
        """Look at the mode before gdb shows where it has stopped."""
        if gdb.selected_thread() is None:
            return
        mode = self.find()
        if mode != self.current:
            self.switch(mode)
        if mode != self.shown:
            print(f"[{BITS[mode]}-bit code]")
            self.shown = mode
        if mode == REAL and self.base != 0:
            self.show_segmented()
        self.values = {} if mode == LONG else self.read_all()

    def read_all(self) -> Dict[str, int]:
        """The registers that a user may want to change, by the stub's names."""
        read = {}
        for name, _ in NAME.findall(self.description):
            short = SHORT.get(name, name)
            if short in WRITABLE:
                read[name] = register(short)
        return {name: value for name, value in read.items() if value is not None}

    def send_changes(self, _: object) -> None:
        """The user has changed a register: tell the stub."""
        if self.current == LONG:
            return
        connection = gdb.selected_inferior().connection
        for number, (name, bits) in enumerate(NAME.findall(self.description)):
            value = register(SHORT.get(name, name)) if name in self.values else None
            if value is not None and value != self.values[name]:
                connection.send_packet(f"P{number:x}=" + value.to_bytes(int(bits) // 8, "little").hex())
                self.values[name] = value

    def at_continue(self) -> None:
        """Wherever it stops next, gdb is to see all of the program counter."""
        if self.current != LONG:
            self.switch(LONG)

    def show_segmented(self) -> None:
        """In 16-bit code, gdb's pc is the offset alone; say which instruction comes."""
        offset = register("pc") or 0
        try:
            text = gdb.execute(f"x/i {self.base + offset:#x}", to_string=True)
        except gdb.error:  # a guest's code: its memory is not shown
            return
        print(f"[CS base {self.base:#x}] {text.lstrip('=> ').strip()}")


MODE = Mode()


gdb.events.exited.connect(lambda _: MODE.forget())
gdb.events.register_changed.connect(MODE.send_changes)
gdb.execute("define hook-continue\npython gdbcmds.mode.MODE.at_continue()\nend")
gdb.execute("set remoteaddresssize 64")  # breakpoints in the kernel are set from 16-bit code, too
