"""Parts of the monitor on the build machine, with sanitizers: its decoder of instructions beside objdump; the decoder,
the device models, together and each by itself, and the loaders with inputs that hurt once, with random ones, and with
those that libFuzzer makes."""

import re
import subprocess
from pathlib import Path
from typing import Tuple

from jos import encodings
from jos.grade import Bench, Mismatch, check, check_that

from .common import TOP, host, make

CORPUS = TOP / "user/vmm/host/corpus"
TARGETS = tuple(sorted(folder.name for folder in CORPUS.iterdir()))
TOGETHER = ("devices", "disks", "insn", "loaders")  # the others are one device model each, which `devices` has, too
SEED = 1
# One in so many of all encodings, by the code's bits
QUICK = {16: 12, 32: 12, 64: 150}
WHOLE = {16: 1, 32: 1, 64: 1}
RANDOM_QUICK, RANDOM_WHOLE = 10_000, 1_000_000  # inputs; for one device model a tenth
EDGES_QUICK, EDGES_WHOLE = 40, 1  # one in so many
# Operations that the monitor has to know.
NAMES = set(
    "adc add and bt btc btr bts call clflush cmp cmpxchg cmpxchg8b dec imul inc jmp mov movbe movsx movzx mul neg not or"
    " pop push rcl rcr ret rol ror sar sbb shl shr sub test xadd xchg xor cmps lods movs scas stos cmova cmovae cmovb cmovbe cmove cmovg cmovge cmovl cmovle cmovne"
    " cmovno cmovnp cmovns cmovo cmovp cmovs seta setae setb setbe sete setg setge setl setle setne setno setnp setns"
    " seto setp sets".split()
) | {"repnz cmps", "repz cmps", "rep lods", "rep movs", "repnz scas", "repz scas", "rep stos"}


def tool(bench: Bench, name: str) -> Path:
    """A program for the build machine, built."""
    path = bench.obj / "user/host" / name
    done = make(bench.obj, "-j2", str(path.relative_to(TOP)))
    check_that(done.returncode == 0, f"make {name} to succeed", done.stdout)
    return path


def compared(bench: Bench, one_in: "dict[int, int]", seed: int) -> str:
    """Encodings, by the decoder and by objdump."""
    program = tool(bench, "encodings")
    lines = []
    for bits, step in one_in.items():
        try:
            counts, names = encodings.compare(program, bits, step, seed, bench.folder)
        except encodings.Differ as error:
            raise Mismatch(f"seed {seed}: the decoder and objdump differ:\n{error}") from None
        missing = NAMES - names
        check_that(not missing, f"{bits}-bit encodings of each operation", f"none of {', '.join(sorted(missing))}")
        lines.append(counts)
    return "\n".join(lines)


@check("Models", 0, "the monitor's decoder and objdump agree on length, operation, operands and sizes")
def like_objdump(bench: Bench) -> str:
    return compared(bench, QUICK, SEED)


def replayed(bench: Bench, inputs: int, edges: int, seed: int) -> str:
    """The corpus, and random inputs; for loaders one in `edges` of all numbers at edges in all fields of a file."""
    lines = []
    for target in TARGETS:
        program = tool(bench, f"replay-{target}")
        also = ["-e", edges] if target == "loaders" else []
        count = inputs if target in TOGETHER else inputs // 10
        done = host([program, "-n", count, "-s", seed, *also, CORPUS / target], limit=900)
        check_that(done.returncode == 0, f"{target} to bear its inputs (seed {seed})", done.stdout)
        lines.append(done.stdout.strip())
    return "\n".join(lines)


@check("Models", 0, "devices, decoder and loaders bear inputs that hurt once, and random ones, on the build machine")
def bear(bench: Bench) -> str:
    return replayed(bench, RANDOM_QUICK, EDGES_QUICK, SEED)


def raced(bench: Bench, seconds: int, seed: int) -> str:
    """Devices at work while another CPU writes to their rings."""
    done = host([tool(bench, "racing"), seconds, seed], limit=seconds + 60)
    check_that(done.returncode == 0, f"devices to bear changes of their rings (seed {seed})", done.stdout)
    return done.stdout.strip()


@check("Models", 0, "rings that another CPU changes while a device reads them hurt nobody, and never keep a device busy")
def rings(bench: Bench) -> str:
    return raced(bench, 2, SEED)


def fuzzed(obj: Path, target: str, seconds: int) -> str:
    """By libFuzzer, which goes on where it was the last time. Raises Mismatch with the input that hurts."""
    done = make(obj, f"{(obj / 'user/host').relative_to(TOP)}/fuzz-{target}")
    check_that(done.returncode == 0, f"make fuzz-{target} to succeed", done.stdout)
    found = obj / "fuzz-models" / target
    found.mkdir(parents=True, exist_ok=True)
    command = [obj / "user/host" / f"fuzz-{target}", f"-max_total_time={seconds}", f"-artifact_prefix={found}-"]
    log = found.with_suffix(".log")
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(
            [*map(str, command), "-max_len=4096", "-timeout=20", str(found), str(CORPUS / target)],
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    inputs, places = counts_of(text)
    if status != 0:
        kept = re.search(r"Test unit written to (\S+)", text)
        again = f"again: {obj / 'user/host' / f'replay-{target}'} {kept[1]}" if kept else f"log: {log}"
        words = re.search(r"[^\n]*(?:not true|runtime error|SUMMARY)[^\n]*", text)
        raise Mismatch(f"{target}: input {inputs} hurts: {words[0] if words else ''}\n{again}")
    return f"{target}: {inputs} inputs in {seconds} s, {places} places of the code reached"


def counts_of(log: str) -> Tuple[str, str]:
    """Inputs and coverage, by libFuzzer's last line of status."""
    last = re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+)", log, re.MULTILINE)
    return last[-1] if last else ("?", "?")
