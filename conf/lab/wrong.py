"""Wrong solutions: patches against the solution, each with one mistake that students make.

conf/lab/wrong/NAME.patch begins with

    Exercise 2: what is wrong, in words
    May also lose points: 3 4

and the difference follows, as `diff -u` writes it. The exercise has to lose points by it, those of the
second line may (`-`: none), and no other. None of them is ever handed out.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List

from .source import LabError

FOLDER = Path(__file__).resolve().parent / "wrong"
HEAD = re.compile(r"Exercise ([0-7]): (.+)\nMay also lose points: ([0-7 ]+|-)\n\n--- a/")


@dataclass(frozen=True)
class Wrong:
    """One wrong solution."""

    exercise: int
    words: str
    also: FrozenSet[int]  # exercises that may lose points by it, too
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem


def read(path: Path) -> Wrong:
    text = path.read_text()
    head = HEAD.match(text)
    if not head:
        raise LabError(f"{path.name}: the first lines are not as conf/lab/wrong.py says")
    also = frozenset(map(int, head[3].replace("-", "").split()))
    return Wrong(int(head[1]), head[2], also, path)


def all_wrong() -> List[Wrong]:
    """In the order of exercises."""
    found = [read(path) for path in sorted(FOLDER.glob("*.patch"))]
    return sorted(found, key=lambda wrong: wrong.exercise)


def misjudged(wrong: Wrong, lost: Dict[int, int]) -> List[str]:
    """What is wrong with these losses, in words. Nothing: the mistake was caught where it is."""
    found = []
    if lost.get(wrong.exercise, 0) == 0:
        found.append(f"exercise {wrong.exercise} lost no point")
    for exercise, points in sorted(lost.items()):
        if points > 0 and exercise != wrong.exercise and exercise not in wrong.also:
            found.append(f"exercise {exercise} lost {points} points")
    return found
