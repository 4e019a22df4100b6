"""Reading the guide: its blocks of commands and messages, and the names and messages in its text.

Every fenced block says in its first line what it is, so that all of them can be checked:

    ```console tree=2+ept_lookup_gpa   a console of the tree of EX=2 in which ept_lookup_gpa is
                                       solved, too; also cmdline=WORD cpu=MODEL cpus=2 emu=qemu
    ```shell tree=0                    the build machine, in the folder of that tree; `$ ` is the prompt;
                                       tree=project: where the guide itself is
    ```gdb tree=8                      gdb on the kernel in Bochs, when `vmm` is started; emu=qemu: in QEMU, from the
                                       first instruction; on=guest: on a guest of `vmm -g`
    ```c file=vmm/vcpu.h               lines of that file
    ```diagram                         a drawing

What follows a prompt is typed; the other lines are what is answered. In them, `...` is any
text, and on a line of its own any number of lines. With numbers=any each number may be another one.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

KINDS = ("console", "shell", "gdb", "c", "diagram")
PROMPTS = {"console": ("hOS$", "gOS$", "K>"), "shell": ("$",), "gdb": ("(gdb)",)}
ANYTHING = "..."
NUMBER = re.compile(r" *\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")
PROJECT = -1  # for EX: not a student's tree


@dataclass
class Block:
    path: str
    line: int
    kind: str
    options: Dict[str, str]
    lines: List[str]

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass
class Step:
    """A line that is typed (None: the machine is started), what is answered, and the prompt after
    it (None: there is none, the machine ends)."""

    typed: Optional[str]
    answer: List[str]
    prompt: Optional[str] = None


def blocks(path: Path, name: str) -> List[Block]:
    """All blocks of a file; one that is only indented has no kind."""
    found: List[Block] = []
    block, before = None, ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line.startswith("```"):
            if block:
                block.lines.append(line)
            elif not before and line.startswith("    "):
                found.append(Block(name, number, "", {}, [line]))
            before = line
        elif block:
            found.append(block)
            block = None
        else:
            kind, *words = line[3:].split() or [""]
            options = {key: value for key, _, value in (word.partition("=") for word in words)}
            block = Block(name, number, kind, options, [])
    return found


def steps(block: Block) -> List[Step]:
    """A session, line by line."""
    out: List[Step] = []
    for line in block.lines:
        prompt = next((p for p in PROMPTS[block.kind] if line == p or line.startswith(p + " ")), None)
        if prompt is None:
            if not out:
                out.append(Step(None, []))
            out[-1].answer.append(line)
            continue
        if out:
            out[-1].prompt = prompt
        if line != prompt:
            out.append(Step(line[len(prompt) + 1 :], []))
    return out


def tree_of(block: Block) -> Tuple[int, Tuple[str, ...]]:
    """tree=2+name+name: EX, and what is solved besides; or tree=project."""
    ex, *also = block.options.get("tree", "0").split("+")
    return (PROJECT if ex == "project" else int(ex)), tuple(also)


def part_regex(part: str, any_number: bool) -> str:
    if not any_number:
        return re.escape(part)
    return r" *(?:0x)?[0-9a-f]+".join(re.escape(text) for text in NUMBER.split(part))


def line_regex(line: str, any_number: bool = False) -> str:
    return ".*".join(part_regex(part, any_number) for part in line.rstrip().split(ANYTHING))


def difference(expected: List[str], text: str, any_number: bool = False) -> Optional[str]:
    """None if text is what was expected, else the first expected line that is not found in its
    place. With any_number, each number may be another one."""
    seen = [line.rstrip() for line in text.rstrip("\n").split("\n")] if text.strip("\n") else []
    wanted = expected[:]
    while wanted and not wanted[-1].strip():
        wanted.pop()
    # place: all numbers of lines of what was seen that the first lines of what is wanted can be
    places = {0}
    for line in wanted:
        if line.strip() == ANYTHING:
            places = {n for place in places for n in range(place, len(seen) + 1)}
            continue
        regex = re.compile(line_regex(line, any_number))
        places = {n + 1 for n in places if n < len(seen) and regex.fullmatch(seen[n])}
        if not places:
            return line
    return None if len(seen) in places else "(nothing more)"


def spans(path: Path) -> Iterator[Tuple[int, str, bool]]:
    """What the text has in backticks, and messages: what is quoted in *emphasis* (True). With its line."""
    fenced = False
    text = ""
    for line in path.read_text().split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            line = ""
        text += "\n" if fenced else line + "\n"
    for found in re.finditer(r"`([^`]+)`", text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split()), False
    text = re.sub(r"`[^`]+`", lambda code: "\n" * code[0].count("\n"), text)
    for emphasis in re.finditer(r"(?<!\*)\*([^*\s][^*]*)\*(?!\*)", text):
        for found in re.finditer(r'"([^"]+)"', emphasis[1]):
            yield text.count("\n", 0, emphasis.start()) + 1, " ".join(found[1].split()), True
