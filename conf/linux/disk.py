"""A disk for Linux as a guest: ext4, made by e2fsprogs without being root, the same bytes for the same files."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import List

from kvm.errors import CdError

from .root import Root

SIZE = 256 << 20
LABEL = "linux"
IDENTITY = "4a4f5364-6973-6b4c-696e-7578{:08x}"  # "JOSdiskLinux" and a number
TIME = 1700000000  # of everything on it
FEATURES = (
    "has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize,metadata_csum"
)
# Where the programs are that only the administrator's PATH has.
SBIN = ("/usr/sbin", "/sbin")


def run(command: List[str], **settings: object) -> str:
    """A tool of e2fsprogs; its output. Raises CdError."""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PATH": os.pathsep.join((os.environ.get("PATH", ""), *SBIN)),
        "E2FSPROGS_FAKE_TIME": str(TIME),
        "MKE2FS_CONFIG": os.devnull,  # the machine's own defaults
    }
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **settings)
    except FileNotFoundError:
        raise CdError(f"{command[0]} is missing: install the package e2fsprogs") from None
    if done.returncode != 0:
        raise CdError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")
    return done.stdout


def applets(busybox: Path) -> List[str]:
    """The commands that a busybox has, by path. Raises CdError."""
    busybox.chmod(0o755)
    try:
        done = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CdError(f"busybox does not run on this machine ({error}), and the disk needs the list of its commands") from None
    return [name for name in done.stdout.split() if name != "bin/busybox"]


def script(root: Root, folder: Path) -> str:
    """What debugfs has to do; files that it reads are put into the folder. Raises CdError."""
    lines = [f"mkdir /{name}" for name in root.folders()]
    for number, (name, data) in enumerate(root.files().items()):
        (folder / str(number)).write_bytes(data)
        (folder / str(number)).chmod(0o755)
        lines.append(f"write {folder / str(number)} /{name}")
    (folder / "busybox").write_bytes(root.busybox)
    lines += [f"symlink /{name} /bin/busybox" for name in applets(folder / "busybox")]
    return "\n".join(lines) + "\n"


def make(root: Root, image: Path) -> None:
    """Raises CdError, OSError."""
    with tempfile.TemporaryDirectory(prefix="jos-disk-") as name:
        folder = Path(name)
        dense = folder / "image"
        with open(dense, "wb") as file:
            file.truncate(SIZE)
        extended = f"hash_seed={IDENTITY.format(2)},lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        run(["mke2fs", "-q", "-F", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-j", "-L", LABEL,
             "-U", IDENTITY.format(1), "-O", f"none,{FEATURES}", "-E", extended, str(dense)])
        commands = folder / "script"
        commands.write_text(script(root, folder))
        run(["debugfs", "-w", "-f", str(commands), str(dense)])
        # debugfs tells of no failure by its status.
        run(["e2fsck", "-fn", str(dense)])
        for path in root.files():
            if "Type: regular" not in run(["debugfs", "-R", f"stat /{path}", str(dense)]):
                raise CdError(f"debugfs did not write {path} to the disk")
        sparse_copy(dense, image)


def sparse_copy(source: Path, target: Path) -> None:
    """Raises CdError."""
    done = subprocess.run(["cp", "--sparse=always", source, target], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CdError(done.stderr.strip())
