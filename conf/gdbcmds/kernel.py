"""Commands about the kernel and its programs: envs, add-env, pt."""

import subprocess
from pathlib import Path
from typing import List, Optional, Tuple

import gdb

from .base import ADDRESS, KERNEL, PAGE, Command, Complaint, cpu, enum_name, envs, evaluate, number
from .base import need_kernel, need_machine, read_entry, words
from .mode import register
from .place import PLACE

PTE_WORDS = [
    (KERNEL["PTE_P"], "present"),
    (KERNEL["PTE_W"], "writable"),
    (KERNEL["PTE_U"], "user"),
    (KERNEL["PTE_PWT"], "write-through"),
    (KERNEL["PTE_PCD"], "uncached"),
    (KERNEL["PTE_A"], "accessed"),
    (KERNEL["PTE_D"], "dirty"),
    (KERNEL["PTE_G"], "global"),
    (KERNEL["PTE_NX"], "no-execute"),
]
LEAF_WORDS = [
    (KERNEL["PTE_KEEP"], "keep"),
    (KERNEL["PTE_SHARE"], "share"),
    (KERNEL["PTE_COW"], "copy-on-write"),
]
TABLES = ("PT", "PD", "PDPT", "PML4")
CR0_PG = KERNEL["CR0_PG"]


class Envs(Command):
    """envs: the environments, one a line.

    Id, parent, status, what it waits for, type, CPU, pages, runs, the place where it goes on, name.
    A star marks those that have a CPU now."""

    name = "envs"

    def run(self, arguments: List[str]) -> None:
        need_kernel()
        running = [int(evaluate(f"cpus[{i}]")["cpu_env"]) for i in range(int(evaluate("ncpu")))]
        found = envs()
        if not found:
            print("There are no envs yet: the kernel has not come so far.")
            return
        print("  id       parent   status       waits     type  cpu  pages      runs rip              name")
        for env in found:
            mark = "*" if int(env.address) in running else " "
            waits = enum_name("enum EnvWait", int(env["env_wait"]), "WAIT_")
            print(
                f"{mark} {int(env['env_id']):08x} {int(env['env_parent_id']):08x} "
                f"{enum_name('enum EnvStatus', int(env['env_status']), 'ENV_'):12} "
                f"{'-' if waits == 'none' else waits:9} "
                f"{enum_name('enum EnvType', int(env['env_type']), 'ENV_TYPE_'):5} "
                f"{int(env['env_cpunum']):3} {int(env['env_pages']):6} {int(env['env_runs']):9} "
                f"{int(env['env_tf']['tf_rip']):016x} {env['env_name'].string()}"
            )


class AddEnv(Command):
    """add-env NAME: load the symbols of a user program, instead of those of the last one.

    NAME is the program's name, e.g. `add-env sh`, or `fs` for the file server. All programs lie at the same
    addresses, so gdb knows one at a time, and a breakpoint in it stops every program that has code
    there. `break main if $env_is("sh")` stops sh alone."""

    name = "add-env"
    loaded = ""

    def program(self, name: str) -> Path:
        folder = Path(gdb.objfiles()[0].filename).parent.parent  # of the kernel's symbol file
        for path in (folder / "user" / f"{name}.sym", folder / "fs" / f"{name}.sym"):
            if path.exists():
                return path
        known = sorted(p.stem for place in ("user", "fs") for p in (folder / place).glob("*.sym"))
        raise Complaint(f"there is no program {name}; there are {', '.join(known)}")

    def text_address(self, path: Path) -> int:
        listing = subprocess.run(
            ["readelf", "-SW", path], capture_output=True, text=True, check=False
        ).stdout
        for line in listing.splitlines():
            fields = line.replace("[ ", "[").split()
            if len(fields) > 3 and fields[1] == ".text":
                return int(fields[3], 16)
        raise Complaint(f"{path} has no program code")

    def run(self, arguments: List[str]) -> None:
        if len(arguments) != 1:
            raise Complaint("name one program, e.g. `add-env sh`")
        path = self.program(arguments[0])
        address = self.text_address(path)
        if AddEnv.loaded:
            gdb.execute(f"remove-symbol-file {AddEnv.loaded}", to_string=True)
            AddEnv.loaded = ""
        gdb.execute(f"add-symbol-file {path} {address:#x}", to_string=True)
        AddEnv.loaded = str(path)
        print(f"Symbols of {arguments[0]}, whose code lies at {address:#x}.")


class EnvIs(gdb.Function):
    """$env_is("NAME"): does the env with this name have the CPU?"""

    def __init__(self) -> None:
        super().__init__("env_is")

    def invoke(self, name: gdb.Value) -> bool:
        env = cpu()["cpu_env"]
        return int(env) != 0 and env["env_name"].string() == name.string()


def describe(entry: int, level: int) -> str:
    """The bits of a page-table entry in words."""
    if not entry & KERNEL["PTE_P"]:
        return "not present"
    names = PTE_WORDS if level else PTE_WORDS + LEAF_WORDS
    if level and entry & KERNEL["PTE_PS"]:
        return "large page, " + words(entry, names)
    return words(entry, names)


def walk(root: int, va: int) -> Tuple[Optional[int], List[str]]:
    """Where the tables at physical address root take va, and a line for each level."""
    lines, table = [], root & ADDRESS
    for level in (3, 2, 1, 0):
        shift = 12 + 9 * level
        index = va >> shift & 511
        entry = read_entry(table, index)
        lines.append(f"{TABLES[level]:4} {table:012x} [{index:3}] = {entry:016x}  {describe(entry, level)}")
        if not entry & KERNEL["PTE_P"]:
            return None, lines
        if level == 0 or (level < 3 and entry & KERNEL["PTE_PS"]):
            offset = (1 << shift) - 1
            return (entry & ADDRESS & ~offset) | (va & offset), lines
        table = entry & ADDRESS
    return None, lines


class Pt(Command):
    """pt VA [ENV]: how the page tables translate a virtual address, level by level.

    Takes the tables that the CPU uses now, or those of the env with this id (see `envs`). Each line has the
    table, the index, the entry and its bits in words."""

    name = "pt"

    def run(self, arguments: List[str]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise Complaint("name an address, and maybe an env's id")
        need_machine()
        va = number(arguments[0], "address")
        pa, lines = walk(self.root(arguments[1:]), va)
        print("\n".join(lines))
        if pa is None:
            print(f"{va:#x} is not mapped.")
        else:
            print(f"{va:#x} is physical {pa:#x}.")

    def root(self, which: List[str]) -> int:
        if which:
            try:
                wanted = int(which[0], 16)
            except ValueError:
                raise Complaint(f"{which[0]} is no env's id, which is hexadecimal; `envs` lists them") from None
            for env in envs():
                if int(env["env_id"]) == wanted and int(env["env_cr3"]):
                    return int(env["env_cr3"])
            raise Complaint(f"no env {which[0]} has an address space; `envs` lists them")
        place = PLACE.now()
        if place:
            raise Complaint(f"guest {place.name} has the CPU, and its tables are in its own memory; name an env of hOS's")
        cr0, cr3 = register("cr0"), register("cr3")
        if cr0 is not None and not cr0 & CR0_PG:
            raise Complaint("paging is still off: addresses are physical")
        return cr3 if cr3 is not None else int(cpu()["cpu_cr3"])


assert PAGE == KERNEL["PGSIZE"]
for command in (Envs, AddEnv, Pt):
    command.register()
EnvIs()
