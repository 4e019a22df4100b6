"""The CD: GRUB, Debian's cloud kernel, an initramfs that loads KVM, and QEMU with what it needs.

Linux mounts the CD and runs QEMU from it, so that the initramfs stays small: what an emulated CPU unpacks
takes longer than what an emulated disk reads.
"""

import gzip
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

from .cpio import archive
from .errors import CdError
from .packages import contents, kernel_and_busybox

HERE = Path(__file__).resolve().parent
QEMU = "qemu-system-x86_64"
GRUB_BIOS = "/usr/lib/grub/i386-pc"
GRUB_MODULES = "normal configfile linux iso9660 biosdisk"
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "vgabios-stdvga.bin")  # what `make qemu-nox` loads
DRIVERS = ("ata_piix", "sd_mod", "sr_mod", "isofs")
FOLDERS = ("bin", "cd", "dev", "modules", "proc", "sys")
MOUNTED = ("dev", "proc", "tmp")  # on the CD, for other file systems
# The console is COM2. The emulated clock is exact and needs no watching; no emulated CPU needs mitigations.
WORDS = "console=ttyS1,115200 rdinit=/init mitigations=off nokaslr tsc=reliable"


def output(command: List[str]) -> str:
    """What a command prints. Raises CdError."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        raise CdError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise CdError(f"{command[0]} failed:\n{done.stdout.strip()}")
    return done.stdout


# ---- Modules of the kernel


def all_modules(kernel: Path) -> Dict[str, bytes]:
    """By name with `_`, as dependencies are named; newer Debians compress them."""
    modules = {}
    for path, data in contents(kernel, r"\.ko(\.xz)?$").items():
        name = path.rsplit("/", 1)[1].split(".")[0].replace("-", "_")
        modules[name] = data if path.endswith(".ko") else lzma.decompress(data)
    return modules


def with_dependencies(names: List[str], modules: Dict[str, bytes]) -> Dict[str, bytes]:
    """Modules in the order in which they can be loaded. One that is not there is built in."""
    loaded: Dict[str, bytes] = {}

    def load(name: str) -> None:
        name = name.replace("-", "_")
        if name in loaded or name not in modules:
            return
        found = re.search(rb"\0depends=([^\0]*)\0", modules[name])
        for other in found[1].decode().split(",") if found else []:
            load(other)
        loaded[name] = modules[name]

    for name in names:
        load(name)
    return loaded


def initramfs(kernel: Path, busybox: Path, kvm: str) -> bytes:
    """Raises CdError."""
    modules = with_dependencies([*DRIVERS, kvm], all_modules(kernel))
    last = kvm.replace("-", "_")
    if last not in modules:
        raise CdError(f"the package of the kernel has no module {kvm}")
    first = " ".join(name for name in modules if name != last)
    init = (HERE / "init").read_text().replace("@MODULES@", first).replace("@KVM@", last)
    files = {f"modules/{name}.ko": data for name, data in modules.items()}
    files["bin/busybox"] = next(iter(contents(busybox, r"/bin/busybox$").values()))
    return gzip.compress(archive(list(FOLDERS), {"init": init, **files}), mtime=0)


# ---- QEMU


def qemu_program() -> Path:
    """Raises CdError."""
    found = shutil.which(QEMU)
    if not found:
        raise CdError(f"{QEMU} is missing: install the package qemu-system-x86, or run conf/setup")
    return Path(found)


def firmware() -> List[Path]:
    """QEMU's firmware images, where this QEMU looks for them. Raises CdError."""
    folders = [Path(os.path.normpath(line)) for line in output([QEMU, "-L", "help"]).splitlines()]
    files = []
    for name in FIRMWARE:
        places = [folder / name for folder in folders if (folder / name).exists()]
        if not places:
            raise CdError(f"QEMU's {name} is missing from {', '.join(map(str, folders))}")
        files.append(places[0])
    return files


def qemu_files() -> List[Path]:
    """The program, its libraries and its firmware, by the paths that it looks for. Raises CdError."""
    program = qemu_program()
    libraries = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", output(["ldd", str(program)]), re.MULTILINE)
    return [program, *map(Path, libraries), *firmware()]


# ---- The CD


def ingredients(files: List[Path]) -> str:
    """Tells whether anything has changed since the CD was made."""
    stats = [(path, path.stat()) for path in files]
    return "".join(f"{path} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in stats)


def write_tree(tree: Path, kernel: Path, busybox: Path, qemu: List[Path], kvm: str) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for name in MOUNTED:
        (tree / name).mkdir(parents=True)
    for path in qemu:
        target = tree / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    grub = tree / "boot/grub"
    grub.mkdir(parents=True)
    (tree / "boot/vmlinuz").write_bytes(next(iter(contents(kernel, r"/boot/vmlinuz-").values())))
    (tree / "boot/initrd").write_bytes(initramfs(kernel, busybox, kvm))
    (grub / "grub.cfg").write_text(
        f"set timeout=0\nlinux /boot/vmlinuz {WORDS}\ninitrd /boot/initrd\nboot\n"
    )


def make_cd(folder: Path, kvm: str) -> Path:
    """The CD with this module of KVM, made in folder unless it is there already. Raises CdError."""
    kernel, busybox = kernel_and_busybox(folder / "packages")
    qemu = qemu_files()
    cd, note, tree = (folder / f"{kvm}{suffix}" for suffix in (".iso", ".made-of", ""))
    sources = [*qemu, kernel, busybox, *(HERE / name for name in ("cd.py", "cpio.py", "init"))]
    words = ingredients(sources)
    if not (cd.exists() and note.exists() and note.read_text() == words):
        print(f"making {cd.name}", flush=True)
        note.unlink(missing_ok=True)
        write_tree(tree, kernel, busybox, qemu, kvm)
        output(["grub-mkrescue", "-d", GRUB_BIOS, "-o", str(cd), f"--install-modules={GRUB_MODULES}",
                "--locales=", "--fonts=", "--themes=", str(tree)])
        shutil.rmtree(tree)
        note.write_text(words)
    return cd
