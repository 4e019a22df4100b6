"""What the commands share: their registration, errors in words, the kernel's constants, memory, bits."""

import contextlib
import functools
import re
from pathlib import Path
from typing import Callable, ContextManager, Dict, List, Sequence, Tuple

import gdb

from .mode import LONG, MODE

TOP = Path(__file__).resolve().parent.parent.parent
# #define NAME 1, UL(1), 1ul, (1u << 2)
DEFINE = re.compile(
    r"^#define\s+(\w+)\s+\(?(?:UL\()?(0x[0-9a-fA-F]+|\d+)u?l*\)?(?:\s*<<\s*(\d+)\))?", re.MULTILINE
)
PAGE = 4096
ADDRESS = 0x000FFFFFFFFFF000  # the address in an entry of any page table
WORD = 8
MASK64 = 2**64 - 1


class Complaint(Exception):
    """Why a command cannot do it, in words for the user."""


def constants(*headers: str) -> Dict[str, int]:
    """Numbers that these headers of the kernel define."""
    found = {}
    for header in headers:
        if not (TOP / header).exists():
            continue  # a student's tree has no SVM
        for name, number, shift in DEFINE.findall((TOP / header).read_text()):
            found[name] = int(number, 0) << int(shift or 0)
    return found


KERNEL = constants("inc/memlayout.h", "inc/mmu.h", "vmm/vmx/vmx.h", "vmm/svm/exits.h")


class Command(gdb.Command):
    """A command NAME, which is also there as `jos NAME`. Its class's text is its help."""

    name = ""
    completions: Sequence[str] = ()
    not_in_guest = ""  # why it makes no sense in a gdb on a guest, and what to use there
    on_guest = False  # `make gdb-guest`: this gdb is on a guest
    of_hos = True  # it looks at hOS's memory, whoever has the CPU
    hos_tables: Callable[[], ContextManager[None]] = contextlib.nullcontext  # place.py has the other one

    def __init__(self, name: str = "") -> None:
        super().__init__(name or self.name, gdb.COMMAND_USER)

    @classmethod
    def register(cls) -> None:
        cls()
        cls(f"jos {cls.name}")

    def run(self, arguments: List[str]) -> None:
        raise NotImplementedError

    def invoke(self, argument: str, from_tty: bool) -> None:
        read_entry.cache_clear()
        envs.cache_clear()
        try:
            if Command.on_guest and self.not_in_guest:
                raise Complaint(f"this gdb is on a guest; {self.not_in_guest}")
            with Command.hos_tables() if self.of_hos else contextlib.nullcontext():
                self.run(gdb.string_to_argv(argument))
        except Complaint as complaint:
            raise gdb.GdbError(f"{self.name}: {complaint}") from None
        except gdb.error as error:
            raise gdb.GdbError(f"{self.name}: {error}") from None

    def complete(self, text: str, word: str) -> List[str]:
        return [choice for choice in self.completions if choice.upper().startswith(word.upper())]


class Jos(gdb.Command):
    """What this project's gdb knows about the kernel, its page tables and its guests.

    The commands below work with and without the word `jos` in front of them, e.g. `envs`, `jos envs`."""

    def __init__(self) -> None:
        super().__init__("jos", gdb.COMMAND_USER, gdb.COMPLETE_NONE, True)


def evaluate(expression: str) -> gdb.Value:
    """An expression of the kernel's. Raises Complaint when the kernel has no such thing."""
    try:
        return gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise Complaint(str(error)) from None


def number(text: str, what: str) -> int:
    """An address or a number that the user typed: an expression. Raises Complaint."""
    try:
        return int(gdb.parse_and_eval(text).cast(gdb.lookup_type("unsigned long"))) & MASK64
    except gdb.error as error:
        raise Complaint(f"{text} is no {what}: {error}") from None


def need_machine() -> None:
    if gdb.selected_thread() is None:
        raise Complaint("no machine is connected")


def need_kernel() -> None:
    """The kernel's addresses mean something only in 64-bit code."""
    need_machine()
    if MODE.current != LONG:
        raise Complaint("the kernel has not started: this is the boot sector, the loader or the BIOS")


def read(address: int, size: int) -> bytes:
    """The kernel's memory. Raises Complaint."""
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except gdb.error:
        raise Complaint(f"the memory at {address:#x} cannot be read") from None


def read_physical(pa: int, size: int) -> bytes:
    """Physical memory, through the kernel's direct map. Raises Complaint."""
    try:
        return read(KERNEL["KERNBASE"] + pa, size)
    except Complaint:
        raise Complaint(
            f"physical address {pa:#x} cannot be read: it is not RAM, "
            "or the kernel has not set up its page tables yet"
        ) from None


@functools.lru_cache(maxsize=None)
def read_entry(table: int, index: int) -> int:
    """An entry of the table at this physical address; remembered while a command runs, since reading through
    a serial line takes its time."""
    return int.from_bytes(read_physical(table + index * WORD, WORD), "little")


def cpu_number() -> int:
    """The CPU of the selected thread: threads count from 1 in QEMU and in the kernel's own stub."""
    need_machine()
    return gdb.selected_thread().ptid[1] - 1 if gdb.selected_thread().ptid[1] else 0


def cpu() -> gdb.Value:
    """struct Cpu of the selected thread's CPU."""
    need_kernel()
    return evaluate(f"cpus[{cpu_number()}]")


def fetched(value: gdb.Value) -> gdb.Value:
    """The value, read as a whole: a field at a time takes long through a serial line."""
    value.fetch_lazy()
    return value


class Env:
    """A struct Env, without the gap between its parts."""

    def __init__(self, env: gdb.Value) -> None:
        self.address = env.address
        parts = [(page, env[page].type.fields()[0]) for page in env.type.fields()]
        self.parts = [(part, fetched(env[page][part])) for page, part in parts]

    def __getitem__(self, name: str) -> gdb.Value:
        for part, value in self.parts:
            if any(field.name == name for field in part.type.fields()):
                return value[name]
        raise KeyError(name)


@functools.lru_cache(maxsize=None)
def envs() -> List[Env]:
    """Every slot in use; remembered while a command runs."""
    need_kernel()
    table, free = evaluate("envs"), int(evaluate("(int)ENV_FREE"))
    used = fetched(evaluate("'kern/envlife.c'::slots_used"))  # a word has the bits of 64 slots
    words_used = [int(used[w]) for w in range(used.type.range()[1] + 1)]
    slots = [64 * w + bit for w, word in enumerate(words_used) for bit in range(64) if word >> bit & 1]
    found = [Env(table[i]) for i in slots]
    return [env for env in found if int(env["env_status"]) != free]


def words(value: int, names: Sequence[Tuple[int, str]]) -> str:
    """The names of the bits that are set."""
    return " ".join(name for bit, name in names if value & bit) or "-"


def enum_name(kind: str, value: int, prefix: str) -> str:
    """The name that the kernel has for a value, without its prefix."""
    for field in gdb.lookup_type(kind).fields():
        if field.enumval == value:
            return field.name[len(prefix) :].lower()
    return str(value)


Jos()
