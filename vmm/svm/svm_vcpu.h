/*
 * A vCPU as this back end has it.
 */
#ifndef JOS_VMM_SVM_SVM_VCPU_H
#define JOS_VMM_SVM_SVM_VCPU_H

#include <inc/mmu.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <vmm/svm/svm.h>
#include <vmm/svm/vmcb.h>
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
    bool window;        /* V_IRQ is set, as a window */
    bool nmi_blocked;   /* an NMI's handler has not executed IRET yet */
    bool dr_exits;      /* accesses to debug registers exit */
    bool iret_step; /* the IRET of an NMI's handler is stepped by RFLAGS.TF, since another waits */
    bool iret_tf;   /* and the guest's own TF is this */
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

/* Can it go on with the ASID that it has? */
static inline bool svm_asid_is_valid(const struct SvmVcpu *s, const struct Cpu *c)
{
    return s->asid_cpu == c->cpu_num && s->asid_generation == c->cpu_asid_generation;
}

#endif
