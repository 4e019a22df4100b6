"""The lab's checks: exercises 0 to 7, with the points.

Each check is one property of an exercise's functions. What finds out is a test in the kernel, a test
program, or a guest; conf/jos/lab.py says how they are run and read.
"""

import re
from pathlib import Path
from typing import Callable

from jos.bochs import SHARE, Bochs
from jos.grade import CHECKS, Bench, Check, check_match, check_that
from jos.lab import LabRun, Outcome, Probe, untested, verdict
from jos.machine import Machine
from jos.qemu import Tcg

GUESTS = "/vmm/guests"
HYPERCALLS = 59  # of lab-exits: 57 null calls and two others
NOT_SUPPORTED = "not supported"  # -E_NOT_SUPP

# The BIOS sets IA32_FEATURE_CONTROL to 5 (locked, VMX on) by `or eax, 5; wrmsr`. With 1 it locks VMX
# off, with 0 it leaves the MSR to the kernel.
BIOS_LOCKS = bytes.fromhex("83c8050f30")
BIOS_LOCKS_OFF = bytes.fromhex("83c8010f30")
BIOS_LEAVES_OPEN = bytes.fromhex("83c8000f30")


def bios(bench: Bench, name: str, code: bytes) -> Path:
    """Bochs' BIOS with another way to set IA32_FEATURE_CONTROL."""
    rom = (SHARE / "BIOS-bochs-latest").read_bytes()
    check_that(BIOS_LOCKS in rom, "the known code in Bochs' BIOS")
    path = bench.folder / name
    path.write_bytes(rom.replace(BIOS_LOCKS, code))
    return path


def usual(bench: Bench, log: str, words: str) -> Machine:
    """A machine that can run guests, if the kernel turns VT-x on."""
    rom = bios(bench, "bios-vmx-open", BIOS_LEAVES_OPEN)
    return bench.machine(log, Bochs, cmdline=f"graded {words}", bios=rom)


def locked(bench: Bench, log: str, words: str) -> Machine:
    """VT-x without EPT, and locked off."""
    rom = bios(bench, "bios-vmx-off", BIOS_LOCKS_OFF)
    return bench.machine(
        log, Bochs, cmdline=f"graded {words}", bios=rom, cpu="core2_penryn_t9600"
    )


def without(bench: Bench, log: str, words: str) -> Machine:
    """No VT-x."""
    return bench.machine(log, Tcg, cmdline=f"graded {words}")


MACHINES = {"usual": usual, "locked": locked, "without": without}
LANE = {"usual": "bochs", "locked": "bochs", "without": "qemu"}


def guest(name: str) -> str:
    return f'vmm -s -k {GUESTS}/{name} -a "{{nonce}}"'


def gos(step: str) -> str:
    return f'vmm -a "run=test-lab thenhalt -- {{nonce}} 7 {step}"'


BEFORE = tuple(range(8))  # BEFORE[:5]: exercises 0 to 4

# In the order in which they run: in a kernel's boot, then in the shell.
WITHOUT = Probe("without", 0, words="labtest={nonce}:s labtest-off", machine="without")
LOCKED = Probe("locked", 0, words="labtest={nonce}:esy labtest-off", machine="locked")
VMXON = Probe("vmxon", 0, words="labtest={nonce}:0")
VMRUN = Probe("vmrun", 4, words="vmruntest={nonce}", needs=(0, 2))
MKGUEST = Probe("mkguest", 1, words="epttest={nonce}:1", needs=(0,))
EPT = Probe("ept", 2, words="epttest={nonce}:2")
EPT_MAP = Probe("ept-map", 3, words="epttest={nonce}:3", needs=(2,))
MAKE_GUEST = Probe("make-guest", 1, line="test-lab {nonce} 1", needs=BEFORE[:2])
LOADING = Probe("loading", 3, line="test-lab {nonce} 3", needs=BEFORE[:4])
EXITS = Probe("exits", 5, line=guest("lab-exits"), needs=BEFORE[:5])
TRIPLE_FAULT = Probe(
    "triple-fault",
    5,
    line=f"vmm -k {GUESTS}/triple-fault",
    needs=BEFORE[:6],
    sums=False,
    gate=False,
)
CPUID = Probe("cpuid", 6, line=guest("lab-cpuid"), needs=BEFORE[:6])
IPC = Probe("ipc", 7, line=guest("lab-ipc"), needs=BEFORE[:7])
LEAK = Probe("leak", 7, line=f"free; {guest('lab-ipc')}; free", needs=BEFORE, gate=False)
GOS_WRITES = Probe("gos-writes", 7, line=gos("write"), needs=BEFORE)
GOS_READS = Probe("gos-reads", 7, line=gos("read"), needs=BEFORE)


def lab_run(bench: Bench) -> LabRun:
    if bench.lab is None:
        bench.lab = LabRun(bench, MACHINES)
    assert isinstance(bench.lab, LabRun)
    return bench.lab


def outcome_of(bench: Bench, probe: Probe) -> Outcome:
    """What the probe has found; it runs now if it has not. Raises Mismatch if it cannot."""
    wanted = dict.fromkeys(item.probe for item in bench.items if item.probe)
    outcome = lab_run(bench).outcome(probe, list(wanted))
    bench.last_log = outcome.log
    return outcome


def register(
    points: int, probe: Probe, function: str, name: str, sentence: str, judge: Callable[[Outcome], None]
) -> None:
    """A check of the lab: judge raises Mismatch unless the sentence holds."""

    def run(bench: Bench) -> None:
        judge(outcome_of(bench, probe))

    exercise = probe.exercise
    item = Check(f"Exercise {exercise}", points, sentence, LANE[probe.machine], run)
    item.exercise, item.name, item.probe = exercise, name, probe
    item.guide = f"doc/lab/exercise-{exercise}.md#{function}"
    CHECKS.append(item)


def holds(points: int, probe: Probe, function: str, names: str, sentence: str) -> None:
    """A check that these properties hold."""
    wanted = tuple(names.split())
    name = f"{probe.name}/{wanted[0]}"

    def judge(outcome: Outcome) -> None:
        verdict(outcome, wanted, probe.exercise)

    register(points, probe, function, name, sentence, judge)


def answers(points: int, probe: Probe, function: str, words: str, sentence: str) -> None:
    """A check that a function refuses the machine, with these words."""

    def judge(outcome: Outcome) -> None:
        answer = outcome.answers.get(function)
        if answer is None:
            untested(outcome, probe.exercise)
        result, why = answer or ("", "")
        check_that(result == NOT_SUPPORTED, f"`{NOT_SUPPORTED}` from {function}", result)
        check_match(words, why or "(no words)")

    register(points, probe, function, f"{probe.name}/{function}", sentence, judge)


def sees(points: int, probe: Probe, function: str, name: str, sentence: str):
    """Decorator: a check of what the probe has printed."""

    def decorate(judge: Callable[[str], None]) -> Callable[[str], None]:
        def whole(outcome: Outcome) -> None:
            if outcome.missing or outcome.broken:
                untested(outcome, probe.exercise)
            judge(outcome.text)

        register(points, probe, function, f"{probe.name}/{name}", sentence, whole)
        return judge

    return decorate


# ---- Exercise 0: VT-x is found, or what is missing is named; VMX operation is turned on

answers(1, WITHOUT, "vmx_check_support", "no VT-x", "a CPU without VT-x is refused, with words")
answers(1, LOCKED, "vmx_check_ept", "no EPT", "a CPU with VT-x but without EPT is refused, with words")
answers(1, LOCKED, "vmx_check_support", "locked off", "VT-x locked off by the firmware is refused, with words")
answers(1, LOCKED, "sched_yield", "", "sched_yield passes on that a CPU refuses")
holds(1, VMXON, "vmx_check_support", "check-ept check-support", "a CPU that has all is accepted")
holds(1, VMXON, "vmx_init_vmxon", "vmxon-result", "vmx_init_vmxon succeeds where the firmware left VT-x open")
holds(1, VMXON, "vmx_init_vmxon", "vmxon-works", "VMX operation is on after it: VMPTRLD works")
holds(1, VMXON, "vmx_init_vmxon", "cr0-fixed cr4-fixed", "CR0 and CR4 keep to the fixed bits")
holds(1, VMXON, "vmx_init_vmxon", "feature-control", "IA32_FEATURE_CONTROL is left with VMX on, and locked")
holds(1, VMXON, "vmx_init_vmxon", "vmxon-locked", "a locked IA32_FEATURE_CONTROL is not written again")
holds(1, VMXON, "vmx_init_vmxon", "vmxon-refused vmxon-undone yield-refused", "a VMXON that fails is an error, and leaves CR4.VMXE clear")
holds(1, VMXON, "sched_yield", "yield-first yield-works yield-again", "sched_yield turns VMX operation on for the first guest, once")

# ---- Exercise 1: a guest is made

holds(1, MKGUEST, "sys_env_mkguest", "mkguest-makes", "sys_env_mkguest makes an env that is a guest, and the caller's child")
holds(1, MKGUEST, "sys_env_mkguest", "mkguest-apart", "two guests share nothing")
holds(1, MKGUEST, "sys_env_mkguest", "mkguest-arguments", "memory size, entry point and flags arrive")
holds(1, MKGUEST, "sys_env_mkguest", "mkguest-no-memory", "without memory it is an error, and nothing is left over")
holds(1, MKGUEST, "sys_env_mkguest", "mkguest-no-env", "without a free env it is an error, and nothing is left over")
holds(1, MKGUEST, "sys_env_mkguest", "mkguest-end", "a guest's end gives everything back")
holds(1, MAKE_GUEST, "make_guest", "guest-id guest-type guest-parent", "vmm's make_guest returns the id of a guest of its own")
holds(1, MAKE_GUEST, "make_guest", "guest-memory guest-memory-end", "the guest has the memory that was asked for")
holds(1, MAKE_GUEST, "make_guest", "guest-plain guest-flags", "the flags are those that were asked for")


@sees(1, MAKE_GUEST, "make_guest", "guest-refused", "when there is no guest, make_guest says why and returns the error")
def make_guest_complains(text: str) -> None:
    check_match(r"an entry point outside of memory: vmm: \S+.*: ", text)
    check_match(r"guest-refused: ok", text)


# ---- Exercise 2: extended page tables

holds(1, EPT, "ept_lookup_gpa", "lookup-without-create", "without create a missing table is -E_NOT_FOUND, and none is made")
holds(1, EPT, "ept_lookup_gpa", "lookup-creates-levels lookup-shares-tables", "with create exactly the tables that are missing are made")
holds(1, EPT, "ept_lookup_gpa", "lookup-index", "each level is indexed by its own bits of the gpa")
holds(1, EPT, "ept_lookup_gpa", "lookup-finds-again", "the same entry is found again")
holds(1, EPT, "ept_lookup_gpa", "lookup-no-memory", "without memory for a table it is -E_NO_MEM, and the tables stay sound")
holds(1, EPT, "ept_lookup_gpa", "table-entries", "an entry for a table has all rights and no reserved bit")
holds(1, EPT, "ept_map_hva2gpa", "leaf-address gpa-to-hva", "an entry has its frame's address")
holds(1, EPT, "ept_map_hva2gpa", "leaf-rights", "an entry has the rights that were asked for")
holds(1, EPT, "ept_map_hva2gpa", "leaf-memory-type", "an entry's memory type is write-back")
holds(1, EPT, "ept_map_hva2gpa", "leaf-ignores-pat", "an entry ignores the guest's PAT")
holds(1, EPT, "ept_map_hva2gpa", "rights-need-read", "rights that the CPU does not take are refused")
holds(1, EPT, "ept_map_hva2gpa", "alignment", "a gpa that is not page aligned is refused")
holds(1, EPT, "ept_map_hva2gpa", "bounds lookup-bounds", "a gpa that the tables cannot reach is refused")
holds(1, EPT, "ept_map_hva2gpa", "no-memory", "without memory nothing has changed")
holds(1, EPT, "ept_map_hva2gpa", "busy-without-overwrite", "without overwrite a page that is there is -E_BUSY, and stays")
holds(1, EPT, "ept_map_hva2gpa", "overwrite-replaces", "with overwrite it is replaced")
holds(1, EPT, "ept_map_hva2gpa", "overwrite-references", "the frame that was replaced loses its reference")
holds(1, EPT, "ept_map_hva2gpa", "shrinking-flushes", "when rights shrink or the frame changes, the CPU is to forget")
holds(1, EPT, "ept_map_hva2gpa", "references-once", "an entry holds one reference on its frame")
holds(1, EPT, "ept_map_hva2gpa", "pages-counted", "pages are counted once")
holds(1, EPT, "ept_map_hva2gpa", "teardown guests-apart", "the end of a guest gives every frame back, and no other guest's")

# ---- Exercise 3: the guest's kernel is loaded

holds(1, EPT_MAP, "sys_ept_map", "ept-map-maps", "sys_ept_map puts the caller's page at the gpa")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-rights", "the guest gets the rights of perm")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-permissions", "other permissions are refused")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-source", "a page that the caller does not have is refused")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-bounds", "a gpa that is no page of the guest's memory is refused")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-guest", "another's guest is refused")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-references", "each way out leaves the right references")
holds(1, EPT_MAP, "sys_ept_map", "ept-map-no-memory", "without memory it is -E_NO_MEM, and nothing is left over")
holds(1, LOADING, "map_in_guest", "map-result map-contents", "map_in_guest brings the file's bytes to the gpa")
holds(1, LOADING, "map_in_guest", "map-rest", "what the last page has after them is zero")
holds(1, LOADING, "map_in_guest", "map-untouched", "pages that the file does not reach are not filled")
holds(1, LOADING, "map_in_guest", "map-owner", "a page that was handed over is not kept")
holds(1, LOADING, "map_in_guest", "map-offset", "it begins at the offset in the file")
holds(1, LOADING, "map_in_guest", "map-middle map-keeps", "a segment may begin in a page that keeps its begin")
holds(1, LOADING, "map_in_guest", "map-too-long map-short-file map-outside", "what cannot be loaded is an error")
holds(1, LOADING, "copy_guest_kern_gpa", "kernel-result kernel-segments", "copy_guest_kern_gpa loads every segment")
holds(1, LOADING, "copy_guest_kern_gpa", "kernel-error", "the error of a segment is its result")

# ---- Exercise 4: into the guest and back

holds(2, VMRUN, "asm_vmrun", "launch-exits launch-reason", "a new guest is launched, and its VMCALL exits")
holds(2, VMRUN, "asm_vmexit_entry", "exit-registers", "every register of the guest is saved in its place")
holds(1, VMRUN, "asm_vmexit_entry", "exit-argument", "vmexit gets the guest as its argument")
holds(1, VMRUN, "asm_vmexit_entry", "exit-frame exit-stack", "vmexit gets a stack that is aligned, and the caller's rbp")
holds(1, VMRUN, "asm_vmexit_entry", "leave-result leave-registers", "when vmexit says false, asm_vmrun returns with the caller's registers")
holds(2, VMRUN, "asm_vmrun", "resume-result resume-exits", "a guest that was launched is resumed")
holds(2, VMRUN, "asm_vmexit_entry", "loop-exits loop-registers loop-result", "when vmexit says true, the guest goes on with its registers from tf")
holds(1, VMRUN, "asm_vmrun", "launch-twice fail-exits resume-new", "an entry that fails comes back as VMX_FAIL_VALID")

# ---- Exercise 5: exits reach their handlers

holds(1, EXITS, "vmexit", "msr", "MSR accesses reach their handler")
holds(1, EXITS, "vmexit", "control-register", "accesses to control registers reach theirs")
holds(1, EXITS, "vmexit", "ept-violation", "EPT violations reach theirs, and the guest goes on")
holds(1, EXITS, "vmexit", "null-call unknown-call", "hypercalls reach theirs")
holds(1, EXITS, "hv_mbmap", "mbmap-result", "the result of MBMAP is 0")
holds(1, EXITS, "hv_mbmap", "mbmap-address", "MBMAP gives the address of the boot information")
holds(1, EXITS, "hv_mbmap", "mbmap-registers", "MBMAP leaves the other registers alone")
holds(1, EXITS, "hv_mbmap", "mbmap-step", "the guest goes on after MBMAP, once")


@sees(1, EXITS, "vmexit", "counts", "each exit is counted under its reason")
def exits_are_counted(text: str) -> None:
    counted = re.search(r"hypercall\s+(\d+)", text)
    seen = int(counted[1]) if counted else 0
    check_that(seen == HYPERCALLS, f"{HYPERCALLS} exits by VMCALL in the statistics", seen)


@sees(1, TRIPLE_FAULT, "vmexit", "reason", "a triple fault ends the guest, and its reason is named")
def triple_fault_is_named(text: str) -> None:
    check_match(r"vmm: guest ended: triple fault at rip 0x[0-9a-f]+", text)


# ---- Exercise 6: what CPUID says

holds(1, CPUID, "cpuid_leaf_1", "no-vmx", "a guest sees neither VMX nor SMX")
holds(1, CPUID, "cpuid_leaf_1", "no-monitor nothing-new", "nor anything else that is not virtualized")
holds(1, CPUID, "cpuid_leaf_1", "hypervisor signature", "it sees that it is a guest, and of which VMM")
holds(1, CPUID, "cpuid_leaf_1", "x2apic", "it sees the x2APIC and the TSC deadline timer")
holds(1, CPUID, "cpuid_leaf_1", "useful", "it sees what it can use without help")
holds(1, CPUID, "handle_cpuid", "leaf-0 step", "a leaf of the table is answered, and the guest goes on after it")
holds(1, CPUID, "handle_cpuid", "high-halves high-halves-computed", "the upper halves of the registers are 0 after it")
holds(1, CPUID, "handle_cpuid", "leaf-is-eax", "the leaf is EAX, whatever the upper half of RAX has")
holds(1, CPUID, "handle_cpuid", "subleaf extended", "computed and extended leaves are answered")

# ---- Exercise 7: messages and the guest's disk

holds(1, IPC, "hv_ipcsend", "send-other-env send-bad-page send-unaligned", "IPCSEND refuses other envs, and pages that are none")
holds(1, IPC, "hv_ipcrecv", "recv-bad-page recv-unaligned", "IPCRECV refuses places that are no pages of the guest's")
holds(1, IPC, "hv_ipcrecv", "info recv-waits", "a guest that waits gets the answer")
holds(1, IPC, "hv_ipcrecv", "recv-takes recv-once", "an answer that waits is taken, once")
holds(1, IPC, "hv_ipcsend", "read write page answer-is-error", "pages travel in both directions")


@sees(1, LEAK, "hv_ipcsend", "pages", "a guest that has sent pages leaves none behind")
def nothing_leaks(text: str) -> None:
    free = re.findall(r"(\d+)\s+free", text) or re.findall(r"free\D*(\d+)", text)
    check_that(len(free) >= 2 and free[0] == free[-1], f"{free[:1]} free pages afterwards", free[-1:])


holds(1, GOS_WRITES, "ask", "gos-files", "gOS boots from its disk and finds its files")
holds(1, GOS_WRITES, "transfer", "gos-write gos-read-again", "gOS writes a file of many blocks, and reads it")
holds(1, GOS_READS, "transfer", "gos-kept", "what gOS has written is there at its next start")
