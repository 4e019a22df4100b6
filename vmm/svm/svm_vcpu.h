/*
 * A vCPU as this back end has it, and what the files of vmm/svm/ offer to each other.
 */
#ifndef JOS_VMM_SVM_SVM_VCPU_H
#define JOS_VMM_SVM_SVM_VCPU_H

#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/pmap.h>
#include <kern/sched.h>
#include <vmm/backend.h>
#include <vmm/stop.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/svm.h>
#include <vmm/vcpu.h>

/* An instruction whose length was found out: quick while the same bytes are there. */
struct InsnCache {
    uint64_t at; /* RIP + CS.base */
    uint64_t cr3;
    const uint64_t *where; /* in the host's memory */
    uint64_t bytes;        /* that were there; never those of an empty entry */
    uint64_t next;         /* RIP of the next instruction, on the same side of 4 GiB */
} __attribute__((aligned(64)));
#define NINSNS 16

struct SvmVcpu {
    struct Vcpu v; /* first: the shared parts know only this */
    struct Vmcb *vmcb;
    physaddr_t vmcb_pa;
    physaddr_t host_pa; /* of this CPU's page of host state, while the vCPU has the CPU */
    /* What handles its exits: svm_vmexit, or a longer way. */
    bool (*vmexit)(struct SvmVcpu *s);
    bool special;       /* entries and exits move DR7 */
    uint64_t entry_dr7; /* what they move there */
    bool ready;         /* vmcb_init was done */
    bool window;        /* V_IRQ is set, as a window */
    bool nmi_blocked;   /* an NMI's handler has not executed IRET yet */
    bool dr_exits;      /* accesses to debug registers exit */
    bool iret_step; /* the IRET of an NMI's handler is stepped by RFLAGS.TF, since another waits */
    bool iret_tf;   /* and the guest's own TF is this */
    bool trap_due;  /* an instruction was executed here with RFLAGS.TF: #DB comes next */
    bool untidy;    /* the next look around has to see to these: */
    /* A software interrupt that the last entry has injected; info 0: none */
    struct Event soft;
    /* What could not enter at the last entry, without a window for it: ATTN_*. */
    uint32_t retry;
    bool shadow_kept; /* the next entry is at shadow_rip, in an interrupt shadow */
    uint64_t shadow_rip;
    /* Control register writes are not intercepted until the next look around. */
    bool cr0_free;
    /* Its ASID is valid on one CPU, in one generation. */
    uint32_t asid_cpu, asid_generation;
    uint64_t tsc_aux; /* while not on a CPU */
    struct InsnCache insns[NINSNS];
};
_Static_assert(sizeof(struct SvmVcpu) <= PGSIZE, "a vCPU's state is one page");

static inline struct SvmVcpu *svm_vcpu(struct Vcpu *v)
{
    return (struct SvmVcpu *)v;
}

static inline struct Vmcb *svm_vmcb(const struct Vcpu *v)
{
    return ((const struct SvmVcpu *)v)->vmcb;
}

/* Is the guest in 64-bit mode (not compatibility mode)? */
static inline bool svm_in_64bit(const struct Vmcb *b)
{
    return (b->cs.attributes & VMCB_SEG_L) && (b->efer & EFER_LMA);
}

/* ---- svm.c ---- */
int svm_check(char *why, size_t size);
int svm_turn_on(void);
/* Before an entry that is certain: drop the vCPU's translations, or give it an ASID here. */
void svm_flush(struct SvmVcpu *s);
/* Can it go on with the ASID that it has? */
static inline bool svm_asid_is_valid(const struct SvmVcpu *s, const struct Cpu *c)
{
    return s->asid_cpu == c->cpu_num && s->asid_generation == c->cpu_asid_generation;
}

/* ---- vmcb.c ---- */
/* Controls and state of a new vCPU. */
void vmcb_init(struct SvmVcpu *s);
/* CR4.MCE is the host's while a guest runs: machine checks are to exit. */
uint64_t svm_host_cr4(void);
void svm_set_exceptions(struct Vcpu *v, uint32_t more);
/* Set or clear bits of a word of intercepts. */
void vmcb_intercept(struct Vmcb *b, enum InterceptWord word, uint32_t bits, bool on);

/* ---- perms.c ---- */
/* Physical addresses of the permission maps, which all guests share. */
physaddr_t svm_iopm(void);
physaddr_t svm_msrpm(void);
void svm_perms_init(void);

/* ---- state.c ---- */
uint64_t svm_get(const struct Vcpu *v, enum VcpuReg reg);
void svm_set(struct Vcpu *v, enum VcpuReg reg, uint64_t value);
struct Segment svm_get_segment(const struct Vcpu *v, enum VcpuSegment n);
void svm_set_segment(struct Vcpu *v, enum VcpuSegment n, const struct Segment *seg);
void svm_paging_mode(const struct Vcpu *v, struct PagingMode *m);

/* ---- insn.c: what the CPU does not report of an instruction that exited ---- */
struct SvmInsn {
    uint8_t length; /* bytes; 0: not an instruction that is known here */
    uint8_t opcode; /* after 0x0f, if two_bytes */
    bool two_bytes;
    uint8_t modrm;   /* if it has one */
    uint8_t operand; /* of INT n */
    uint8_t rex;
    bool operand16, address_size, rep; /* prefixes 0x66, 0x67, 0xf2 or 0xf3 */
    int segment;                       /* VSEG_* of a prefix; -1: none */
};
/* Read and decode the instruction at RIP. false: it cannot be read. */
bool svm_decode(struct SvmVcpu *s, struct SvmInsn *insn);
/* RIP of the next instruction, where it is one that exits. */
uint64_t svm_next_rip(struct SvmVcpu *s, struct InsnCache *c);
/* The same, if it was found out before. The same bytes at the same place have the same length; that
 * the guest has mapped other memory there since, without a change of CR3, hurts only the guest. */
ALWAYS_INLINE bool svm_knows_insn(struct SvmVcpu *s, struct InsnCache **entry)
{
    const struct Vmcb *b = s->vmcb;
    uint64_t at = b->rip + b->cs.base;
    struct InsnCache *c = &s->insns[at % NINSNS];
    *entry = c;
    return __builtin_expect(c->at == at && c->cr3 == b->cr3 && *c->where == c->bytes, 1);
}
/* The general register that its ModRM byte names. */
int svm_modrm_gpr(const struct SvmInsn *insn);
/* Memory of the guest has been replaced. */
void svm_forget_insns(struct SvmVcpu *s);

/* ---- inject.c ---- */
/* Keep the event of this EXITINTINFO, whose delivery the exit has interrupted. */
void svm_keep_event(struct SvmVcpu *s, uint64_t info);
static inline void svm_keep_exit_event(struct SvmVcpu *s)
{
    uint64_t info = s->vmcb->exit_int_info;
    if (__builtin_expect(info & EVENT_VALID, 0))
        svm_keep_event(s, info);
}
void svm_inject_fault(struct Vcpu *v, int vector, uint32_t error);
/* Do what Vcpu.attn asks for, as the last thing before an entry. false: leave the guest. */
bool svm_attend(struct SvmVcpu *s);
bool svm_interrupts_open(const struct Vcpu *v);
/* NMIs are blocked no longer, once the IRET at RIP is executed. */
void svm_nmi_iret(struct SvmVcpu *s);
/* An exception while that is stepped. true: it is the step's end; else it is to be handled. */
bool svm_end_iret(struct SvmVcpu *s);
/* QEMU forgets the interrupt shadow that it was entered with. An entry that has come no further
 * than its first instruction is still in it: else an interrupt could come between STI and HLT. */
static inline void svm_find_shadow(struct SvmVcpu *s)
{
    if (__builtin_expect(!s->shadow_kept, 1))
        return;
    if (s->vmcb->rip == s->shadow_rip)
        s->vmcb->interrupt_shadow |= SHADOW_ON;
    s->shadow_kept = false;
}
/* Do this (ATTN_*) again within the next microseconds. */
void svm_retry_soon(struct SvmVcpu *s, uint32_t attn);

/* ---- run.c ---- */
/*
 * What comes after an exit. A handler's last act is to call one of these, and to return what it
 * returns: true: enter the guest again; false: leave it, and ask the scheduler. svm_resume goes on
 * at the instruction that exited, svm_skip after it. Both may find that the host wants the CPU.
 */
bool svm_resume(struct SvmVcpu *s);
bool svm_skip(struct SvmVcpu *s);
/* The same where the next instruction is known. */
bool svm_skip_to(struct SvmVcpu *s, uint64_t rip);
bool svm_leave(struct SvmVcpu *s);
/* End an exit as a shared decision says. */
bool svm_finish_rare(struct SvmVcpu *s, enum Verdict verdict);
static inline bool svm_finish(struct SvmVcpu *s, enum Verdict verdict)
{
    return __builtin_expect(verdict == DO_NEXT, 1) ? svm_skip(s) : svm_finish_rare(s, verdict);
}
/* Go on after the instruction that exited, whatever comes next; length 0: that of the instruction.
 */
void svm_skip_instruction(struct Vcpu *v, uint32_t length);
void svm_run(struct Env *e);
void svm_hand_over(struct Vcpu *v);
/* Which way entries and exits go: after a change of DR7. */
void svm_note_special(struct SvmVcpu *s);

/* asm_svmrun.S: enter the guest with the general registers in tf, where *s->vmexit finds those it
 * had at its exit, until that returns false. */
void asm_svmrun(struct Trapframe *tf, struct SvmVcpu *s);
extern const char asm_svmrun_end[];

/* ---- exit.c and the families of handlers ---- */
/* Handle the exit that has just happened. true: enter the guest again; false: ask the scheduler. */
bool svm_vmexit(struct SvmVcpu *s);
/* The same for one whose exits are traced, or that no table knows; and for one that is special, or
 * while gdb debugs this kernel. */
bool svm_vmexit_slow(struct SvmVcpu *s);
bool svm_vmexit_special(struct SvmVcpu *s);
enum GuestExitReason svm_exit_reason(const struct Vmcb *b);
bool svm_handle_cpuid(struct SvmVcpu *s);
bool svm_handle_cr_read(struct SvmVcpu *s);
bool svm_handle_cr_write(struct SvmVcpu *s);
bool svm_handle_dr(struct SvmVcpu *s);
bool svm_handle_exception(struct SvmVcpu *s);
bool svm_handle_swint(struct SvmVcpu *s);
bool svm_handle_icebp(struct SvmVcpu *s);
bool svm_handle_io(struct SvmVcpu *s);
bool svm_handle_msr(struct SvmVcpu *s);
bool svm_handle_npf(struct SvmVcpu *s);
void svm_set_dr_exits(struct Vcpu *v, bool exits);
void svm_set_dr7(struct SvmVcpu *s, uint64_t value);
void svm_pass_exception(struct Vcpu *v, const struct VcpuException *x);

/* ---- describe.c ---- */
void svm_describe(const struct Vcpu *v, struct GuestTraceEntry *e);
void svm_print(bool copy);

#endif
