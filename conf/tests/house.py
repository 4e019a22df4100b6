"""The house: who may include whom, how large a circle of includes or a file may be. It reads the source only."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from jos.grade import Bench, check, check_that

from .common import TOP

ROOMS = ("boot", "fs", "inc", "kern", "lib", "net", "user", "vmm")  # folders of code
# What files below a folder may include; the longest folder that fits counts.
MAY_INCLUDE = {
    "boot": ("boot/", "inc/"),
    "inc": ("inc/",),
    "lib": ("lib/", "inc/"),
    "user": ("user/", "inc/"),
    "user/vmm/host": ("user/", "inc/", "vmm/apic_insn.h"),  # two decoders beside each other
    "net": ("net/", "lib/", "inc/"),
    "fs": ("fs/", "inc/"),
    "fs/core": ("fs/core/", "inc/"),
    "fs/server": ("fs/server/", "fs/core/", "inc/"),
    "fs/host": ("fs/host/", "fs/core/", "inc/"),
    "kern": ("kern/", "inc/", "vmm/guest.h"),
    "vmm": ("vmm/", "kern/", "inc/"),
}
BACK_ENDS = ("vmm/vmx/", "vmm/svm/")
HOOKS = "kern/hooks.h"
MOST_HOOKS = 10
VMM_INIT = "vmm/init.c"  # registers; may include both back ends
# Who may include headers of tests, to start them at a boot word.
STARTS_TESTS = (VMM_INIT, "vmm/vmx/backend.c", "vmm/svm/backend.c")
LARGEST_CIRCLE = 16
MOST_LINES = 800
MOST_VMM_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


@dataclass
class Source:
    """A file: its path, its lines, and which files of the project it includes, with line numbers."""

    path: str
    text: str
    includes: Dict[str, int] = field(default_factory=dict)

    def code(self) -> List[str]:
        """The lines without comments and strings."""
        blank = COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)
        return STRING.sub('""', blank).split("\n")


@lru_cache(maxsize=None)
def sources(top: Path = TOP) -> Dict[str, Source]:
    """All C and assembly of the project, by path."""
    found = {}
    for room in ROOMS:
        for path in sorted((top / room).rglob("*.[chS]")):
            name = path.relative_to(top).as_posix()
            found[name] = Source(name, path.read_text(encoding="utf-8", errors="replace"))
    for source in found.values():
        for number, line in enumerate(source.text.split("\n"), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            beside = Path(source.path).parent / match[2]
            for name in (match[2], beside.as_posix()):
                if name in found or (match[1] == "<" and name.startswith(ROOMS) and "/" in name):
                    source.includes.setdefault(name, number)
                    break
    return found


def verdict(faults: List[str]) -> None:
    check_that(not faults, "no such line", "\n".join(faults))


def edges(faulty: Callable[[str, str], Optional[str]]) -> Iterator[str]:
    """An edge is a fault if `faulty` has words for it."""
    for source in sources().values():
        for name, number in source.includes.items():
            rule = faulty(source.path, name)
            if rule:
                yield f"{source.path}:{number}: includes {name}: {rule}"


def below(path: str, folders: Tuple[str, ...]) -> bool:
    return path.startswith(folders)


# ---- Who includes whom


def wrong_room(path: str, name: str) -> Optional[str]:
    if name.endswith("asm-offsets.h"):
        return None  # generated beside what it is about
    room = max((room for room in MAY_INCLUDE if path.startswith(room + "/")), key=len)
    if below(name, MAY_INCLUDE[room]):
        return None
    return f"{room}/ includes only {', '.join(MAY_INCLUDE[room])}"


@check("House", 0, "each room includes only what is below it, and kern/ of vmm/ only guest.h")
def rooms(bench: Bench) -> None:
    verdict(list(edges(wrong_room)))


@check("House", 0, "kern/ calls up to vmm/ through ten registered hooks at most")
def hooks(bench: Bench) -> None:
    found = [
        f"{HOOKS}:{number}: hook {number_of}: {line.strip()}"
        for number_of, (number, line) in enumerate(hook_lines(), 1)
        if number_of > MOST_HOOKS
    ]
    verdict(found)
    check_that(hook_lines(), f"function pointers in {HOOKS}")


def hook_lines() -> List[Tuple[int, str]]:
    lines = sources()[HOOKS].code()
    return [(number, line) for number, line in enumerate(lines, 1) if re.match(r"\s+\S.*\(\*\w+\)\(", line)]


def back_ends_mixed(path: str, name: str) -> Optional[str]:
    mine = [folder for folder in BACK_ENDS if path.startswith(folder)]
    its = [folder for folder in BACK_ENDS if name.startswith(folder)]
    return "the back ends know nothing of each other" if mine and its and mine != its else None


@check("House", 0, "vmx/ and svm/ never include each other")
def back_ends(bench: Bench) -> None:
    verdict(list(edges(back_ends_mixed)))


def is_generic(path: str) -> bool:
    """Does this file have to know nothing of a vendor?"""
    if below(path, ("inc/", "user/")):
        return not path.startswith("user/guests/")
    return path.startswith("vmm/") and not below(path, BACK_ENDS + ("vmm/test/",)) and path != VMM_INIT


def vendor_included(path: str, name: str) -> Optional[str]:
    if is_generic(path) and below(name, BACK_ENDS):
        return "only the back ends, their tests and vmm/init.c know a vendor"
    return None


@check("House", 0, "generic vmm/, inc/ and user/ name no field of a VMCS or VMCB")
def no_vendor(bench: Bench) -> None:
    faults = list(edges(vendor_included))
    for source in sources().values():
        if not is_generic(source.path):
            continue
        for number, line in enumerate(source.code(), 1):
            match = re.search(r"\bVMC[SB]_[A-Z]\w*", line)
            if match:
                faults.append(f"{source.path}:{number}: names {match[0]}: a field is its back end's affair")
    verdict(faults)


def test_included(path: str, name: str) -> Optional[str]:
    parts = Path(path).parts
    if "test" not in Path(name).parts[:-1] or "test" in parts[:-1] or path in STARTS_TESTS:
        return None
    return "test code is started only by a boot word, in " + ", ".join(STARTS_TESTS)


@check("House", 0, "nothing includes test code but what a boot word starts")
def tests_apart(bench: Bench) -> None:
    verdict(list(edges(test_included)))


@check("House", 0, "emulators and gdb meet at 127.0.0.1, not at a name that a system without /etc/hosts does not know")
def no_host_names(bench: Bench) -> None:
    faults = []
    for path in (TOP / ".gdbinit.tmpl", TOP / "GNUmakefile", *sorted((TOP / "conf").rglob("*"))):
        if path == Path(__file__) or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
            if "localhost" in line:
                faults.append(f"{path.relative_to(TOP)}:{number}: {line.strip()}")
    verdict(faults)


# ---- Circles


def module(path: str) -> str:
    """A .c or .S file and the header of its name are one."""
    return path.rsplit(".", 1)[0]


def circles(graph: Dict[str, Set[str]]) -> List[List[str]]:
    """Sets of modules that all reach each other: two walks over the graph, the second one against the
    edges, in the order in which the first one finished."""
    against: Dict[str, Set[str]] = {node: set() for node in graph}
    for node, others in graph.items():
        for other in others:
            against[other].add(node)

    def reach(start: str, way: Dict[str, Set[str]], seen: Set[str]) -> List[str]:
        """What start reaches, in the order in which all that it reaches is done."""
        done = []
        path = [(start, iter(sorted(way[start])))]
        seen.add(start)
        while path:
            node, rest = path[-1]
            other = next((o for o in rest if o not in seen), None)
            if other is None:
                done.append(node)
                path.pop()
            else:
                seen.add(other)
                path.append((other, iter(sorted(way[other]))))
        return done

    seen: Set[str] = set()
    order = [done for node in sorted(graph) if node not in seen for done in reach(node, graph, seen)]
    seen = set()
    sets = [reach(node, against, seen) for node in reversed(order) if node not in seen]
    return sorted((sorted(found) for found in sets if len(found) > 1), key=len, reverse=True)


@check("House", 0, f"no circle of includes has more than {LARGEST_CIRCLE} modules")
def small_circles(bench: Bench) -> None:
    graph: Dict[str, Set[str]] = {module(path): set() for path in sources()}
    for source in sources().values():
        known = {module(name) for name in source.includes if name in sources()}
        graph[module(source.path)] |= known - {module(source.path)}
    large = [found for found in circles(graph) if len(found) > LARGEST_CIRCLE]
    verdict([f"a circle of {len(found)} modules: {' '.join(found)}" for found in large])


# ---- Sizes and state


@check("House", 0, f"no file has more than {MOST_LINES} lines, none of vmm/ more than {MOST_VMM_LINES}")
def sizes(bench: Bench) -> None:
    faults = []
    for source in sources().values():
        lines = source.text.count("\n")
        most = MOST_VMM_LINES if source.path.startswith("vmm/") else MOST_LINES
        if lines > most:
            faults.append(f"{source.path}:{most + 1}: line {most + 1} of {lines}: the most is {most}")
    verdict(faults)


# A variable of static storage that is not const itself: `static struct Uart uart;`, `static int a[4] = {`,
# `static const char *p;`, `static struct {`.
STATE = re.compile(
    r"^\s*static\s+(?!inline\b|const\b[^*]*(=|;|\{|$)|.*\*\s*const\b)[^()]*?(\w\s*(\[[^\]]*\]\s*)*(=|;)|\{)"
)


@check("House", 0, "no device model has mutable static state")
def devices_without_state(bench: Bench) -> None:
    faults = []
    for source in sources().values():
        if not source.path.startswith("user/vmm/dev/"):
            continue
        lines = source.code()
        for number, line in enumerate(lines, 1):
            if STATE.match(line):
                faults.append(f"{source.path}:{number}: {line.strip()}: a device's state is in its struct")
    verdict(faults)
