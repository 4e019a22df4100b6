"""The kernel in a bzImage: its ELF file, which the bzImage has compressed ("The Linux/x86 Boot Protocol")."""

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from typing import Callable, List, Tuple

from kvm.errors import CdError

SETUP_SECTS, MAGIC_AT, VERSION, PAYLOAD = 0x1F1, 0x202, 0x206, 0x248  # offsets of fields of the header
HEADER_END = 0x250
MAGIC = b"HdrS"
PAYLOAD_SINCE = 0x208  # protocol
SECTOR = 512
ELF = b"\x7fELF"
PHOFF, SHOFF, PHENTSIZE, SHNUM = 32, 40, 54, 60  # in the header of an ELF64 file
P_OFFSET, P_FILESZ, PT_LOAD = 8, 32, 1  # in a program header; a type
LENGTH_WORD = 4  # the kernel's build puts the length of the contents after what a tool has compressed


def by_tool(command: List[str]) -> Callable[[bytes], bytes]:
    """A program as a filter."""

    def run(data: bytes) -> bytes:
        if not shutil.which(command[0]):
            raise CdError(f"{command[0]} is missing: install the package {command[0]}")
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode != 0:
            raise CdError(f"`{' '.join(command)}` failed on the kernel: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    return run


# First bytes, what unpacks it, and whether the length follows (gzip has it itself).
FORMATS: List[Tuple[bytes, Callable[[bytes], bytes], bool]] = [
    (b"\x02\x21\x4c\x18", by_tool(["lz4", "-dc"]), True),
    (b"\x28\xb5\x2f\xfd", by_tool(["zstd", "-dcq"]), True),
    (b"\x1f\x8b", gzip.decompress, False),
    (b"\xfd7zXZ\x00", lzma.decompress, True),
    (b"\x5d\x00\x00", lzma.decompress, True),
    (b"BZh", bz2.decompress, True),
]


def payload(image: bytes) -> bytes:
    """The compressed kernel. Raises CdError."""
    if len(image) < HEADER_END or image[MAGIC_AT : MAGIC_AT + 4] != MAGIC:
        raise CdError("it is no bzImage")
    (version,) = struct.unpack_from("<H", image, VERSION)
    if version < PAYLOAD_SINCE:
        raise CdError("its boot protocol is older than 2.08, which does not say where the kernel is")
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    at = ((image[SETUP_SECTS] or 4) + 1) * SECTOR + offset
    if length == 0 or at + length > len(image):
        raise CdError("its payload is not inside the file")
    return image[at : at + length]


def unpacked(image: bytes) -> bytes:
    """The ELF file in a bzImage, whole. Raises CdError."""
    packed = payload(image)
    for magic, unpack, has_length in FORMATS:
        if packed.startswith(magic):
            try:
                elf = unpack(packed[:-LENGTH_WORD] if has_length else packed)
            except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
                raise CdError(f"its kernel cannot be unpacked: {error}") from None
            break
    else:
        raise CdError(f"its kernel is packed in an unknown way ({packed[:4].hex()})")
    if not elf.startswith(ELF):
        raise CdError("what it has packed is no ELF file")
    return elf


def vmlinux(image: bytes) -> bytes:
    """The same as a guest's kernel. Raises CdError."""
    return trimmed(unpacked(image))


def trimmed(elf: bytes) -> bytes:
    """Without what a loader would read in vain: zeroes at the ends of segments, and the section table."""
    image = bytearray(elf)
    (phoff,) = struct.unpack_from("<Q", image, PHOFF)
    phentsize, phnum = struct.unpack_from("<HH", image, PHENTSIZE)
    end = phoff + phentsize * phnum
    for at in range(phoff, end, phentsize):
        (kind,) = struct.unpack_from("<I", image, at)
        (offset,) = struct.unpack_from("<Q", image, at + P_OFFSET)
        (filesz,) = struct.unpack_from("<Q", image, at + P_FILESZ)
        if kind == PT_LOAD:
            filesz = len(elf[offset : offset + filesz].rstrip(b"\0"))
            struct.pack_into("<Q", image, at + P_FILESZ, filesz)
        end = max(end, offset + filesz)
    struct.pack_into("<Q", image, SHOFF, 0)
    struct.pack_into("<HH", image, SHNUM, 0, 0)
    return bytes(image[:end])


def compressed(data: bytes) -> bytes:
    """As Linux unpacks it fastest. Raises CdError."""
    return by_tool(["lz4", "-lc9"])(data)
