"""Challenges: their tests pass on the solution, and find what is missing where they are open."""

from pathlib import Path

from jos.grade import Bench, check, check_that
from lab import tree
from lab.pieces import CHALLENGE, LAST_EXERCISE, PIECES
from lab.source import Section, parse, without_solutions

from .common import host
from .graded import maxima, run_grader, scores
from .handout import build, runs_gos

LIMIT = 300  # seconds


def challenges_open() -> tree.Handout:
    """The tree in which all exercises are solved, and no challenge."""
    handout = tree.make(LAST_EXERCISE)
    for name in {section.path for section in handout.cut}:
        parts = []
        for part in parse(name, tree.read(tree.TOP / name)):
            solved = isinstance(part, Section) and part.level == LAST_EXERCISE
            parts += part.text if solved else [part]
        handout.files[name] = without_solutions(parts, LAST_EXERCISE)
    return handout


def names() -> list:
    return [piece.name for piece in PIECES.values() if piece.exercise == CHALLENGE]


@check("Challenges", 0, "all of their tests pass on the solution", lane="bochs")
def solved(bench: Bench) -> None:
    done = host(["./grade-lab4", "--no-build", "--obj", bench.obj, "challenges"], LIMIT)
    check_that(done.returncode == 0, "every challenge to pass", done.stdout)
    check_that(f"{len(names())} passed, 0 failed" in done.stdout, "a test for each", done.stdout)


def still_open(folder: Path) -> None:
    done = host([folder / "grade-lab4", "--no-build", "challenges"], LIMIT)
    check_that(f"0 passed, {len(names())} failed" in done.stdout, "every test to fail", done.stdout)


@check("Challenges", 0, "where they are open gOS runs, their tests fail, and the score is 100 all the same", lane="bochs")
def unsolved(bench: Bench) -> None:
    folder = bench.obj / "handout"
    tree.update_folder(challenges_open(), folder)
    build(folder)
    runs_gos(bench, folder)
    grade = run_grader(folder)
    check_that(scores(grade) == maxima(grade), "full points", scores(grade))
    still_open(folder)
