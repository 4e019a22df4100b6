"""QEMU's control socket: key presses, and memory such as the text screen's."""

import json
import socket
from pathlib import Path
from typing import List

KEYS = {" ": "spc", "\n": "ret", "-": "minus", ".": "dot", "/": "slash"}
SCREEN = 0xB8000
COLUMNS, ROWS = 80, 25


def arguments(path: Path) -> List[str]:
    """For QEMU's command line."""
    return ["-qmp", f"unix:{path},server=on,wait=off"]


class Qmp:
    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rw")
        self.file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self) -> "Qmp":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def execute(self, command: str, **parameters: object) -> object:
        """Run a command; its result. Events that come in between are skipped."""
        self.file.write(json.dumps({"execute": command, "arguments": parameters}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise OSError(f"QMP {command}: {answer['error']['desc']}")

    def press(self, char: str) -> None:
        """Press and release the key of a character."""
        name = KEYS.get(char, char.lower())
        keys = (["shift"] if char.isupper() else []) + [name]
        self.execute("send-key", keys=[{"type": "qcode", "data": key} for key in keys])

    def screen(self, scratch: Path) -> str:
        """What the VGA text screen shows."""
        self.execute("pmemsave", val=SCREEN, size=COLUMNS * ROWS * 2, filename=str(scratch))
        text = scratch.read_bytes()[::2].decode("latin-1")
        return "\n".join(text[i : i + COLUMNS].rstrip() for i in range(0, len(text), COLUMNS))
