"""The files of Linux as a guest, the same in its initramfs and on its disk."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List

from kvm.cpio import archive

HERE = Path(__file__).resolve().parent
FOLDERS = "bin dev lib lib/modules mnt proc root run sbin sys tmp usr usr/bin usr/sbin".split()
# Drivers of virtio's devices, and the power button's.
MODULES = (
    "virtio_ring|virtio|virtio_pci_modern_dev|virtio_pci_legacy_dev|virtio_pci|virtio_blk|virtio_console|virtio-rng"
    "|failover|net_failover|virtio_net|button|evdev"
)
MODULE_PATHS = rf"/kernel/.*/({MODULES})\.ko$"


@dataclass
class Root:
    """What comes from packages; the rest is in this folder."""

    busybox: bytes
    modules: Dict[str, bytes] = field(default_factory=dict)  # by file name; none: the kernel has what it needs

    def files(self) -> Dict[str, bytes]:
        """Contents by path, without a leading slash. All may be executed."""
        files = {"bin/busybox": self.busybox}
        for path in sorted((HERE / "root").rglob("*")):
            if path.is_file():
                files[path.relative_to(HERE / "root").as_posix()] = path.read_bytes()
        for name, data in sorted(self.modules.items()):
            files[f"lib/modules/{name}"] = data
        return files

    def folders(self) -> List[str]:
        """Each after the one that it is in."""
        parents = {parent.as_posix() for name in self.files() for parent in Path(name).parents}
        return sorted({*FOLDERS, *parents} - {"."})

    def initramfs(self) -> bytes:
        """Not compressed."""
        return archive(self.folders(), {"init": (HERE / "init").read_bytes(), **self.files()})
