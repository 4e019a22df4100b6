"""Trees of the lab, built and graded as a student would: the score of each EX, and of wrong solutions.

A folder is turned from one tree into the next, so that only what differs is compiled.
"""

import json
import subprocess
from pathlib import Path
from typing import Dict, Iterable, Optional

from jos.grade import Bench, check, check_that
from lab import tree

from .common import TOP
from .handout import build

GRADE_LIMIT = 300
Grade = Dict[str, object]  # what grade-lab4 --json writes


def apply(folder: Path, patch: Path) -> None:
    """Apply a patch of the solution's source to the folder of a tree."""
    command = ["patch", "-p1", "--no-backup-if-mismatch", "-s", "-d", folder, "-i", patch.resolve()]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    check_that(done.returncode == 0, f"{patch.name} to apply", done.stdout + done.stderr)


def grade_tree(
    folder: Path,
    ex: int,
    patch: Optional[Path] = None,
    exercises: Iterable[int] = (),
    *arguments: str,
) -> Grade:
    """Turn the folder into the tree of EX=ex, with the patch; build it and grade it, or some exercises
    of it. arguments: for make."""
    folder.mkdir(parents=True, exist_ok=True)
    tree.update_folder(tree.make(ex), folder)
    if patch:
        apply(folder, patch)
    build(folder, *arguments)
    return run_grader(folder, *(f"ex{number}" for number in exercises))


def run_grader(folder: Path, *words: str) -> Grade:
    """What `grade-lab4 --json` writes in the folder, and nothing else."""
    command = ["./grade-lab4", "--json", *words]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GRADE_LIMIT,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        check_that(False, "JSON and nothing else on standard output", done.stdout + done.stderr)
        raise


def scores(grade: Grade) -> Dict[int, int]:
    """The score of each exercise."""
    return {row["exercise"]: row["score"] for row in grade["exercises"]}


def maxima(grade: Grade) -> Dict[int, int]:
    return {row["exercise"]: row["max"] for row in grade["exercises"]}


def failed(grade: Grade) -> Dict[int, list]:
    """By exercise, the names of the checks that failed."""
    rows = {row["exercise"]: [c["check"] for c in row["checks"] if not c["passed"]] for row in grade["exercises"]}
    return {number: names for number, names in rows.items() if names}


def scores_exactly(grade: Grade, ex: int) -> None:
    """Full points for the exercises that are solved in the tree of EX=ex, none for the others."""
    wanted = {k: points if k < ex else 0 for k, points in maxima(grade).items()}
    check_that(scores(grade) == wanted, f"these scores for EX={ex}: {wanted}", f"{scores(grade)}\n{failed(grade)}")
    check_that(grade["score"] == sum(wanted.values()), f"the sum {sum(wanted.values())}", grade["score"])
    check_that(grade["max"] == 100, "100 points", grade["max"])


@check("Handout", 0, "on the tree of each EX, the grader gives exactly the points of what is solved", lane="bochs")
def trees_are_graded(bench: Bench) -> None:
    folder = bench.obj / "handout"
    for ex in reversed(range(tree.SOLVED + 1)):
        scores_exactly(grade_tree(folder, ex), ex)
