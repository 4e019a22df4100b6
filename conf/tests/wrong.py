"""Wrong solutions: the grader takes points for each of them, in its exercise.

One tree is patched for one after the other, so only what a patch touches is compiled. All exercises are
graded, so that points which are lost elsewhere show, too.
"""

from pathlib import Path
from typing import Dict

from jos.grade import Bench, check, check_that
from lab import tree, wrong

from .common import TOP
from .graded import Grade, grade_tree, maxima, scores


def lost(grade: Grade) -> Dict[int, int]:
    """Points that are missing, by exercise."""
    got = scores(grade)
    return {exercise: points - got[exercise] for exercise, points in maxima(grade).items()}


def caught(solution: wrong.Wrong, folder: Path, *arguments: str) -> str:
    """The grader takes points where it has to, and not elsewhere. arguments: for make."""
    points = lost(grade_tree(folder, tree.SOLVED, solution.path, (), *arguments))
    faults = wrong.misjudged(solution, points)
    words = f"points to be lost in exercise {solution.exercise}"
    check_that(not faults, words, "\n".join(faults))
    return "points lost: " + ", ".join(f"ex{k} {n}" for k, n in points.items() if n)


@check("Wrong solutions", 0, "the instructor's chapter names every patch, and no other")
def all_are_named(_: Bench) -> None:
    text = (TOP / "doc/lab/instructor.md").read_text()
    table = text.split("| patch | mistake | seen as |\n| --- | --- | --- |\n")[1]
    named = [name for row in table.splitlines() for name in row.split("|")[1].strip().split(", ")]
    patches = [entry.name for entry in wrong.all_wrong()]
    check_that(sorted(named) == sorted(patches), f"these patches: {sorted(patches)}", sorted(named))


def register(solution: wrong.Wrong) -> None:
    @check("Wrong solutions", 0, f"{solution.name}: {solution.words}", lane="bochs")
    def in_its_exercise(bench: Bench) -> str:
        return caught(solution, bench.obj / "handout")


for entry in wrong.all_wrong():
    register(entry)
