"""What several test files share: the usual machines, and a test program's verdict."""

import os
import random
import re
import secrets
import socket
import struct
import subprocess
from pathlib import Path
from typing import Dict, List

from jos import limits
from jos.bochs import Bochs
from jos.grade import Bench, check_that
from jos.machine import CONF, Machine
from jos.qemu import Tcg
from jos.session import HOS, Session

TOP = CONF.parent
CTRL_C = "\x03"
CANCELED = 130  # the shell's status of what Ctrl-C has ended


def qemu(bench: Bench) -> Session:
    """hOS in QEMU, shared by the checks that need no VT-x."""
    return bench.session("qemu", Tcg)


def bochs(bench: Bench) -> Session:
    """hOS in Bochs with VT-x, whatever the platform of the check."""
    return bench.session("bochs", Bochs)


def hos(bench: Bench, name: str = "", **settings: object) -> Session:
    """hOS on the platform of the running check, shared by all checks that want the same of it. One that is not
    as usual has a name."""
    platform = bench.platform
    name = f"{platform.key}-{name}" if name else platform.key
    return bench.session(name, platform.emulator, **{**platform.settings, **settings})


def own_machine(bench: Bench, name: str, **settings: object) -> Machine:
    """A machine of the running check's own, of its platform, to be used in a with block."""
    platform = bench.platform
    return bench.machine(f"{name}-{platform.key}", platform.emulator, **{**platform.settings, **settings})


def nonce() -> str:
    """A word that no program can know."""
    return secrets.token_hex(6)


def cancel(session: Session, command: str, seen: str, prompt: str = HOS) -> str:
    """Run a command line, and press Ctrl-C once it has printed this; what it printed after that. Its status is 130."""
    machine = session.ready()
    machine.sendline(command)
    machine.expect(f"\n{seen}\n")
    machine.send(CTRL_C)
    text = session.until(prompt, 30)
    status = session.status(prompt)
    check_that(status == CANCELED, f"status {CANCELED} after Ctrl-C in {command!r}", f"{status}\n{text}")
    return text


def running(session: Session, program: str, prompt: str = HOS) -> int:
    """How many envs of this name have not ended."""
    return len(re.findall(rf"(?m)^\w+ \w+ (?!ended|dying).* {program}$", session.sh("ps", prompt=prompt)))


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def passes(session: Session, program: str, limit: float = 60, prompt: str = HOS) -> str:
    """A test program says `NAME: ok` and exits with 0."""
    name = program.split()[0]
    text = session.sh(program, limit, prompt)
    check_that(f"{name}: ok" in text and "FAILED" not in text, f"`{name}: ok`", text)
    status = session.status(prompt)
    check_that(status == 0, f"exit status 0 from {name}", f"{status}\n{text}")
    return text


def host(command: List[object], limit: float = 240) -> "subprocess.CompletedProcess[str]":
    """Run a command on the build machine, in the project's folder; output and errors together."""
    return limits.run(command, limit, TOP)


def make(obj: Path, *arguments: str, limit: float = 240) -> "subprocess.CompletedProcess[str]":
    """make with this output folder, named as a user would: the flags, and so the need to build,
    depend on the name."""
    clean = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "O"]
    return host([*clean, "make", f"O={os.path.relpath(obj, TOP)}", *arguments], limit)


def disk_with(bench: Bench, name: str, files: Dict[str, Path], size: str = "64M") -> Path:
    """fs.img with these files as well, or instead of others, by their paths there."""
    words = (bench.obj / ".args-fs.img").read_text().split()
    image = bench.folder / name
    place = next(number for number, word in enumerate(words) if word.endswith("/fs.img"))
    others = [word for word in words[place + 1 :] if word.rsplit(":", 1)[-1] not in files]
    mine = [f"{path}:{target}" for target, path in files.items()]
    done = host([bench.obj / "fs/mkfs", "-c", "-s", size, image, *others, *mine])
    check_that(done.returncode == 0, "mkfs to succeed", done.stdout)
    return image


# ---- A line to gdb that somebody else uses
ABRUPT = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
NOISE_BYTES = 600
OVERSIZE = 3000


def packet(text: str) -> bytes:
    """In the frame of gdb's remote protocol."""
    return f"${text}#{sum(text.encode()) % 256:02x}".encode()


def send_and_vanish(port: int, data: bytes, answer: bytes = b"") -> None:
    """Send bytes to a port of gdb's, read until the answer comes, and reset the connection."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.settimeout(60)
        line.sendall(data)
        got = b""
        while answer not in got:
            part = line.recv(4096)
            check_that(bool(part), f"{answer!r} on the line", repr(got))
            got += part
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)


def line_noise(port: int, seed: int) -> None:
    """What a bad cable may send to a gdb stub; each part ends in the middle of something."""
    dice = random.Random(seed).randbytes(NOISE_BYTES)
    oversize = packet("m" + "0" * OVERSIZE)
    for data in (oversize, b"$g#00", b"$g#6x", b"+$?#3f+--", dice, b"$m0,4#"):
        send_and_vanish(port, data)


def dying_gdb(port: int, address: str) -> None:
    """A gdb that has turned acknowledgements off, and dies while it reads memory."""
    send_and_vanish(port, b"+" + packet("qSupported"), b"PacketSize")
    send_and_vanish(port, b"+" + packet("QStartNoAckMode"), b"$OK#9a")
    send_and_vanish(port, packet(f"m{address},400"), b"$")
