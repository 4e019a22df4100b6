"""The monitor's decoder beside objdump of Debian's binutils: both take the same encodings, and have to agree about
length, operation, operands and sizes. The decoder runs on the build machine (user/vmm/host/encodings.c)."""

import re
import subprocess
from pathlib import Path
from typing import Iterator, List, Set, Tuple

from .errors import MachineError

MACHINES = {16: "i8086", 32: "i386", 64: "i386:x86-64"}
SHOWN = 20  # differences
# What objdump writes in front of an instruction for prefixes that have no effect on it.
PREFIX = re.compile(
    r"^(?:(?:cs|ds|es|ss|fs|gs|lock|rex(?:\.\w+)?|data16|data32|addr16|addr32|xacquire|xrelease|bnd|notrack) )+"
)
REPEAT = re.compile(r"^(repz|repnz|rep) ")
STRINGS = ("movs", "cmps", "stos", "lods", "scas")
ALIASES = {
    "movabs": "mov",
    "movnti": "mov",
    "clflushopt": "clflush",
    **{f"{name}{size}": name for name in ("push", "pop", "call", "ret") for size in "wdq"},
}
# An address in full has no size of its own: the accumulator's is it.
ACCUMULATORS = {"al": "BYTE", "ax": "WORD", "eax": "DWORD", "rax": "QWORD"}
MEMORY = re.compile(r"(?:(\w+) PTR )?(?:(\w\w):)?(?:\[([^]]*)\]|(?<=:)(0x[0-9a-f]+))")
TERM = re.compile(r"([+-]?)([^+-]+)")
PLACE = re.compile(r"^(?:\w\w:)?\[|PTR|^\w\w:0x")


class Differ(MachineError):
    """The two decoders do not agree."""


def address_bytes(base: str, index: str, bits: int, prefixes: str) -> int:
    """By the registers; without any, by the mode and what objdump says of a prefix."""
    name = base if base != "-" else index
    if name == "-":
        return (bits if "addr" not in prefixes else {16: 32, 32: 16, 64: 32}[bits]) // 8
    if name[0] == "r":
        return 4 if name[-1] == "d" and name[1].isdigit() else 8
    return 4 if name[0] == "e" else 2


def memory(size: str, segment: str, inside: str, absolute: str, bits: int, prefixes: str) -> str:
    """As encodings.c writes it."""
    base, index, scale, displacement = "-", "-", "1", 0
    for sign, term in TERM.findall(inside or absolute):
        if term.startswith("0x"):
            displacement = int(term, 16) * (-1 if sign == "-" else 1)
        elif "*" in term:
            index, scale = term.split("*")
        elif base == "-":
            base = term
        else:
            index = term
    if index in ("riz", "eiz"):
        index = "-"
        scale = "1"
    width = address_bytes(base, index if inside and "iz" not in inside else "-", bits, prefixes)
    if inside and "eiz" in inside:
        width = 4
    if not segment and "notrack" in prefixes and bits != 64:
        segment = "ds"  # the same prefix
    if not segment:
        segment = "ss" if base in ("rsp", "rbp", "esp", "ebp", "bp") else "ds"
    return f"{size}@{segment}:{base}:{index}*{scale}:{displacement & ((1 << 8 * width) - 1):x}"


def canonical(text: str, bits: int) -> Tuple[str, str]:
    """Name and operands of a line of objdump, as encodings.c writes them."""
    text = text.split("#", 1)[0].strip()
    found = PREFIX.match(text)
    prefixes = found[0] if found else ""
    text = text[len(prefixes) :]
    repeat = REPEAT.match(text)
    if repeat:
        text = text[repeat.end() :]
        more = PREFIX.match(text)
        if more:
            prefixes += more[0]
            text = text[more.end() :]
    name, _, operands = text.partition(" ")
    name = ALIASES.get(name, name)
    if repeat and name in STRINGS:
        name = f"{repeat[1]} {name}"
    parts = operands.strip().split(",") if operands.strip() else []
    size = next((ACCUMULATORS[part] for part in parts if part in ACCUMULATORS), "")
    for number, operand in enumerate(parts):
        match = MEMORY.fullmatch(operand)
        if match and PLACE.search(operand):
            parts[number] = memory(match[1] or size, match[2] or "", match[3] or "", match[4] or "", bits, prefixes)
    return name, ",".join(parts)


def ours(tool: Path, bits: int, one_in: int, seed: int, binary: Path) -> Tuple[List[str], str]:
    command = [tool, str(bits), str(one_in), str(seed), binary]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Differ(f"encodings ends with {done.returncode}:\n{done.stderr}")
    return done.stdout.splitlines(), done.stderr.strip()


def theirs(bits: int, binary: Path) -> Iterator[Tuple[str, str]]:
    """Address and text of each line."""
    command = ["objdump", "-D", "-b", "binary", "-m", MACHINES[bits], "-M", "intel", "--no-show-raw-insn", "-w", binary]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as objdump:
        for line in objdump.stdout:
            address, colon, text = line.partition(":\t")
            if colon:
                yield address.strip(), text


def bytes_at(binary: Path, address: int) -> str:
    with open(binary, "rb") as file:
        file.seek(address)
        return file.read(15).hex(" ")


def compare(tool: Path, bits: int, one_in: int, seed: int, folder: Path) -> Tuple[str, Set[str]]:
    """Raises Differ with the first differences; returns counts in words, and which operations there were."""
    binary = folder / f"encodings-{bits}"
    mine, counts = ours(tool, bits, one_in, seed, binary)
    differ = []
    other = theirs(bits, binary)
    names: Set[str] = set()
    for line in mine:
        address, name, operands = line.split("\t")
        names.add(name)
        at, text = next(other, ("", "end of the file"))
        its_name, its_operands = canonical(text, bits)
        if (at, its_name, its_operands) != (address, name, operands):
            differ.append(
                f"{bits} bits, {bytes_at(binary, int(address, 16))}: {name} {operands} at {address}; "
                f"objdump at {at}: {its_name} {its_operands} ({text.strip()})"
            )
            if len(differ) == SHOWN or at != address:
                break
    if differ:
        raise Differ("\n".join(differ))
    binary.unlink()
    return f"{counts}; {len(names)} operations", names
