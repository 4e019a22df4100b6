"""Trees of the lab, built and graded as a student would: the score of each EX, and of wrong solutions.

A folder is turned from one tree into the next, so that only what differs is compiled.
"""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterable, Optional

from jos import limits
from jos.grade import CHECKS, Bench, check, check_match, check_that
from lab import submission, tree

from .common import TOP
from .handout import build

GRADE_LIMIT = 900  # seconds; it takes 12
Grade = Dict[str, object]  # what grade-lab4 --json writes, and "said": the words on standard error


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
    command = ["./grade-lab4", "--no-build", "--json", *words]
    done = limits.run(command, GRADE_LIMIT, folder, errors_apart=True)
    try:
        return {**json.loads(done.stdout), "said": done.stderr}
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


def names_next(grade: Grade, ex: int) -> None:
    """The grader points at the first exercise that is left, if there is one."""
    said = re.findall(r"^Next: exercise (\d): .*\(doc/lab/exercise-\1\.md#\w+\)$", str(grade["said"]), re.MULTILINE)
    wanted = [str(ex)] if ex < tree.SOLVED else []
    check_that(said == wanted, f"these exercises as the next one: {wanted}", grade["said"])


@check("Handout", 0, "on the tree of each EX, the grader gives exactly the points of what is solved, and names the next step", lane="bochs")
def trees_are_graded(bench: Bench) -> str:
    """As a student's day goes: one exercise after the other, in one folder."""
    folder = bench.obj / "handout"
    cycles = []
    for ex in range(tree.SOLVED + 1):
        start = time.monotonic()
        grade = grade_tree(folder, ex)
        scores_exactly(grade, ex)
        names_next(grade, ex)
        cycles.append(time.monotonic() - start)
    return f"the slowest cycle of `make` and the grader took {max(cycles[1:]):.0f} s"


@check("Handout", 0, "changed tests count for nothing when an instructor grades a student's tree", lane="bochs")
def instructor_grades(bench: Bench) -> None:
    student = bench.obj / "student"
    work = tree.make(1)
    for name in ("user/guests/lab.c", "vmm/test/lab.c", "conf/tests/lab.py", "GNUmakefile"):
        work.files[name] = "changed"
    tree.write_folder(work, student)
    fresh, seen = tree.make(0).files, submission.assemble(student).files
    changed = {name for name in seen if seen[name] != fresh[name]}
    check_that(changed, "the student's own files", changed)
    check_that(changed <= set(submission.exercise_files()), "no other file", changed)
    folder = bench.obj / "handout"
    tree.update_folder(tree.make(0), folder)
    submission.write(student, folder)
    build(folder)
    scores_exactly(run_grader(folder), 1)


@check("Handout", 0, "every check of an exercise points at a section of the guide")
def guide_is_there(_: Bench) -> None:
    for item in (item for item in CHECKS if item.guide):
        path, _, section = item.guide.partition("#")
        text = (TOP / path).read_text()
        check_match(rf"^## .*\b{section}\b", text)
