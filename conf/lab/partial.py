"""Trees between two exercises: that of EX in which single functions are solved, too."""

import re
from typing import Iterable, List

from . import tree
from .source import Part, Section, parse, sections, without_solutions

# Functions and macros that a section defines.
DEFINED = re.compile(r"^(?:#define (\w+)|[A-Za-z].*\b(\w+)\()", re.MULTILINE)


def helps(section: Section, solved: str) -> bool:
    """Does a solution use what this section, which has no name, defines?"""
    names = {macro or function for macro, function in DEFINED.findall("\n".join(section.text))}
    return any(re.search(rf"\b{name}\b", solved) for name in names)


def with_solutions(parts: List[Part], also: Iterable[str]) -> List[Part]:
    """The parts of a file; solved sections are lines like others."""
    solved = "\n".join(line for s in sections(parts) if s.name in also for line in s.text)
    out: List[Part] = []
    for part in parts:
        if isinstance(part, Section) and (part.name in also or not part.name and helps(part, solved)):
            out += part.text
        else:
            out.append(part)
    return out


def make(ex: int, also: Iterable[str]) -> tree.Handout:
    """The tree of EX=ex with these functions solved. Raises LabError."""
    handout = tree.make(ex)
    for name in {section.path for section in handout.cut}:
        parts = parse(name, tree.read(tree.TOP / name))
        handout.files[name] = without_solutions(with_solutions(parts, also), ex)
    return handout
