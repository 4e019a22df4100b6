"""Commands about guests: ept and npt, exits, break-exit, step-exit, guest-bt, guest-x."""

from typing import List, Optional

import gdb

from .base import MASK64, PAGE, WORD, Command, Complaint, Env, cpu, enum_name, envs, evaluate, number, read
from .control import HOST, dump_fields, vmcb_of
from .exits import BY_NUMBER, REASONS, SVM_CODES, VMX_CODES, Code, Reason, code_of, code_words, svm_reason
from .guests import SVM, VT_X, GuestMemory, frame_pointer, guest, guests, has_svm, live_state, on_cpu, root_of
from .guests import same_kernel, second_stage, technique
from .mode import register
from .place import hos_tables

MAX_FRAMES = 32
SHOWN_EXITS = 20
CODES = {VT_X: VMX_CODES, SVM: SVM_CODES}
# Where exits come to, with the vCPU in RDI.
ENDS = {VT_X: "vmexit", SVM: "asm_svmrun_exit"}
HANDLERS = "'vmm/vmx/exit.c'::handlers"


# ---- Guest memory


class Ept(Command):
    """ept GPA [GUEST]: how the second stage translates a guest-physical address, level by level: the EPT (VT-x), or
    the nested page tables (SVM). `npt` is the same command.

    Without a guest's name or id: the guest of this CPU, or the only one."""

    name = "ept"
    not_in_guest = f"its second stage is in hOS's memory: {HOST}. `pt` shows the guest's own page tables"

    def run(self, arguments: List[str]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise Complaint("name a guest-physical address, and maybe a guest")
        env = guest(*arguments[1:])
        gpa = number(arguments[0], "address")
        vcpu = env["env_guest"].dereference()
        hpa, lines = second_stage(root_of(vcpu), gpa)
        print("\n".join(lines))
        if hpa is None:
            print(f"Guest-physical {gpa:#x} is not mapped: the guest has {int(vcpu['vm']['memsize']):#x} bytes, "
                  "and gets a page when it touches it.")
        else:
            print(f"Guest-physical {gpa:#x} is physical {hpa:#x}.")


class Npt(Ept):
    __doc__ = "npt GPA [GUEST]: the same as `ept`, by AMD's name: nested page tables."

    name = "npt"


def code_name(rip: int, is_return: bool) -> str:
    """Function, file and line of a code address, as gdb's symbols have them."""
    place = gdb.execute(f"info symbol {rip - is_return:#x}", to_string=True)
    if place.startswith("No symbol"):
        return "?"
    function = place.split(" in section")[0]
    line = gdb.find_pc_line(rip - is_return)
    return f"{function} ({line.symtab.filename}:{line.line})" if line.symtab else function


def state_of(env: Env) -> dict:
    """A guest's paging state, RIP, RSP and RBP: as it runs here now, or as it was at its last exit."""
    live = live_state()
    if live is not None and on_cpu() == int(env["env_guest"]):
        return live
    if technique() == SVM:
        state = vmcb_of(env)
    else:
        fields = dump_fields()
        state = {**fields, **{name[len("GUEST_") :]: value for name, value in fields.items() if "GUEST_" in name}}
    return {**state, "RBP": frame_pointer(env)}


class GuestBt(Command):
    """guest-bt: the calls in the guest of this CPU, up from where it is, or where it exited.

    Frames are found through the guest's page tables and the second stage. A guest that runs the kernel that gdb
    knows (gOS) gets names, others addresses; names of its programs come from `add-env`."""

    name = "guest-bt"
    not_in_guest = "`backtrace` shows its calls"

    def run(self, arguments: List[str]) -> None:
        env = guest()
        state = state_of(env)
        memory = GuestMemory(env, state)
        rip, rsp, frame = state["RIP"], state["RSP"], state["RBP"]
        ours = same_kernel(memory)
        print(f"guest {env['env_name'].string()}: rip {rip:016x} rsp {rsp:016x} rbp {frame:016x} "
              f"cr3 {state['CR3']:016x}")
        if not ours:
            print("It does not run this kernel: addresses only.")
        for index in range(MAX_FRAMES):
            print(f"#{index:<2} {rip:016x} {code_name(rip, index > 0) if ours else ''}".rstrip())
            caller, rip = memory.word(frame), memory.word(frame + WORD)
            if frame % WORD or caller is None or not rip:
                return
            if caller <= frame and caller:
                print(f"#{index + 1:<2} {rip:016x} {code_name(rip, True) if ours else ''}".rstrip())
                return
            frame = caller


class GuestX(Command):
    """guest-x VA [WORDS]: 64-bit words at a virtual address of the guest of this CPU, through its own page tables
    and the second stage."""

    name = "guest-x"
    not_in_guest = "`x` shows its memory"

    def run(self, arguments: List[str]) -> None:
        if not 1 <= len(arguments) <= 2:
            raise Complaint("name a virtual address, and maybe how many words")
        start = number(arguments[0], "address")
        count = number(arguments[1], "number") if len(arguments) > 1 else 1
        env = guest()
        memory = GuestMemory(env, state_of(env))
        for va in range(start, start + count * WORD, WORD):
            word = memory.word(va & MASK64)
            print(f"{va & MASK64:#018x}: " + (f"{word:016x}" if word is not None else "not mapped in the guest"))


# ---- Exits


class Exits(Command):
    """exits [GUEST]: a guest's exits by reason, and the last ones where the kernel keeps them (vmm -t)."""

    name = "exits"
    not_in_guest = "hOS counts its exits: `vmstat` and `vmtrace` in hOS's shell show them"

    def run(self, arguments: List[str]) -> None:
        env = guest(*arguments[:1])
        vcpu = env["env_guest"].dereference()
        counts = vcpu["stats"]["count"]
        data = read(int(counts.address), counts.type.sizeof)
        rows = [(int.from_bytes(data[8 * r.number : 8 * r.number + WORD], "little"), r) for r in REASONS]
        print(f"guest {env['env_name'].string()}: {sum(count for count, _ in rows)} exits")
        for count, reason in sorted(rows, key=lambda row: -row[0]):
            if count:
                print(f"{count:10}  {reason}")
        last = BY_NUMBER.get(int(vcpu["clock_reason"]))
        if last is not None:
            print(f"last exit: {last}")
        if int(vcpu["trace"]):
            print_ring(vcpu["trace"].dereference())


def print_ring(trace: gdb.Value) -> None:
    """The last exits of a guest that is traced (vmm/trace.c)."""
    end, size = int(trace["next"]), int(trace["size"])
    a_page = PAGE // trace["now"].type.sizeof
    print("    exit            TSC rip              information      reason; what came next")
    for index in range(max(0, end - min(size, SHOWN_EXITS)), end):
        slot = index % size
        entry = trace["pages"][slot // a_page][slot % a_page]
        action = enum_name("enum GuestAction", int(entry["action"]), "ACTION_")
        print(
            f"{index:8} {int(entry['tsc']):14} {int(entry['rip']):016x} "
            f"{int(entry['info']):016x} {code_words(int(entry['code']))}; {action}"
        )


class VmcbBreakpoint(gdb.Breakpoint):
    """Stops where SVM's exits arrive, at those that are wanted."""

    def __init__(self, wanted: str, one: Optional[Code]) -> None:
        self.wanted, self.one = wanted, one
        super().__init__(f"*&{ENDS[SVM]}")

    def stop(self) -> bool:
        block = evaluate(f"*((struct SvmVcpu *){register('rdi'):#x})->vmcb")
        code, info = int(block["exit_code"]), int(block["exit_info1"])
        if code_of(code) != self.one if self.one else svm_reason(code, info) != self.wanted:
            return False
        print(f"VM exit: {code_words(code)}")
        return True


class HandlerBreakpoint(gdb.Breakpoint):
    """Stops where the handler of a code of VT-x's starts, if the exit was for its reason: some handlers serve
    several. The breakpoint in front of it has RDI, its vCPU."""

    def __init__(self, code: Code, handler: int) -> None:
        self.code = code
        super().__init__(f"*{handler:#x}")

    def stop(self) -> bool:
        last = BY_NUMBER.get(int(evaluate(f"((struct Vcpu *){register('rdi'):#x})->clock_reason")))
        if last is not None and last.name != self.code.reason:
            return False
        print(f"VM exit: {self.code.name} ({self.code.words})")
        return True


def techniques() -> List[str]:
    """What guests may run by: before there is one, gdb does not know."""
    try:
        known = bool(guests())
    except Complaint:  # the kernel has not started
        known = False
    return [technique()] if known else [VT_X, SVM] if has_svm() else [VT_X]


def own_code(word: str, codes: List[Code]) -> Optional[Code]:
    """A CPU's code, by its own name or number."""
    for code in codes:
        if word == code.name or (word.isdigit() and code.first <= int(word) <= code.last):
            return code
    return None


def break_handlers(wanted: List[Code]) -> bool:
    """Stop where the handlers of these codes of VT-x's start. false: the table of them is not in memory yet."""
    try:
        table = {code: int(evaluate(f"{HANDLERS}[{code.first}]")) for code in wanted}
    except (Complaint, gdb.error):
        return False
    first_of = {handler: code for code, handler in reversed(table.items()) if handler}
    for handler, code in first_of.items():
        HandlerBreakpoint(code, handler)
    return bool(first_of)


class BreakExit(Command):
    """break-exit REASON: stop when an exit with this reason arrives, where it is handled.

    A reason has the name of inc/vmexits.h (MEMORY, CPUID, VMCALL), or the CPU's own (EPT_VIOLATION, NPF); the
    tab key completes it. `delete` takes it away again, as any breakpoint. Stops the exits of all guests."""

    name = "break-exit"
    not_in_guest = f"its exits are hOS's affair: {HOST}"
    completions = sorted({*(r.name for r in REASONS), *(c.name for c in VMX_CODES), *(c.name for c in SVM_CODES)})

    def run(self, arguments: List[str]) -> None:
        word = arguments[0].upper() if len(arguments) == 1 else ""
        neutral = any(reason.name == word for reason in REASONS)
        possible, stops = techniques(), False
        if VT_X in possible:
            one = own_code(word, VMX_CODES)
            wanted = [code for code in VMX_CODES if code.reason == word] if neutral else [one] if one else []
            stops = break_handlers(wanted)
        if SVM in possible:
            one = None if neutral else own_code(word, SVM_CODES)
            if neutral or one:
                VmcbBreakpoint(word, one)
                stops = True
        if not stops:
            names = sorted({*(r.name for r in REASONS), *(c.name for t in possible for c in CODES[t])})
            raise Complaint(f"name one exit reason; there are {', '.join(names)}")


class StepExit(Command):
    """step-exit: let everything run until the next VM exit, and say what it was."""

    name = "step-exit"
    not_in_guest = f"its exits are hOS's affair: {HOST}"
    of_hos = False  # it goes on to hOS

    def run(self, arguments: List[str]) -> None:
        with hos_tables():
            if not guests():
                raise Complaint("there is no guest; `vmm` in hOS's shell starts one")
            address = int(evaluate(f"(unsigned long)&{ENDS[technique()]}"))
            point = gdb.Breakpoint(f"*{address:#x}", internal=True, temporary=True)
            point.silent = True
        gdb.execute("continue")
        if point.is_valid():
            point.delete()
        envs.cache_clear()
        if gdb.selected_thread() is None or register("pc") != address:
            return  # something else came first; gdb has said what
        env = guest()
        if technique() == SVM:
            state = vmcb_of(env)
            code, rip, info = state["EXITCODE"], state["RIP"], f"information {state['EXITINFO1']:#x} {state['EXITINFO2']:#x}"
        else:
            state = dump_fields()
            code, rip = state["EXIT_REASON"], state["GUEST_RIP"]
            info = f"qualification {state['EXIT_QUALIFICATION']:#x}"
        print(f"VM exit of guest {env['env_name'].string()}: {code_words(code)}, rip {rip:#x}, {info}")


for command in (Ept, Npt, Exits, BreakExit, StepExit, GuestBt, GuestX):
    command.register()
