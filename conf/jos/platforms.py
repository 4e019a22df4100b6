"""Where guests run: an emulator, and what virtualizes in it. A check that is registered for several platforms
runs once on each."""

from dataclasses import dataclass, field
from typing import Callable, Dict

from .bochs import SVM_CPU, Bochs
from .machine import Backend
from .qemu import Tcg

VT_X, AMD_V = "VT-x", "SVM"


@dataclass(frozen=True)
class Platform:
    name: str  # for sentences
    key: str  # for the names of sessions and logs
    technique: str
    emulator: Callable[[], Backend]
    lane: str
    settings: Dict[str, object] = field(default_factory=dict, hash=False)  # of Config


VTX = Platform("VT-x in Bochs", "bochs", VT_X, Bochs, "bochs")
# LAB project cut
SVM = Platform("SVM in QEMU", "svm", AMD_V, Tcg, "qemu", {"one_thread": True})
SVM_2 = Platform("SVM in QEMU, 2 CPUs", "svm-2", AMD_V, Tcg, "qemu", {"cpus": 2, "one_thread": True})
RYZEN = Platform("SVM in Bochs", "ryzen", AMD_V, Bochs, "bochs", {"cpu": SVM_CPU})

# By the names that options have.
BACKENDS = {"vtx": VTX, "svm": SVM}
BOTH = (VTX, SVM)
PARALLEL = (VTX, SVM, SVM_2)
# Not for tests of what SVM in Bochs lacks: it cannot interrupt a guest that has entered with RFLAGS.IF clear, opens
# no interrupt window for one that has it set, does not load CR2, and panics at a triple fault.
ALL = (VTX, SVM, SVM_2, RYZEN)
# LAB project end
