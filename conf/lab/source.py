"""Exercises in the source: comments that the compiler ignores, each on a line of its own.

    /* LAB 2 begin: ept_lookup_gpa */   up to `LAB 2 end`: a solution; pieces.py has its stand-in
    /* LAB 2 cut */                     likewise, without a stand-in: what only the solution uses
    /* LAB C begin: NAME */             a challenge, solved only where everything is
    # LAB project cut                   never handed out

A line starts with the comment of its language: /*, # or <!--. Sections do not nest.
"""

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import List, Union

from .pieces import CHALLENGE, PIECES, Piece

MARKER = re.compile(
    r"\s*(?:/\*|#|<!--) LAB (?P<level>\d|C|project) (?P<verb>begin|cut|end)(?:: (?P<name>\w+))?"
    r"(?: \*/| -->)?\s*"
)
ANY_MARKER = re.compile(r"(?:/\*|#|<!--)\s*LAB\b")
PROJECT = CHALLENGE + 1  # what no student gets
WIDTH = 100


class LabError(Exception):
    """What is wrong, in words for the user."""


@dataclass
class Section:
    """The text between two markers."""

    path: str
    line: int  # of the first marker
    level: int  # exercise, CHALLENGE or PROJECT
    name: str  # "" for `cut`
    indent: str
    text: List[str] = field(default_factory=list)

    def solved(self, ex: int) -> bool:
        return self.level < ex or self.level == ex == CHALLENGE

    @property
    def piece(self) -> Piece:
        return PIECES[self.name]


Part = Union[str, Section]


def level_of(word: str) -> int:
    return {"C": CHALLENGE, "project": PROJECT}.get(word) or int(word)


def check_section(s: Section, verb: str) -> None:
    where = f"{s.path}:{s.line}"
    if s.level > PROJECT:
        raise LabError(f"{where}: there is no exercise {s.level}")
    if (verb == "begin") != bool(s.name):
        raise LabError(f"{where}: `begin` has a name, `cut` has none")
    if s.name and s.name not in PIECES:
        raise LabError(f"{where}: conf/lab/pieces.py has no text for {s.name}")
    if s.name and s.piece.exercise != s.level:
        raise LabError(f"{where}: {s.name} belongs to exercise {s.piece.exercise}")


def parse(path: str, text: str) -> List[Part]:
    """The lines of a file, with a Section for each pair of markers. Raises LabError."""
    parts: List[Part] = []
    section = None
    for number, line in enumerate(text.split("\n"), 1):
        found = MARKER.fullmatch(line)
        if not found:
            if ANY_MARKER.search(line):
                raise LabError(f"{path}:{number}: not a marker: {line.strip()}")
            (section.text if section else parts).append(line)
            continue
        level, verb, name = level_of(found["level"]), found["verb"], found["name"] or ""
        if (verb == "end") != (section is not None) or (section and section.level != level):
            raise LabError(f"{path}:{number}: `{line.strip()}` without its other half")
        if section:
            section = None
            continue
        section = Section(path, number, level, name, line[: len(line) - len(line.lstrip())])
        check_section(section, verb)
        parts.append(section)
    if section:
        raise LabError(f"{path}:{section.line}: the section has no end")
    return parts


def sections(parts: List[Part]) -> List[Section]:
    return [part for part in parts if isinstance(part, Section)]


def paragraphs(piece: Piece, width: int) -> List[str]:
    """Title, task, what to read and hints, wrapped."""
    title = "Challenge" if piece.exercise == CHALLENGE else f"Exercise {piece.exercise}"
    blocks = [f"{title}: {piece.name}", *piece.task]
    lines: List[str] = []
    for block in blocks:
        lines += textwrap.wrap(block, width) + [""]
    for label, entries in (("Read:", piece.read), ("Hints:", piece.hints)):
        if entries:
            lines.append(label)
        for entry in entries:
            lines += textwrap.wrap(entry, width, initial_indent="- ", subsequent_indent="  ")
    return lines if lines[-1] else lines[:-1]


def stub(s: Section) -> List[str]:
    """What a student finds in the place of a solution."""
    piece = s.piece
    width = WIDTH - len(s.indent) - len(" * ")
    text = [f" * {line}".rstrip() for line in paragraphs(piece, width)]
    lines = ["/*", *text, " */"]
    if not piece.stops:
        return [s.indent + line for line in lines]
    if PurePath(s.path).suffix == ".S":
        lines += [f"movl ${piece.exercise}, %edi", "leaq 9f(%rip), %rsi", "call exercise"]
        lines.append(f'9: .asciz "{piece.name}"')
    else:
        lines += [f"(void){name};" for name in piece.unused]
        if piece.instead:
            return [s.indent + line if line else line for line in (*lines, *piece.instead)]
        call = "challenge(" if piece.exercise == CHALLENGE else f"exercise({piece.exercise}, "
        lines.append(f'{call}"{piece.name}");')
    return [s.indent + line if line else line for line in lines]


def include_exercise(lines: List[str]) -> List[str]:
    """Behind the last #include: the declaration of what stubs call."""
    last = max(i for i, line in enumerate(lines) if line.startswith("#include"))
    return [*lines[: last + 1], "#include <inc/exercise.h>", *lines[last + 1 :]]


def without_solutions(parts: List[Part], ex: int) -> str:
    """The file's text for a student who is to begin with exercise ex."""
    out: List[str] = []
    stubs = False
    for part in parts:
        if isinstance(part, str):
            if part or not out or out[-1]:  # where a section went, one blank line is enough
                out.append(part)
        elif part.solved(ex):
            out += part.text
        elif part.name:
            out += stub(part)
            calls = part.piece.stops and not part.piece.instead
            stubs |= calls and not part.path.endswith(".S")
    return "\n".join(include_exercise(out) if stubs else out)
