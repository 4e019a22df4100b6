"""How long a test waits: limits that do not fail on a machine that has other things to do.

A limit is in seconds of CPU time of what is waited for. What hangs uses no CPU time, or little, so there is a
limit by the clock as well, some times as long; while more threads want to run than there are CPUs, that clock goes
slower, by as much.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List

from .errors import TimeUp, tail

WALL_FACTOR = 4
WALL_EXTRA = 20
POLL_SECONDS = 0.5  # how often limits are looked at
TICKS = os.sysconf("SC_CLK_TCK")


def share_of_cpu() -> float:
    """The part of a CPU that a thread gets now, at most 1."""
    running = int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])
    return min(1.0, (os.cpu_count() or 1) / max(1, running))


class Patience:
    """Ends after `limit` seconds of what `spent` counts, or when the clock has gone on for too long. To be asked
    often: the clock goes by how busy the machine is then."""

    def __init__(self, limit: float, spent: Callable[[], float]) -> None:
        self.limit = limit
        self.spent = spent
        self.start = spent()
        self.began = self.asked = time.monotonic()
        self.waited = 0.0  # s of a machine that nobody else uses

    def is_over(self) -> bool:
        now = time.monotonic()
        self.waited += (now - self.asked) * share_of_cpu()
        self.asked = now
        return self.spent() - self.start > self.limit or self.waited > self.limit * WALL_FACTOR + WALL_EXTRA

    def __str__(self) -> str:
        used, clock = self.spent() - self.start, time.monotonic() - self.began
        return f"{used:.0f} s of CPU time ({clock:.0f} s by the clock)"


def stat_fields(pid: int) -> List[str]:
    """From /proc/PID/stat: the state and what follows it; nothing if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, 0 if it is gone."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def family(pid: int) -> Dict[int, List[str]]:
    """A process and all below it: their stat fields."""
    children: Dict[int, Dict[int, List[str]]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = stat_fields(int(entry.name))
        if fields:
            children.setdefault(int(fields[1]), {})[int(entry.name)] = fields
    found: Dict[int, List[str]] = {}
    new = {pid: stat_fields(pid)}
    while new:
        found.update(new)
        new = {number: fields for parent in new for number, fields in children.get(parent, {}).items()}
    return {number: fields for number, fields in found.items() if fields}


def family_seconds(pid: int) -> float:
    """CPU time of a process, of all below it, and of those of them that have ended."""
    return sum(sum(map(int, fields[11:15])) for fields in family(pid).values()) / TICKS


def end_family(process: "subprocess.Popen[str]") -> None:
    """End a process of ours and all below it; nothing if it has ended."""
    for pid in family(process.pid) if process.poll() is None else ():
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    process.wait()


def run(
    command: List[object], limit: float, cwd: Path, errors_apart: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, without input; its output and errors together, or apart. Raises TimeUp when it takes
    more than `limit` seconds of CPU time."""
    words = [str(part) for part in command]
    errors = subprocess.PIPE if errors_apart else subprocess.STDOUT
    with subprocess.Popen(
        words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
    ) as process:
        patience = Patience(limit, lambda: family_seconds(process.pid))
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=POLL_SECONDS)
                    return subprocess.CompletedProcess(words, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    if patience.is_over():
                        break
        finally:
            took = str(patience)
            end_family(process)
        said = tail(process.communicate()[0] or "(nothing)")
    raise TimeUp(f"`{' '.join(words)}` had not ended after {took}; it said\n{said}")
