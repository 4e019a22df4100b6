"""What the guide may name: files, identifiers, targets of make, commands of the shells and gdb, messages."""

import re
from typing import Dict, Iterable, List, Set

from lab.pieces import PIECES

# Words that are neither in the source nor commands: formulas, keys and patterns of names.
EXCLUDED = {
    "(host & keep) | set",
    "$ ",
    "^]",
}
BUILTINS = {"cd", "exit", "help", "history", "wait"}
HOST_COMMANDS = {"man", "git", "patch", "tar", "grep"}
GDB = {"break", "hbreak", "continue", "finish", "info", "print", "print/x", "stepi", "backtrace", "x/i", "symbol-file"}
GDB_COMMANDS = re.compile(r'^    name = "([\w-]+)"', re.MULTILINE)
TARGET = re.compile(r"^##? ?([a-z][\w-]*)", re.MULTILINE)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
FORMAT = re.compile(r"%[-#0 +]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|t)?[a-zA-Z%]")
PATH = re.compile(r"(?:boot|conf|doc|fs|inc|kern|lib|user|vmm)/\S*$")
FILE = re.compile(r"\b(?:boot|conf|doc|fs|inc|kern|lib|user|vmm)/[\w/.-]+\.[chS]\b")
UNDERSCORED = re.compile(r"\b[A-Za-z]\w*_\w+\b")
CODE = re.compile(r"(?:struct |enum )?[^\s]+|\w+ (?:[-+|&<>=]+ \w+)+|\w+\(.*\)")
ENOUGH, MUCH = 6, 12  # characters of a message without its variable parts


def prints(format_text: str, words: str) -> bool:
    """Could this format have printed these words? Most of them must be its own."""
    fixed = FORMAT.split(format_text)
    own = sum(len(part.strip()) for part in fixed)
    if len(fixed) < 2 or own < ENOUGH or (own * 2 < len(words) and own < MUCH):
        return False
    return re.search(".+".join(map(re.escape, fixed)), words) is not None


class Names:
    """files: where names are looked up, by path; whole: the files that have the messages."""

    def __init__(self, files: Dict[str, str], whole: Dict[str, str]) -> None:
        self.paths: Set[str] = set(files)
        self.folders = {path.rsplit("/", 1)[0] for path in files if "/" in path}
        self.folders |= {folder.split("/")[0] for folder in self.folders}
        self.words: Set[str] = set()
        for path, text in files.items():
            if not path.startswith(("doc/", "conf/lab/")):  # what is looked up does not count
                self.words.update(re.findall(r"\w+", text))
        makefile = files["conf/Makefrag"]
        self.targets = set(TARGET.findall(makefile)) | {"NAME"}
        self.make_words = set(re.findall(r"[A-Z]\w+", makefile + files["boot/Makefrag"]))
        self.files = files
        self.gdb = GDB | set(GDB_COMMANDS.findall("\n".join(
            text for path, text in files.items() if path.startswith("conf/gdbcmds/"))))
        self.programs = {re.sub(r"^user/(.*)\.c$", r"\1", p) for p in files if re.fullmatch(r"user/[\w-]+\.c", p)}
        self.messages = list(self.literals(whole))

    def literals(self, files: Dict[str, str]) -> Iterable[str]:
        """String literals of the C code and of scripts, those side by side joined."""
        for path, text in files.items():
            if path.endswith((".c", ".h", ".py")) or "." not in path:
                for row in re.finditer(r'(?:"(?:[^"\\\n]|\\.)*"\s*(?:VMX_ADVICE\s*)?)+', text):
                    yield "".join(LITERAL.findall(row[0])).replace("\\n", "").replace('\\"', '"')

    def is_message(self, words: str) -> bool:
        """Could the system print this? `...` and N stand for any text."""
        parts = [part.strip() for part in re.split(r"\.\.\.|\bN\b", words)]
        if sum(map(len, parts)) < ENOUGH:
            return False
        piece = re.fullmatch(r"exercise (\d): (\w+) is not implemented yet", words)
        if piece:
            return piece[2] in PIECES and PIECES[piece[2]].exercise == int(piece[1])
        quoted = re.compile(".*".join(map(re.escape, parts)))
        return any(quoted.search(text) or prints(text, words) for text in self.messages)

    def is_path(self, words: str) -> bool:
        name = words.rstrip("/")
        return name in self.paths or name in self.folders or f"{name}.c" in self.paths

    def unknown_in(self, text: str) -> List[str]:
        """The files, and the names with an underscore, in a text without backticks that are not there."""
        files = [word for word in FILE.findall(text) if not self.is_path(word)]
        return files + [word for word in UNDERSCORED.findall(text) if word not in self.words]

    def is_code(self, text: str) -> bool:
        """Every identifier in it is one of the source."""
        found = re.findall(r"[A-Za-z_]\w*", text)
        return bool(found) and CODE.fullmatch(text) is not None and all(word in self.words for word in found)

    def is_make(self, words: List[str]) -> bool:
        return words[0] == "make" and all(
            word.split("=")[0] in self.make_words if "=" in word else self.is_target(word)
            for word in words[1:]
            if not word.startswith("-")
        )

    def is_target(self, word: str) -> bool:
        help_text = "\n".join(
            line for line in self.files["conf/Makefrag"].split("\n") if line.startswith("## "))
        return word in self.targets or bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", help_text))

    def is_script(self, words: List[str]) -> bool:
        """conf/run bochs --cpu X: the file is there, and knows its options."""
        name = words[0].removeprefix("./")
        if name not in self.paths:
            return False
        options = [word.split("=")[0] for word in words[1:] if word.startswith("-")]
        return all(option in self.files[name] for option in options)

    def is_program(self, words: List[str]) -> bool:
        """A program of hOS with options that it knows, or a command of its shell."""
        if words[0] in BUILTINS:
            return True
        if words[0] not in self.programs:
            return False
        text = "\n".join(t for path, t in self.files.items() if path.startswith(f"user/{words[0]}"))
        options = [word for word in words[1:] if re.match(r"-\w", word)]
        return all(re.search(rf"(?<!\w){option}\b", text) for option in options)

    def is_gdb(self, words: List[str]) -> bool:
        rest = [w for w in words[1:] if re.fullmatch(r"[a-z]\w*", w)]
        return words[0] in self.gdb and all(w in self.words or w in self.gdb for w in rest)

    def knows(self, words: str) -> bool:
        """Is it there, as what its first word says that it is?"""
        parts = words.split()
        if words in EXCLUDED or parts[0] in HOST_COMMANDS or self.is_path(words):
            return True
        if PATH.match(words):
            return False
        if len(parts) == 1:
            return self.is_program(parts) or self.is_gdb(parts) or self.is_code(words)
        if parts[0] == "make":
            return self.is_make(parts)
        if parts[0].removeprefix("./") in self.paths:
            return self.is_script(parts)
        return (
            self.is_program(parts) or self.is_gdb(parts) or self.is_code(words) or self.is_message(words)
        )
