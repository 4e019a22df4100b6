"""Bochs: slow and exact, with VT-x on any machine, or with SVM.

Debian's Bochs has the internal debugger, which wants commands at the start: `c` to run, and `q` for
when it is interrupted or the machine has ended.
"""

import signal
from pathlib import Path
from string import Template
from typing import List, Optional

from .machine import CONF, Config

SHARE = Path("/usr/share/bochs")
DEFAULT_CPU = "corei7_haswell_4770"
SVM_CPU = "ryzen"  # AMD's, with SVM and nested paging
MAX_HOST_MEM = 1024  # MiB of guest memory that Bochs keeps in RAM; the rest goes to a file


class Bochs:
    name = "bochs"
    accel = ""
    busy_idle = True  # its time is emulated, and an idle CPU is the quickest to emulate

    def command(self, config: Config, work: Path, port: int) -> List[str]:
        disks = []
        if config.kernel:
            disks.append(disk("ata0-master", config.kernel))
        if config.fs:
            disks.append(disk("ata0-slave", config.fs))
        if config.iso:
            disks.append(f'ata1-master: type=cdrom, path="{config.iso.resolve()}", status=inserted')
        template = Template((CONF / "bochsrc.in").read_text())
        (work / "bochsrc").write_text(
            template.substitute(
                display="x" if config.window else 'rfb, options="timeout=0"',
                mem=config.mem,
                mem_host=min(config.mem, MAX_HOST_MEM),
                bios=config.bios or SHARE / "BIOS-bochs-latest",
                cpu=config.cpu or DEFAULT_CPU,
                cpus=config.cpus,
                ips=config.ips,
                boot="cdrom" if config.iso else "disk",
                disks="\n".join(disks),
                port=port,
                serial2=serial(2, config.serial2),
                serial3=serial(3, config.serial3),
                debug=", serial=report, CPU0=report" if config.trace else "",
                info=", biosdev=report" if config.trace else "",
            )
        )
        (work / "debugger.rc").write_text("c\nq\n")
        return ["bochs-bin", "-q", "-unlock", "-f", "bochsrc", "-rc", "debugger.rc"]

    def stop_signal(self) -> int:
        return signal.SIGINT

    def logs(self, work: Path) -> List[Path]:
        return [work / "bochs.log"]


def serial(number: int, port: Optional[int]) -> str:
    """A further serial port, connected to a TCP port, or the line that there is none."""
    if port is None:
        return f"com{number}: enabled=0"
    return f"com{number}: enabled=1, mode=socket-client, dev=127.0.0.1:{port}"


def disk(place: str, image: Path) -> str:
    return f'{place}: type=disk, path="{image.resolve()}", mode=flat, cylinders=0'
