"""A student's work on a fresh handout: only the files that have exercises are the student's."""

from pathlib import Path
from typing import List

from . import tree
from .source import LabError


def exercise_files() -> List[str]:
    """The files in which students work."""
    return sorted({section.path for section in tree.make(0).cut})


def assemble(student: Path) -> tree.Handout:
    """The handout of EX=0 with the student's files in their places. Raises LabError."""
    handout = tree.make(0)
    for name in exercise_files():
        path = student / name
        if not path.is_file():
            raise LabError(f"{path} is missing: {student} is not a student's tree")
        handout.files[name] = tree.read(path)
    return handout


def write(student: Path, folder: Path) -> None:
    """Write that tree; what was compiled in the folder before stays, where it can."""
    if folder.resolve() == student.resolve():
        raise LabError(f"{folder}: the student's own tree is not to be changed")
    folder.mkdir(parents=True, exist_ok=True)
    tree.update_folder(assemble(student), folder)
