"""Debian packages by name, without installing them: apt downloads them and checks their signatures."""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Dict, List, Tuple

from .errors import CdError

NEWEST_KERNEL = "linux-image-cloud-amd64"  # depends on the newest kernel's package
NEEDED = ("apt-cache", "apt-get", "dpkg-deb")


def run(command: List[str], folder: Path) -> str:
    """Run a package tool in a folder; its output. Raises CdError."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CdError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}\nIs there a network, and "
                      "has `apt-get update` been run lately?")
    return done.stdout


def need_tools() -> None:
    """Raises CdError on a system without Debian's package tools."""
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if missing:
        raise CdError(f"{', '.join(missing)} missing: Linux comes from Debian's packages, so this needs Debian")


def newest_kernel(folder: Path) -> str:
    """The name of the newest cloud kernel's package. Raises CdError."""
    text = run(["apt-cache", "depends", NEWEST_KERNEL], folder)
    found = re.search(r"^\s*Depends: (linux-image-\d\S+)$", text, re.MULTILINE)
    if not found:
        raise CdError(f"apt knows no {NEWEST_KERNEL}: run `apt-get update` on a Debian for amd64")
    return found[1]


def fetch(name: str, pattern: str, folder: Path) -> Path:
    """The package file that matches pattern; it is downloaded only if none is in the folder. Raises CdError."""
    if not list(folder.glob(pattern)):
        print(f"fetching {name}", flush=True)
        run(["apt-get", "download", "-q", "-o", "APT::Get::AllowUnauthenticated=false", name], folder)
    files = sorted(folder.glob(pattern))
    if not files:
        raise CdError(f"`apt-get download {name}` left no {pattern} in {folder}")
    return files[-1]


def contents(package: Path, pattern: str) -> Dict[str, bytes]:
    """The files in a package whose paths match, by path. Raises CdError."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as dpkg:
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as archive:
            found = {
                member.name: archive.extractfile(member).read()
                for member in archive
                if member.isfile() and re.search(pattern, member.name)
            }
    if not found:
        raise CdError(f"{package.name} has no {pattern}; remove it, so that it is downloaded again")
    return found


def kernel_package(folder: Path) -> Path:
    """The kernel's package; it stays in the folder for the next run. Raises CdError."""
    need_tools()
    folder.mkdir(parents=True, exist_ok=True)
    name = "" if any(folder.glob("linux-image-*.deb")) else newest_kernel(folder)
    return fetch(name, "linux-image-*.deb", folder)


def busybox_package(folder: Path) -> Path:
    """Likewise busybox's. Raises CdError."""
    need_tools()
    folder.mkdir(parents=True, exist_ok=True)
    return fetch("busybox-static", "busybox-static_*.deb", folder)


def kernel_and_busybox(folder: Path) -> Tuple[Path, Path]:
    """Both. Raises CdError."""
    return kernel_package(folder), busybox_package(folder)
