"""An initramfs: a cpio archive in the "newc" format, as Linux' Documentation/driver-api/early-userspace has it."""

import stat
from typing import Dict, List, Union

ALIGN = 4
DIRECTORY, PROGRAM = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
TRAILER = "TRAILER!!!"


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)


def member(name: str, mode: int, data: bytes, inode: int) -> bytes:
    """Header, name and contents."""
    encoded = name.encode() + b"\0"
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + encoded) + padded(data)


def archive(folders: List[str], files: Dict[str, Union[bytes, str]]) -> bytes:
    """Folders first, then files, all executable."""
    members = [(name, DIRECTORY, b"") for name in folders]
    for name, data in files.items():
        members.append((name, PROGRAM, data.encode() if isinstance(data, str) else data))
    members.append((TRAILER, 0, b""))
    return b"".join(member(*row, inode) for inode, row in enumerate(members, 1))
