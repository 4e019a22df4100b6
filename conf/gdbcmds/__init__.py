"""The project's side of gdb: it knows the processor's mode, and has commands that know the kernel.

.gdbinit loads this; `help jos` in gdb lists the commands. Each module registers its commands when it
is imported:
    mode      16-bit, 32-bit and 64-bit code, each shown as such
    base      what the commands share: errors in words, memory, names for bits
    kernel    envs, add-env, pt
    vmm       vmcs, ept, exits, break-exit, step-exit, guest-bt
Runs inside of gdb, whose Python module `gdb` is there without an import path.
"""

from . import mode, kernel, vmm  # noqa: F401
from .base import Command


def on_guest() -> None:
    """This gdb is on a guest (`make gdb-guest`)."""
    Command.on_guest = True
