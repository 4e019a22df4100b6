"""The virtual local APIC of a guest: xAPIC and x2APIC mode, its page, messages."""

import os
import random
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, PARALLEL

from .common import TOP, hos, passes
from .guests import ended, fine, run


@check("Local APIC", 0, "in xAPIC mode: reset state, LVT, errors, priorities, destinations, IPIs, timer", on=ALL)
def xapic(bench: Bench) -> None:
    fine(hos(bench), "xapic")


@check("Local APIC", 0, "changes of mode, and the page moved over RAM and away", on=ALL)
def modes(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "apic-modes")
    check_match(r"these words come from the RAM that the APIC hides", run(session, "apic-modes"))


@check("Local APIC", 0, "messages of devices: refused ones, destinations, trigger modes, NMI", on=PARALLEL)
def messages(bench: Bench) -> None:
    passes(hos(bench), "test-msi")


@check("Local APIC", 0, "every form of MOV to its page in 64-, 32- and 16-bit code, rewritten code, other instructions", on=PARALLEL)
def movs(bench: Bench) -> None:
    fine(hos(bench), "apic-movs")


HOSTILE = (
    ("tables", r"its page tables are in the page of its local APIC"),
    ("stack", r"needs what is in the page of its local APIC"),
    ("code", r"it executes what is in the page of its local APIC"),
    ("idt", r"needs what is in the page of its local APIC"),
    ("init", r"it has sent INIT to its own CPU"),
)


@check("Local APIC", 0, "its page over a guest's tables, stack, code or IDT, and INIT to itself, end that guest with the reason", on=PARALLEL)
def hostile(bench: Bench) -> None:
    session = hos(bench)
    for word, reason in HOSTILE:
        ended(session, "apic-hostile", reason, f"-a {word}")
    check_match(r"still here", run(session, "apic-hostile", "-a init"))


@check("Local APIC", 0, "a storm of interrupts that send themselves; the page moved thousands of times over RAM", on=PARALLEL)
def storm(bench: Bench) -> None:
    session = hos(bench)
    fine(session, "apic-hostile", "-a storm")
    fine(session, "apic-hostile", "-a moves")


# ---- The decoder, on the build machine, against binutils

CODE = {64: "i386:x86-64", 32: "i386", 16: "i8086"}
PREFIXES = (0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
OPCODES = (0x88, 0x89, 0x8A, 0x8B, 0xA0, 0xA1, 0xA2, 0xA3, 0xC6, 0xC7)
TRIES = 4000
RECORD = 15
STRIDE = 32  # one instruction of rubbish after the first, and NOPs to the next record
NAMES = {
    1: "al cl dl bl spl bpl sil dil r8b r9b r10b r11b r12b r13b r14b r15b".split(),
    2: "ax cx dx bx sp bp si di r8w r9w r10w r11w r12w r13w r14w r15w".split(),
    4: "eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d".split(),
    8: "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(),
}
HIGH = "ah ch dh bh".split()
SUFFIX = {"b": 1, "w": 2, "l": 4, "q": 8}


def random_mov(dice: random.Random, bits: int) -> bytes:
    """An opcode of MOV, with prefixes in the order in which they count, and random bytes after it."""
    code = bytes(dice.sample(PREFIXES, dice.choice((0, 0, 1, 2))))
    if bits == 64 and dice.random() < 0.5:
        code += bytes([dice.randrange(0x40, 0x50)])
    code += bytes([dice.choice(OPCODES)])
    if code[-1] >= 0xC6 and dice.random() < 0.8:
        code += bytes([dice.choice((0, 0x40, 0x80)) | dice.randrange(8)])
    return (code + dice.randbytes(RECORD))[:RECORD]


def disassembled(folder: Path, bits: int, records: List[bytes]) -> Dict[int, Tuple[int, str]]:
    """Length and text of each record's first instruction."""
    raw = folder / f"movs-{bits}.bin"
    raw.write_bytes(b"".join(record.ljust(STRIDE, b"\x90") for record in records))
    command = ["objdump", "-D", "-b", "binary", "-m", CODE[bits], "--insn-width=16", str(raw)]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = {}
    for line in re.finditer(r"(?m)^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$", text):
        if int(line[1], 16) % STRIDE == 0:
            found[int(line[1], 16) // STRIDE] = (len(line[2].split()), line[3].split("#")[0].strip())
    return found


def decoded(folder: Path, bits: int, records: List[bytes]) -> List[str]:
    """What vmm/apic_insn.c says of each record."""
    program = folder / "apic_mov"
    if not program.exists():
        sources = [str(TOP / "conf/decoder/apic_mov.c"), str(TOP / "vmm/apic_insn.c")]
        flags = ["-O1", "-g", "-fsanitize=address,undefined", f"-I{TOP}"]
        subprocess.run([os.environ.get("HOSTCC", "cc"), *flags, "-o", str(program), *sources], check=True)
    data = b"".join(bytes([bits]) + record for record in records)
    run = subprocess.run([str(program)], input=data, stdout=subprocess.PIPE, check=True)
    return run.stdout.decode().splitlines()


def judge(length: int, text: str, mine: str) -> str:
    """What is wrong with what the decoder says, if binutils say this. Empty: nothing."""
    is_mov = re.search(r"\b(?:mov|movabs)([bwlq])?\s+(\S+)$", text)
    memory = is_mov and re.search(r"0x[0-9a-f]+(?:[(,]|$)|[(:]", re.sub(r"\$-?0x[0-9a-f]+", "", is_mov[2]))
    if not memory:
        return "" if mine == "-" else "it is none"
    if mine == "-":
        return "not decoded"
    got, size, store, immediate, high, gpr = (int(word) for word in mine.split()[:6])
    if got != length:
        return f"length {got}, not {length}"
    constant = re.match(r"\$(-?0x[0-9a-f]+),", is_mov[2])
    if constant:
        mask = (1 << 8 * size) - 1
        ok = immediate and store and SUFFIX[is_mov[1]] == size
        return "" if ok and (int(constant[1], 16) ^ int(mine.split()[6], 16)) & mask == 0 else "the immediate"
    name = HIGH[gpr] if high else NAMES[size][gpr]
    loads, stores = is_mov[2].endswith(f",%{name}"), is_mov[2].startswith(f"%{name},")
    return "" if (stores if store else loads) and not immediate else f"the register, %{name}"


@check("Local APIC", 0, "the decoder of MOV agrees with binutils over random encodings of 64-, 32- and 16-bit code")
def decoder(bench: Bench) -> None:
    dice, wrong, movs = random.Random(1), [], 0
    for bits in CODE:
        records = [random_mov(dice, bits) for _ in range(TRIES)]
        told, mine = disassembled(bench.folder, bits, records), decoded(bench.folder, bits, records)
        for n, record in enumerate(records):
            length, text = told[n]
            fault = judge(length, text, mine[n]) if "mov" in text or "bad" in text else ""
            movs += mine[n] != "-"
            if fault:
                wrong.append(f"{bits}-bit {record.hex(' ')}: {text}: {mine[n]}: {fault}")
    check_that(movs > TRIES, f"more than {TRIES} MOVs among them", str(movs))
    check_that(not wrong, "no difference", "\n".join(wrong[:20]))
