"""The guide says what is true: its sessions are typed into the real system, its names are looked up."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from jos import limits
from jos.bochs import Bochs
from jos.errors import MachineError
from jos.grade import Bench, Mismatch, check, check_that
from jos.guestport import GuestPort
from jos.machine import Machine
from jos.qemu import Tcg, gdb_arguments
from jos.session import HOS
from lab import guide, partial, tree
from lab.guide import Block, Step
from lab.pieces import PIECES

from . import handout
from .common import TOP, free_port, host
from .names import Names

GUIDE = TOP / "doc/lab"
INSTRUCTOR = "instructor.md"
SOLVED = tree.SOLVED
SHELL_LIMIT = 120
COMMAND_LIMIT = 60  # s of emulation for a line typed
GDB_LIMIT = 120

PROMPT = re.compile(r"(?:\A|(?<=\n))(?:hOS\$ |gOS\$ |K> )\Z")
OFF = re.compile(r"Powered off with status \d+\.\n")
EMULATORS = {"bochs": Bochs, "qemu": Tcg}
CONTROL = re.compile(r"\^([A-Z\\\]])")


def images(obj: Path) -> dict:
    return {"kernel": obj / "kernel.img", "fs": obj / "fs.img"}


def chapters() -> List[Path]:
    return sorted(GUIDE.glob("*.md"))


def all_blocks() -> List[Block]:
    return [b for path in chapters() for b in guide.blocks(path, f"doc/lab/{path.name}")]


def compare(block: Block, step: Step, seen: str) -> None:
    """What was answered must be what the guide says."""
    wrong = guide.difference(step.answer, seen, block.options.get("numbers") == "any")
    if wrong is not None:
        what = f"`{step.typed}`" if step.typed else "the start"
        raise Mismatch(f"{block.where}: after {what}, expected the line\n{wrong}\nsaw\n{seen}")


# ---- Consoles


class Console:
    """A machine on which the blocks of one configuration are typed, started when one needs it."""

    def __init__(self, bench: Bench, obj: Path, key: Tuple[str, ...]) -> None:
        self.bench = bench
        self.obj = obj
        self.emulator, self.cmdline, self.cpu, self.cpus = key
        self.machine: Optional[Machine] = None
        self.boots = 0
        self.boot_text = ""

    def start(self) -> None:
        self.end()
        self.boots += 1
        settings = {"cmdline": self.cmdline, "cpu": self.cpu, "cpus": int(self.cpus), "one_thread": True}
        settings.update(images(self.obj))
        machine = self.bench.machine(f"guide-{self.boots}", EMULATORS[self.emulator], **settings)
        machine.start()
        self.machine = machine
        self.boot_text = self.wait()

    def wait(self) -> str:
        """What is printed up to the next prompt, or up to the machine's end."""
        assert self.machine
        console = self.machine.console
        start = console.pos
        found = self.machine.expect(re.compile(f"{PROMPT.pattern}|{OFF.pattern}"), COMMAND_LIMIT)
        if OFF.fullmatch(found[0]):
            self.machine.wait_exit()
            text = console.text[start : found.end()]
            self.end()
            return text
        return console.text[start : found.start()]

    def type(self, words: str) -> str:
        assert self.machine
        key = CONTROL.fullmatch(words)
        if key:
            self.machine.send(chr(ord(key[1]) & 0x1F))
            return self.wait()
        self.machine.sendline(words)
        text = self.wait()
        return text.split("\n", 1)[1] if "\n" in text else ""

    def at(self, prompt: Optional[str]) -> bool:
        """Is this prompt there? None: is the machine gone?"""
        if self.machine is None or prompt is None:
            return self.machine is None and prompt is None
        return self.machine.console.text.endswith(prompt + " ")

    def run(self, block: Block) -> None:
        todo = guide.steps(block)
        if self.machine is None or todo[0].typed is None or not self.at("hOS$"):
            self.start()
        for step in todo:
            seen = self.boot_text if step.typed is None else self.type(step.typed)
            compare(block, step, seen)
            at_end = step is todo[-1] and step.prompt is None and self.machine is not None
            check_that(
                self.at(step.prompt) or at_end and block.lines[-1] == guide.ANYTHING,
                f"{block.where}: {step.prompt or 'the end of the machine'} after `{step.typed}`",
                seen,
            )

    def end(self) -> None:
        if self.machine:
            self.machine.close()
        self.machine = None


def machine_of(block: Block) -> Tuple[str, ...]:
    options = block.options
    return (options.get("emu", "bochs"), options.get("cmdline", ""), options.get("cpu", ""), options.get("cpus", "1"))


def type_blocks(bench: Bench, obj: Path, blocks: List[Block]) -> None:
    """Blocks of one tree. Those that begin with the machine's start come first on their machine."""
    by_machine: Dict[Tuple[str, ...], List[Block]] = {}
    for block in blocks:
        by_machine.setdefault(machine_of(block), []).append(block)
    for key, members in by_machine.items():
        console = Console(bench, obj, key)
        try:
            for block in sorted(members, key=lambda b: guide.steps(b)[0].typed is not None):
                console.run(block)
        finally:
            console.end()


# ---- The build machine, gdb


def run_shell(folder: Path, block: Block) -> None:
    for step in guide.steps(block):
        done = limits.run(["bash", "-c", step.typed or ""], SHELL_LIMIT, folder)
        compare(block, step, done.stdout)


def gdb_start(bench: Bench, obj: Path, block: Block, stack: ExitStack) -> List[str]:
    """Start the machine of a gdb block; gdb's first commands."""
    emulator = EMULATORS[block.options.get("emu", "bochs")]
    if block.options.get("on") == "guest":
        port = stack.enter_context(GuestPort())
        machine = bench.machine("guide-gdb", emulator, serial3=port.machine_port, **images(obj))
        stack.enter_context(machine).expect(HOS, COMMAND_LIMIT)
        machine.sendline("vmm -g")
        machine.expect("waits at its entry for gdb on serial port COM3\n", COMMAND_LIMIT)
        return [f"source {TOP}/conf/guest.gdb", f"symbol-file {obj}/kern/kernel.sym", f"target remote 127.0.0.1:{port.port}"]
    start = (TOP / ".gdbinit.tmpl").read_text().replace("@OBJ@", str(obj))
    if emulator is Tcg:
        number = free_port()
        settings = {"cmdline": "run=vmm", "extra": gdb_arguments(number), "one_thread": True}
    else:
        port = stack.enter_context(GuestPort())
        number = port.port
        settings = {"cmdline": "gdb run=vmm", "serial2": port.machine_port}
    stack.enter_context(bench.machine("guide-gdb", emulator, **settings, **images(obj)))
    return [start.replace("@PORT@", str(number))]


def run_gdb(bench: Bench, folder: Path, obj: Path, block: Block) -> None:
    """gdb as make starts it; a mark after each command."""
    todo = guide.steps(block)
    with ExitStack() as stack:
        script = bench.folder / "guide.gdb"
        lines = gdb_start(bench, obj, block, stack) + ["set height 0", "set width 0"]
        for number, step in enumerate(todo):
            lines += [f"echo <<{number}>>\\n", step.typed or ""]
        script.write_text("\n".join([*lines, "echo <<end>>\\n", "kill"]))
        done = limits.run(["gdb", "-nx", "-q", "-batch", "-x", script], GDB_LIMIT, folder)
    parts = re.split(r"<<(?:\d+|end)>>\n", done.stdout)[1:]
    check_that(len(parts) > len(todo), f"{block.where}: all commands to succeed in gdb", done.stdout)
    for step, seen in zip(todo, parts):
        compare(block, step, seen)


def fault(block: Block, files: Dict[str, str]) -> str:
    """What is wrong with a block, as far as no machine is needed to know. "": nothing."""
    if block.kind not in guide.KINDS:
        return f"a block of no kind: {block.kind}"
    if block.kind in guide.PROMPTS:
        return "" if guide.steps(block) else "nothing in the block"
    if block.kind != "c":
        return ""
    seen = " ".join(files.get(block.options.get("file", ""), "").split())
    return "" if " ".join(" ".join(block.lines).split()) in seen else "not the words of the file"


def check_tree(bench: Bench, folder: Path, blocks: List[Block]) -> None:
    """Everything that the guide does in one tree."""
    ex, also = guide.tree_of(blocks[0])
    obj = folder / "obj"
    if ex == guide.PROJECT:
        folder, obj = TOP, bench.obj
    else:
        folder.mkdir(parents=True, exist_ok=True)
        tree.update_folder(partial.make(ex, also), folder)
        handout.build(folder)
    for block in blocks:
        if block.kind == "shell":
            run_shell(folder, block)
        elif block.kind == "gdb":
            run_gdb(bench, folder, obj, block)
    type_blocks(bench, obj, [b for b in blocks if b.kind == "console"])


def run_sessions(bench: Bench, found: List[Block]) -> None:
    """Type all that is a session, each in its tree."""
    by_tree: Dict[Tuple[int, Tuple[str, ...]], List[Block]] = {}
    for block in found:
        if block.kind in guide.PROMPTS:
            by_tree.setdefault(guide.tree_of(block), []).append(block)
    wrong = []
    for key in sorted(by_tree, key=lambda key: (key[0], len(key[1]))):
        try:
            check_tree(bench, bench.obj / "guide", by_tree[key])
        except (Mismatch, MachineError) as error:
            wrong.append(f"tree={'+'.join([str(key[0]), *key[1]])}: {error}")
    check_that(not wrong, "every session to go as the guide says", "\n".join(wrong))


@check("Guide", 0, "every session in the guide goes as it says, in the tree that it is about")
def sessions(bench: Bench) -> None:
    run_sessions(bench, all_blocks())


def has_session(block: Block) -> bool:
    prompts = [prompt for kind in ("console", "gdb") for prompt in guide.PROMPTS[kind]]
    return any(line.strip().startswith(prompt) for line in block.lines for prompt in prompts)


@check("Guide", 0, "every session in README.md and doc/debugging.md goes as it says")
def other_sessions(bench: Bench) -> None:
    found = [block for name in ("README.md", "doc/debugging.md") for block in guide.blocks(TOP / name, name)]
    loose = [b.where for b in found if b.kind not in guide.PROMPTS and has_session(b) and "linux" not in b.lines[0]]
    check_that(not loose, "every session to be in a block of a kind that is tested", "\n".join(loose))
    run_sessions(bench, found)


@check("Guide", 0, "every file, name, command, message and line of code in the guide and in the exercises' texts is there in the student's tree")
def names(bench: Bench) -> None:
    solved = tree.make(SOLVED).files
    handout = tree.make(0)
    student = Names({**handout.files, **handout.kept}, solved)
    texts = [name for name in tree.tracked_files() if (TOP / name).exists() and "/corpus/" not in name]
    everything = {name: tree.read(TOP / name) for name in texts}
    instructor = Names(everything, everything)
    faults = [(block, fault(block, solved)) for block in all_blocks()]
    unknown = [f"{block.where}: {words}" for block, words in faults if words]
    for path in chapters():
        known = instructor if path.name == INSTRUCTOR else student
        for line, words, is_message in guide.spans(path):
            if not (known.is_message(words) if is_message else known.knows(words)):
                unknown.append(f"doc/lab/{path.name}:{line}: {words}")
    for block in (block for block in all_blocks() if block.kind == "diagram"):
        unknown += [f"{block.where}: {word}" for word in student.unknown_in("\n".join(block.lines))]
    for piece in PIECES.values():
        for text in (*piece.task, *piece.read, *piece.hints):
            unknown += [f"{piece.name} in conf/lab/pieces.py: {word}" for word in student.unknown_in(text)]
    check_that(not unknown, "only what there is", "\n".join(unknown))


@check("Guide", 0, "make doc renders every chapter of both trees into one file without links to others")
def rendered(bench: Bench) -> None:
    for top in (TOP, bench.folder / "guide-tree"):
        if top != TOP:
            tree.write_folder(tree.make(0), top)
        page = bench.folder / "lab.html"
        done = host([top / "conf/doc", page])
        check_that(done.returncode == 0, "conf/doc to succeed", done.stdout)
        text = page.read_text()
        for path in (top / "doc/lab").glob("*.md"):
            check_that(f'id="{path.stem}"' in text, f"the chapter {path.stem}")
        outside = re.findall(r'(?:href|src)="(?!#|https?:|data:)([^"]*)"', text)
        check_that(not outside, "no link to another file", outside)
        has = 'id="instructor"' in text
        check_that(has == (top == TOP), "the instructor's chapter in the project's page only")
