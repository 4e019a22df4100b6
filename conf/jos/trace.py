"""What happened when, from Bochs' own log (Config.trace): bytes on the serial line and VM exits, each
with its tick. The kernel takes no part in it, so its own counters can be compared."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Tuple

LINE = re.compile(
    r"^(\d+)[die]\[(?:SER   \] com1: (?P<way>write|read) byte \[0x(?P<byte>..)\]"
    r"|CPU0  \] (?P<exit>VMEXIT reason)"
    r"|CPU0  \] (?P<ept>VMEXIT: EPT violation)"
    r"|BIOS  \] (?P<boot>Booting from 0000:7c00))"
)


@dataclass
class Trace:
    """Text on the line with a tick for each character, and the ticks of VM exits."""

    output: str = ""
    output_ticks: List[int] = field(default_factory=list)
    input: List[Tuple[int, str]] = field(default_factory=list)
    exits: List[int] = field(default_factory=list)
    ept_violations: List[int] = field(default_factory=list)
    boot: int = 0  # when the BIOS entered the boot sector

    def shown(self, text: str, after: int = 0) -> int:
        """Tick at which the machine had written text, the first time after this tick."""
        start = next(i for i, tick in enumerate(self.output_ticks) if tick >= after)
        place = self.output.index(text, start)
        return self.output_ticks[place + len(text) - 1]

    def typed(self, char: str, number: int) -> int:
        """Tick at which the machine read the number-th (from 0) such character."""
        return [tick for tick, c in self.input if c == char][number]


def read_trace(log: Path) -> Trace:
    trace = Trace()
    with open(log, errors="replace") as lines:
        for line in lines:
            found = LINE.match(line)
            if not found:
                continue
            tick = int(found.group(1))
            if found["way"] == "write":
                trace.output += chr(int(found["byte"], 16))
                trace.output_ticks.append(tick)
            elif found["way"] == "read":
                trace.input.append((tick, chr(int(found["byte"], 16))))
            elif found["boot"]:
                trace.boot = tick
            elif found["ept"]:
                trace.ept_violations.append(tick)
            else:
                trace.exits.append(tick)
    return trace
