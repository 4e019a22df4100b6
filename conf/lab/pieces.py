"""The exercises: for each piece that a student writes, what stands in the place of the solution."""

from dataclasses import dataclass
from typing import Dict, Tuple

LAST_EXERCISE = 7
CHALLENGE = LAST_EXERCISE + 1  # solved only in the complete tree, EX=8


@dataclass(frozen=True)
class Piece:
    exercise: int  # or CHALLENGE
    name: str  # as in the marker and in the message
    task: Tuple[str, ...]  # paragraphs
    read: Tuple[str, ...] = ()
    hints: Tuple[str, ...] = ()
    unused: Tuple[str, ...] = ()  # arguments and static functions that only the solution uses
    stops: bool = True  # False: in the midst of a table nothing can be called
    instead: Tuple[str, ...] = ()  # lines of code, where the rest works without it: they end the stub


SDM = 'Intel SDM volume 3, "{}"'.format

EXERCISE_0 = (
    Piece(
        0,
        "vmx_check_support",
        (
            "Find out whether this CPU has VT-x and whether the firmware allows it; then ask "
            "vmx_check_ept for the rest. When something is missing, write a sentence into why "
            "(at most size bytes) that says what it is and what to do instead, and return "
            "-E_NOT_SUPP. The code below runs when all is there.",
        ),
        (
            SDM("Discovering Support for VMX"),
            SDM("Enabling and Entering VMX Operation"),
            "inc/x86.h for cpuid and rdmsr",
        ),
        (
            "A CPU without VT-x has no MSR IA32_FEATURE_CONTROL: reading it there is a #GP. Ask "
            "CPUID first.",
            "The MSR matters only when its lock bit is set. An unlocked one is vmx_init_vmxon's "
            "to set.",
            "The sentences have to contain `no VT-x` and `locked off`; VMX_ADVICE has the way out.",
        ),
        ("why", "size"),
    ),
    Piece(
        0,
        "vmx_check_ept",
        (
            "VT-x alone is not enough: this VMM needs EPT, unrestricted guests, four-level EPT "
            "tables in write-back memory, and INVEPT, also of all contexts. Return 0, or "
            "-E_NOT_SUPP with a sentence in why that names the first thing that is missing.",
        ),
        (
            'Intel SDM volume 3, "VMX Capability Reporting Facility": VM-execution controls, '
            "VPID and EPT capabilities",
        ),
        (
            "The capability MSRs of controls have in their high half what may be 1. The "
            "secondary controls have an MSR only if the primary ones may activate them.",
            "The bits are named in vmm/vmx/vmx.h; a small table of bit and name is shorter than a "
            "chain of ifs.",
        ),
        ("why", "size"),
    ),
    Piece(
        0,
        "vmx_init_vmxon",
        (
            "Turn VMX operation on for this CPU. The VMXON region is there (cpu_vmxon_region is "
            "its physical address, its revision is set). Set IA32_FEATURE_CONTROL if the "
            "firmware left it unlocked, give CR0 and CR4 the values that VMX operation demands, "
            "and execute VMXON. If that fails, say so with cprintf, clear CR4.VMXE again and "
            "return -E_NOT_SUPP.",
        ),
        (
            SDM("Enabling and Entering VMX Operation"),
            SDM("Restrictions on VMX Operation"),
            SDM("VMX-Fixed Bits in CR0") + ' and "VMX-Fixed Bits in CR4"',
            "vmm/vmx/vmcs.h for vmxon()",
        ),
        (
            "vmx_caps has the fixed bits: what is 1 in FIXED0 has to be 1, what is 0 in FIXED1 "
            "has to be 0.",
            "IA32_FEATURE_CONTROL can be written once; after the lock bit is set a write is a #GP.",
        ),
    ),
    Piece(
        0,
        "sched_yield",
        (
            "sched_yield has found a guest to run: this CPU becomes a host. Return 0 when VMX "
            "operation is on, after turning it on with guest_hooks.cpu_on if this is the first guest "
            "here; -E_* when the CPU refuses.",
        ),
        (
            "kern/cpu.h: what the kernel knows of each CPU",
            "kern/hooks.h: guest_hooks.cpu_on, which is vmx_init_vmxon (vmm/init.c)",
        ),
        (),
        ("c",),
    ),
)

EXERCISE_1 = (
    Piece(
        1,
        "sys_env_mkguest",
        (
            "Make a guest. The arguments are sound and the CPU can run guests (both were checked "
            "above). A guest is a machine with one vCPU (struct Vm and struct Vcpu; vm_alloc makes "
            "both) and an env of type ENV_TYPE_GUEST, child of the caller, which has the vCPU's "
            "registers; guest_adopt joins env and vCPU. Return the env's id, or the error; on an "
            "error nothing may be left over.",
        ),
        (
            "vmm/vm.h: struct Vm; vmm/vcpu.h: struct Vcpu; vmm/vmlife.h: vm_alloc, vm_drop",
            "kern/envlife.h: env_alloc, and how sys_exofork uses it",
        ),
        (
            "Both allocations can fail. vm_drop gives back a machine whose vCPU has no env.",
            "The env may be destroyed by somebody else as soon as it exists; guest_adopt knows.",
        ),
        ("guest_adopt", "memsize", "entry", "flags"),
    ),
    Piece(
        1,
        "make_guest",
        (
            "vmm declares itself the owner of a guest: ask the kernel for a guest with the "
            "memory size, the entry point and the flags that the user chose. Return the guest's "
            "id. When there is none, say why with complain() and return the error.",
        ),
        (
            "inc/lib.h: sys_env_mkguest",
            "user/vmm/boot.h: struct Boot; user/vmm/common.h: complain()",
        ),
        ("%e in complain's format prints an error's words.",),
        ("b", "flags"),
    ),
)

EXERCISE_2 = (
    Piece(
        2,
        "ept_lookup_gpa",
        (
            "Walk the guest's EPT from the root table (vm->tables, level 3) down to the table of level 0 "
            "that maps gpa, leave the address of gpa's entry there in *entry, and return 0. Where the "
            "next table is missing, return -E_NOT_FOUND, or with create make it (new_table) and refer "
            "to it with all rights (stage2.table); -E_NO_MEM when there is no memory. A gpa with more "
            "bits than four levels translate (EPT_GPA_BITS) is -E_INVAL.",
            "An entry of level 1 with EPTE_LARGE refers to no table: it maps 2 MiB itself. Then it is "
            "what was looked for.",
        ),
        (
            'Intel SDM volume 3, "The Extended Page Table Mechanism (EPT)": the tables with the '
            "formats of entries",
            "kern/pmap.c: the walk of the host's own page tables has the same shape",
            "vmm/backend.h: struct Stage2Format, the bits of entries; vmm/vmx/vmx.c fills stage2 in",
        ),
        (
            "An entry holds the physical address of the next table; the kernel reads it at KADDR "
            "of that.",
            "PTX(gpa, level) is the index in the table of that level, for EPT as for page tables.",
            "An EPT entry has no present bit: one whose rights are all 0 is not there.",
        ),
        ("vm", "gpa", "create", "entry"),
    ),
    Piece(
        2,
        "ept_map_hva2gpa",
        (
            "Put frame pp at gpa: find the entry (making tables), and write into it the frame's "
            "address and the bits for its rights. rights is a set of GUEST_READ, GUEST_WRITE and "
            "GUEST_FETCH; stage2.rights has the bits for each set: the rights as EPT has them, "
            "memory type write-back, and that the guest's PAT is ignored. "
            "A gpa in the midst of a page, and rights that the CPU calls a misconfiguration since "
            "GUEST_READ is not among them, are -E_INVAL. "
            "If something is mapped there, that is -E_BUSY unless overwrite says otherwise. The "
            "entry holds a reference on its frame, and gives back the one on the frame that it "
            "replaces. A page that was not mapped before counts in vm->stats.pages. If a large page "
            "is in the way, split_large makes 4 KiB pages of it first.",
            "When what the guest could do there shrinks (another frame, or rights taken away), "
            "the CPU may still hold the old translation: flush(vm) sees to it. ept_entry_rights tells "
            "what an entry allows.",
        ),
        (
            SDM("The Extended Page Table Mechanism (EPT)"),
            SDM("EPT and Memory Typing"),
            SDM("Guidelines for Use of the INVEPT Instruction"),
            "the contract of ept_map_hva2gpa in vmm/ept.h",
        ),
        (
            "Take the new reference before the old one is dropped: the two frames may be the same.",
            "On an error nothing has changed, reference counts included.",
            "vmm/test/ept.h: the command-line word epttest=NONCE tests every property at boot, in any "
            "emulator.",
        ),
        ("pp", "gpa", "rights", "overwrite", "flush", "split_large", "vm"),
    ),
)

EXERCISE_3 = (
    Piece(
        3,
        "sys_ept_map",
        (
            "Give the page at srcva of the caller (srcenv: 0 or its own id) to its guest at gpa. "
            "Check everything (that the guest is the caller's was done above): the permissions "
            "are allowed (ept_perm_ok), gpa is a page of the guest's memory, the caller has the "
            "page with these rights (env_page_take). The mapping replaces what was there. "
            "inc/lib.h lists the errors.",
        ),
        (
            "inc/lib.h: sys_ept_map",
            "kern/sysmem.h: env_page_take",
            "vmm/gmem.h: gmem_is_ram; vmm/ept.h: ept_page_insert, ept_rights",
        ),
        (
            "guest_open has returned with a lock held; every way out goes through guest_close.",
            "env_page_take hands out a reference, which is yours to give back.",
        ),
        ("ept_perm_ok", "srcenv", "srcva", "gpa", "perm"),
    ),
    Piece(
        3,
        "copy_guest_kern_gpa",
        (
            "Load each of the kernel's segments into guest memory with map_in_guest. Return 0, "
            "or the first error.",
        ),
        ("struct Image and struct Segment in user/vmm/image.h",),
        (),
        ("guest", "im"),
    ),
    Piece(
        3,
        "map_in_guest",
        (
            "Bring filesz bytes of file fd, from fileoffset on, to gpa. A page of the guest that "
            "begins inside the segment is filled in a fresh page of your own at SCRATCH, handed "
            "over with sys_ept_map, and taken out of this address space, so that it has one "
            "owner. The rest of such a page is zero. Where the segment begins in the middle of a "
            "page, that page keeps what it has: copy_part writes the bytes into it. What the "
            "file does not reach (up to memsz) stays untouched: the VMM gives zeroed pages when "
            "the guest comes there. filesz > memsz is -E_INVAL.",
        ),
        (
            "inc/lib.h: sys_page_alloc, sys_ept_map, sys_page_unmap, seek",
            "user/vmm.h: the contract of map_in_guest",
        ),
        (
            "One loop over pages; PGOFF(gpa) tells the two cases apart. A helper for the whole "
            "page, beside copy_part, keeps it short.",
            "read_all takes a file that has become shorter for an error.",
        ),
        ("copy_part", "guest", "gpa", "memsz", "fd", "filesz", "fileoffset"),
    ),
)

EXERCISE_4 = (
    Piece(
        4,
        "asm_vmrun",
        (
            "Enter the guest. Load its general registers from tf (LOAD_GUEST; rdi still has tf, "
            "and rsi, rdx and rcx the other arguments), then VMLAUNCH if this VMCS was not "
            "launched yet, VMRESUME if it was (`launched`, in dl). After an instruction that "
            "fails, go on at entry_failed.",
        ),
        (
            SDM("VM Entries"),
            SDM("VMX Instructions") + ": VMLAUNCH/VMRESUME, and how they report an error",
            SDM("Life Cycle of VMM Software"),
        ),
        (
            "LOAD_GUEST overwrites every register, rdx too; it leaves the flags alone.",
            "After a success the CPU is in the guest, and comes back at asm_vmexit_entry, not "
            "after the instruction.",
        ),
    ),
    Piece(
        4,
        "asm_vmexit_entry",
        (
            "Every VM exit comes here, with rsp as it was at the entry (the stack is drawn "
            "above) and the guest in all other general registers. Save them into tf, every one "
            "where LOAD_GUEST finds it. Call vmexit(v). If it returns true, load the guest's "
            "registers again and enter it; it was launched by now. If false, go to leave_ok.",
        ),
        (SDM("VM Exits") + ', "Loading Host State"',),
        (
            "No register is free in the beginning. The stack has room below rsp.",
            "The compiler's code expects a rbp that backtraces can follow: put the caller's "
            "there before the call.",
            "A bool comes back in al; the rest of rax is undefined.",
        ),
    ),
)

EXERCISE_5 = (
    Piece(
        5,
        "vmexit",
        (
            "An exit has just happened. Read its basic reason out of the VMCS, count it (count_exit), "
            "and let the handler from the table finish the exit; what it returns is the answer. "
            "Exits are counted by their neutral reason, which `known` has for each of Intel's. A "
            "reason that the tables do not have counts as EXIT_OTHER and is handle_unexpected's.",
        ),
        (
            SDM("Basic VM-Exit Information") + ": exit reason; bits 15:0 are the basic reason",
            'Intel SDM volume 3, appendix "VMX Basic Exit Reasons", and vmm/vmx/exits.h',
            "inc/vmexits.h: the neutral reasons, which vmstat shows",
        ),
        (
            "The reason comes from the CPU, but the tables have an end (VMX_NREASONS): compare first.",
        ),
        ("v", "known", "handlers"),
    ),
    Piece(
        5,
        "hv_mbmap",
        (
            "VMX_VMCALL_MBMAP: a guest's kernel asks where its boot information is. Put its gpa "
            "into the guest's rbx; the result is 0.",
        ),
        (
            "inc/vmm.h: the hypercalls with their registers",
            "struct Vm in vmm/vm.h; enum Verdict in vmm/verdict.h",
        ),
        (
            "A call returns a verdict: what is to become of the guest. hv_result() sets rax and gives "
            "the usual one, to go on after the instruction.",
        ),
        ("v",),
    ),
)

EXERCISE_6 = (
    Piece(
        6,
        "cpuid_leaf_1",
        (
            "The row of leaf 1, features: which bits of the host's answer a guest may see "
            "(keep), and which it sees in any case (set), in the order EAX, EBX, ECX, EDX. A "
            "guest sees what it can use without help: no VMX, no MONITOR. XSAVE, AVX and PCID are "
            "added afterwards (limit_features). It does see that it is a guest, and the x2APIC "
            "and the TSC deadline timer, which the VMM emulates. EBX and EDX have masks above, "
            "EAX stays; ECX is yours.",
        ),
        (
            'Intel SDM volume 2, "CPUID - CPU Identification": feature information in ECX',
            "the other rows of this table",
        ),
        ("Write down what may be seen, not what is hidden: CPUs get new bits.",),
        stops=False,
    ),
    Piece(
        6,
        "handle_cpuid",
        (
            "The guest has executed CPUID with a leaf in eax and a subleaf in ecx. Answer in its "
            "eax, ebx, ecx and edx, and go on after the instruction. Leaves up to CPUID_PLAIN_MAX are "
            "rows of v->cpuid as they are; the others come from cpuid_answer. The table of masks "
            "in vmm/cpuid.c needs its row of leaf 1, which is yours, too.",
        ),
        (
            SDM("Instructions That Cause VM Exits Unconditionally"),
            'Intel SDM volume 2, "CPUID - CPU Identification": the upper halves of the registers',
            "vmm/cpuid.h: cpuid_answer",
            "vmm/vmx/run.h: the ways to end an exit (vmx_skip)",
        ),
        (
            "The guest's registers are in v->env->env_tf.",
            "Only the lower 32 bits of rax are the leaf.",
        ),
        ("v",),
    ),
)

EXERCISE_7 = (
    Piece(
        7,
        "ask",
        (
            "gOS's side: send one request to the host's file server, with the page, and wait for "
            "the answer. Return what the server answers, or the error of sending.",
        ),
        (
            "inc/lib.h: ipc_host_send, ipc_host_recv",
            "inc/fs.h: GDISK_*",
        ),
        ("No page comes with the answer: UTOP as the address says so.",),
        ("value", "page"),
    ),
    Piece(
        7,
        "transfer",
        (
            "Read or write n blocks from `block` on, each from or to its own page: one request a "
            "block. When one fails, say on the console (os_say) which block of which disk and "
            "why, and return -E_IO.",
        ),
        ("inc/fs.h: GDISK_VALUE makes the word that a request is",),
        ("The page has the data in both directions: the server writes into it.",),
        ("d", "req", "block", "n", "page"),
    ),
    Piece(
        7,
        "hv_ipcsend",
        (
            "VMX_VMCALL_IPCSEND: send a value and perhaps a page to the host. Only "
            "VMX_HOST_FS_ENV, the host's file server (env_file_server), can be reached; otherwise, "
            "or when there is none, -E_BAD_ENV. message_page finds the page and checks the "
            "permission; ipc_guest_send sends. Add PTE_NX to the permission: a guest's bytes are "
            "no code of the host's. If ipc_guest_send answers 1, the message waits for its "
            "receiver: the verdict is DO_NEXT_AND_LEAVE, by which the guest leaves the CPU with RIP past "
            "the instruction, and guest_ipc_sent brings the result later. Otherwise the result is known "
            "now.",
        ),
        (
            "inc/vmm.h: the hypercall's registers",
            "kern/env.h: env_file_server; kern/ipc.h: ipc_guest_send",
        ),
        (
            "message_page hands out a reference on the page, which is yours to give back on "
            "every way out.",
            "The server may end at any time. You need no lock for that: ipc_guest_send locks it, "
            "and looks again.",
            "A message may have made the server runnable: look_around_soon has the run loop look "
            "before the next entry.",
            "arguments() has the registers as the guest's mode means them.",
        ),
        ("v", "message_page"),
    ),
    Piece(
        7,
        "hv_ipcrecv",
        (
            "VMX_VMCALL_IPCRECV: take the message that has come for this guest, or wait for one. "
            "The place for its page (a gpa, or NO_PAGE) has to be page aligned and RAM, or it is "
            "-E_INVAL. A message that is there (vm->msg_full) is put in its place by "
            "take_message; the page that it came with is given back, and there is room for the "
            "next one. If there is none: note the place in v->recv_gpa, and let the guest wait for "
            "the file server with ipc_guest_wait; the verdict is DO_NEXT_AND_LEAVE. Without a file "
            "server it is -E_BAD_ENV.",
        ),
        (
            "guest_ipc_deliver below: the other half",
            "kern/ipc.h: ipc_lock_server, ipc_guest_wait, ipc_unlock_server",
        ),
        (
            "Looking for a message and beginning to wait is one step, or a message could come in "
            "between: do both between ipc_lock_server and ipc_unlock_server.",
            "ipc_unlock_server has to be called on every way out, also when there is no server.",
            "While the guest waits, guest_ipc_deliver sets its registers; nothing is left for "
            "you to do then.",
        ),
        ("v",),
    ),
)

CHALLENGES = (
    Piece(
        CHALLENGE,
        "pass_pagefault",
        (
            "`vmm -p` intercepts the guest's page faults. Here is one: verify it, then give it "
            "to the guest as the CPU would have. It is verified by a walk of the guest's own "
            "tables (guest_walk): if they allow the access, the fault came from a stale "
            "translation; then have the translations dropped, count it in stats.refused_pf, and "
            "let the guest try again. If the same one (instruction and address) comes again at "
            "once, inject it all the same. Injected faults count in stats.injected_pf.",
        ),
        (
            SDM("Exception Bitmap") + " (bitmap and page-fault error-code mask)",
            SDM("Information for VM Exits Due to Vectored Events"),
            SDM("Event Injection"),
            "vmm/gwalk.h: guest_walk; vmm/vmx/state.h: vmx_read_mode",
            "vmm/vmx/inject.h: inject_page_fault; vmm/vcpu.h: ATTN_TLB_FLUSH, spurious_rip",
        ),
        (
            "The address that faulted is the exit qualification; the guest expects it in CR2, "
            "and an exit does not put it there.",
            "An IRET that faults may have ended the blocking of NMIs already (EVENT_NMI_UNBLOCKED). "
            "If the guest is to try it again, block_nmis_again.",
        ),
        ("v",),
    ),
    Piece(
        CHALLENGE,
        "ept_map_large",
        (
            "Map 2 MiB by one entry of level 1 (EPTE_LARGE), as the contract in vmm/ept.h says. "
            "First make sure that the CPU has such pages (stage2.has_large). As it "
            "stands, every CPU counts as one without, and guests get their memory by 4 KiB pages.",
            "The rest is there: gmem_populate_large decides when a large page is due and finds 512 "
            "frames in a row, ept_lookup_gpa and ept_map_hva2gpa (exercise 2) know what to do with "
            "a large page, and split_large and ept_free take it apart.",
        ),
        (
            SDM("The Extended Page Table Mechanism (EPT)")
            + ": the entry that maps a 2-MByte page",
            SDM("VPID and EPT Capabilities"),
            "vmm/gmem.c: gmem_populate_large",
        ),
        (
            "Bits 20:12 of such an entry are reserved: both addresses have to be aligned to 2 MiB.",
            "A table of level 0 in the place of the entry, also one without a mapping, is -E_BUSY: "
            "a vCPU's leaf cache may have its address (vmm/gmem.c).",
            "Two counts: vm->stats.pages counts frames of 4 KiB, vm->stats.large_pages large pages.",
        ),
        ("vm", "hva", "gpa", "rights"),
        instead=("return -E_NOT_SUPP;",),
    ),
    Piece(
        CHALLENGE,
        "vmcs_switch",
        (
            "A second guest. This CPU's current VMCS is another guest's; now v is to run here. Make "
            "its VMCS current, so that both guests go on as if each were alone. As it stands, a "
            "second guest ends at once while the first one is there.",
        ),
        (
            SDM("Software Use of Virtual-Machine Control Structures"),
            SDM("VMCLEAR, VMPTRLD") + ': the states of a VMCS: active, current, launched',
            "vmcs_load below; struct VmxVcpu in vmm/vmx/vmx_vcpu.h: launched, vmcs_cpu",
        ),
        (
            "More than one VMCS can be active on a CPU; only one is current.",
            "VMCLEAR makes a VMCS clear: the next entry with it is VMLAUNCH. Who clears the other "
            "guest's has to tell it so.",
            "`vmm -n one &` starts a guest in the background, `vms` lists them.",
        ),
        (),
        instead=(
            'guest_kill(v, "this CPU has another guest; vmcs_switch is not implemented yet");',
            "return false;",
        ),
    ),
    Piece(
        CHALLENGE,
        "hv_exits",
        (
            "An exit of your own: VMX_VMCALL_EXITS tells a guest how many exits it has made. rbx is an "
            "exit reason (EXIT_*), or ~0 for all reasons together; the count comes back in rcx, this "
            "exit included, and the result is 0. A reason that the table of counts does not have "
            "(GUEST_NREASONS) is -E_INVAL. As it stands, the call is one that nobody knows.",
            "user/guests/lab-own-exit.c is a guest that tries it. When it works, add a call of a "
            "number and a meaning of your own: inc/vmm.h has the numbers, HYPERCALL_LIST in "
            "vmm/hypercall.h the functions.",
        ),
        (
            "inc/vmm.h: the hypercalls with their registers; inc/vmexits.h: the reasons",
            "vmm/vcpu.h: struct ExitStats",
            "the other calls in this file",
        ),
        (
            "Outside of 64-bit mode a guest has 32 bits for ~0: arguments() has the registers as "
            "its mode means them.",
            "count_exit counts an exit before its handler is called.",
        ),
        (),
        instead=("return hv_result(v, -E_NO_SYS);",),
    ),
)

PIECES: Dict[str, Piece] = {
    piece.name: piece
    for exercise in (
        EXERCISE_0,
        EXERCISE_1,
        EXERCISE_2,
        EXERCISE_3,
        EXERCISE_4,
        EXERCISE_5,
        EXERCISE_6,
        EXERCISE_7,
        CHALLENGES,
    )
    for piece in exercise
}
