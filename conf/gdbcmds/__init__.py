"""The project's side of gdb: it knows the processor's mode, and has commands that know the kernel.

.gdbinit loads this; `help jos` in gdb lists the commands. Each module registers its commands when it
is imported:
    mode      16-bit, 32-bit and 64-bit code, each shown as such
    place     hOS or a guest: which of the two has the CPU; break-in
    base      what the commands share: errors in words, memory, names for bits
    kernel    envs, add-env, pt
    guests, exits    what the next two share
    control   vmcs, vmcb
    wait      until `vmm -g` is there
    vmm       ept, npt, exits, break-exit, step-exit, guest-bt, guest-x
Runs inside of gdb, whose Python module `gdb` is there without an import path.
"""

import gdb

from . import mode, place, kernel, control, vmm, wait  # noqa: F401
from .base import Command


def at_stop() -> None:
    """Before gdb shows where it has stopped."""
    place.PLACE.at_stop()
    mode.MODE.at_stop()


def on_guest() -> None:
    """This gdb is on a guest (`make gdb-guest`)."""
    Command.on_guest = True


gdb.execute("define hook-stop\npython gdbcmds.at_stop()\nend")
