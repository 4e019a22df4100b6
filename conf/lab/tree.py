"""The student's tree: which files are handed out, and writing them as a folder and as a tarball."""

import gzip
import io
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from .leak import Secrets, check_tarball, check_tree
from .pieces import PIECES
from .source import LabError, Section, parse, sections, without_solutions

TOP = Path(__file__).resolve().parent.parent.parent
OWN = Path(__file__).resolve().parent / "tree"  # what only the handout has
TOP_FOLDER = "handout"  # in the tarball
MTIME = 1700000000  # of everything in the tarball: two of them are identical
SOLVED = 8  # EX of the complete tree

# Tracked files that students get. What is not listed stays at home: conf/ and doc/ by the file,
# code by the folder. vmm/svm/ does what the exercises are about once more, so it stays, too.
HANDED_OUT = re.compile(
    r"(boot|fs|inc|kern(?!/race)|lib|user(?!/vmm/host/)|vmm(?!/svm/|/test/\w*svm))/.*"
    r"|conf/(Makefrag|bochsrc\.in|doc|doc\.css|gdb|grub\.cfg|kernimg|mksymtab|need|run|setup|tools)"
    r"|conf/(gdb\w*/\w+\.py|gdb-tmux|guest\.gdb|exitplot)"
    r"|conf/jos/(?!costs|rows|bench|encodings)\w+\.py"
    r"|conf/tests/(__init__|common|lab\w*)\.py"
    r"|doc/debugging\.md|doc/lab/(?!instructor).*"
    r"|GNUmakefile|LICENSE|grade-lab4|\.clang-format|\.gdbinit\.tmpl|\.gitignore"
)
# Only where an exercise is still to be done.
FOR_EXERCISES = ("inc/exercise.h", "kern/exercise.c", "lib/exercise.c")


@dataclass
class Handout:
    """A student's tree in memory."""

    ex: int
    files: Dict[str, str]
    kept: Dict[str, str]  # the project's files, without the text that takes the place of solutions
    executable: List[str]
    cut: List[Section]
    secrets: Secrets


def tracked_files() -> List[str]:
    done = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-z"], stdout=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        raise LabError("the handout is made of the files that git tracks; this is no clone")
    return sorted(name for name in done.stdout.decode().split("\0") if name)


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise LabError(f"{path}: not a text file") from None


def check_complete(found: List[Section]) -> None:
    """Every piece is marked once."""
    names = [section.name for section in found if section.name]
    for name in PIECES:
        if names.count(name) != 1:
            raise LabError(f"{name} is marked {names.count(name)} times in the source, not once")


def make(ex: int) -> Handout:
    """The tree for a student who begins with exercise ex. Raises LabError."""
    if not 0 <= ex <= SOLVED:
        raise LabError(f"EX={ex}: there are exercises 0 to 7; EX=8 has all of them solved")
    files: Dict[str, str] = {}
    found: List[Section] = []
    executable = []
    for name in tracked_files():
        if not HANDED_OUT.fullmatch(name):
            continue
        parts = parse(name, read(TOP / name))
        found += sections(parts)
        files[name] = without_solutions(parts, ex)
        if (TOP / name).stat().st_mode & 0o100:
            executable.append(name)
    check_complete(found)
    cut = [section for section in found if not section.solved(ex)]
    kept = kept_code(files, cut, ex)
    secrets = Secrets(cut, kept)
    for path in sorted(OWN.rglob("*")):
        name = path.relative_to(OWN).as_posix()
        if path.is_file() and (ex < SOLVED or name not in FOR_EXERCISES):
            files[name] = read(path).replace("@EX@", str(ex))
    return Handout(ex, dict(sorted(files.items())), kept, executable, cut, secrets)


def kept_code(files: Dict[str, str], cut: List[Section], ex: int) -> Dict[str, str]:
    """The code that stays, without the text that takes the place of solutions."""
    kept = dict(files)
    for name in {section.path for section in cut}:
        parts = parse(name, read(TOP / name))
        lines: List[str] = []
        for part in parts:
            if isinstance(part, str):
                lines.append(part)
            elif part.solved(ex):
                lines += part.text
        kept[name] = "\n".join(lines)
    return kept


def update_folder(handout: Handout, folder: Path) -> None:
    """Turn the folder of another handout into this one; what has not changed, and obj/, stays."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith("obj") and name not in handout.files:
            path.unlink()
    for name, text in handout.files.items():
        path = folder / name
        if path.exists() and path.read_bytes() == text.encode():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(0o755 if name in handout.executable else 0o644)


def write_folder(handout: Handout, folder: Path) -> None:
    """Replace the folder, unless somebody works there."""
    if (folder / ".git").exists():
        raise LabError(f"{folder}: somebody works there (it has a .git); move it away first")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    update_folder(handout, folder)


def write_tarball(handout: Handout, tarball: Path) -> None:
    """Sorted, with one time and no owner: the same source gives the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in handout.files.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{TOP_FOLDER}/{name}")
            member.size, member.mtime = len(data), MTIME
            member.mode = 0o755 if name in handout.executable else 0o644
            archive.addfile(member, io.BytesIO(data))
    with open(tarball, "wb") as file, gzip.GzipFile("", "wb", 9, file, MTIME) as packed:
        packed.write(stream.getvalue())


def findings(handout: Handout, folder: Path, tarball: Path) -> List[str]:
    """Text of solutions in what was written, in words. Nothing: none."""
    return check_tree(handout.secrets, folder) + check_tarball(handout.secrets, tarball)
