"""Proof that a handout has no text of a solution.

The lines of every section that was cut out are looked for in every file of the tree, whatever its
kind, and in the tarball. White space does not count. Three things are a leak:

- a line that kept code does not have by itself, anywhere, also as a part of a longer line;
- some lines of a solution in a row, also where each of them alone is common: three, or in code,
  which may well do the same thing twice, eight;
- a marker, a binary file, or a file that no handout has (.git, objects).
"""

import re
import tarfile
from pathlib import Path
from typing import Dict, Iterable, List, Set, Tuple

from .source import ANY_MARKER, Section

SHORT = 16  # characters: a shorter line says nothing
SHORT_RUN = 40  # the same for lines together
RUN, CODE_RUN = 3, 8
CODE = (".c", ".h", ".S")
FORBIDDEN = re.compile(
    r"(^|/)(\.git|\.ci|obj[^/]*|__pycache__)(/|$)|\.(o|a|d|img|iso|log|patch|pyc)$"
)


def normal(line: str) -> str:
    return " ".join(line.split())


def normal_lines(text: Iterable[str]) -> List[str]:
    return [line for line in map(normal, text) if line]


def runs(lines: List[str], length: int) -> Set[Tuple[str, ...]]:
    """So many lines that follow each other, at every place."""
    rows = (tuple(lines[i : i + length]) for i in range(len(lines) - length + 1))
    return {row for row in rows if sum(map(len, row)) >= SHORT_RUN}


class Secrets:
    """What must not be found: the sections that were cut, less what kept code has by itself."""

    def __init__(self, cut: List[Section], kept: Dict[str, str]) -> None:
        code = "\n".join(normal(text) for path, text in kept.items() if path.endswith(CODE))
        self.lines: Dict[str, Section] = {}
        self.runs: Dict[Tuple[str, ...], Section] = {}
        self.blind: List[Section] = []  # sections without a line of their own
        for section in cut:
            lines = normal_lines(section.text)
            own = [line for line in lines if len(line) >= SHORT and line not in code]
            self.lines.update((line, section) for line in own)
            for length in (RUN, CODE_RUN):
                self.runs.update((row, section) for row in runs(lines, length))
            if not own:
                self.blind.append(section)

    def findings(self, path: str, data: bytes) -> List[str]:
        """What is wrong with a file of the handout, in words."""
        if FORBIDDEN.search(path):
            return [f"{path}: no handout has such a file"]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return [f"{path}: a binary file"]
        if "\0" in text:
            return [f"{path}: a binary file"]
        found = [f"{path}: a marker"] if ANY_MARKER.search(text) and path.endswith(CODE) else []
        whole = normal(text)
        for line, section in self.lines.items():
            if line in whole:
                found.append(f"{path}: line of {section.path}:{section.line}: {line}")
        length = CODE_RUN if path.endswith(CODE) else RUN
        for row in runs(normal_lines(text.split("\n")), length) & self.runs.keys():
            section = self.runs[row]
            found.append(f"{path}: lines of {section.path}:{section.line}: {row[0]} ...")
        return found


def check_tree(secrets: Secrets, folder: Path) -> List[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found += secrets.findings(path.relative_to(folder).as_posix(), path.read_bytes())
    return found


def check_tarball(secrets: Secrets, tarball: Path) -> List[str]:
    found = []
    with tarfile.open(tarball) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream:
                found += secrets.findings(member.name.split("/", 1)[1], stream.read())
    return found
