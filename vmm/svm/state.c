/*
 * A vCPU's registers for the shared parts: they are fields of the VMCB, which the CPU has brought
 * up to date at the last exit.
 */
#include <vmm/backend.h>
#include <vmm/debug/dr.h>
#include <vmm/svm/exit_cr.h>
#include <vmm/svm/state.h>
#include <vmm/gwalk.h>
#include <vmm/svm/svm_vcpu.h>

#define ATTRIBUTES_LOW                                                         \
    0xffu /* of VSEG_*: byte 5 of the descriptor, and the upper half of byte 6 \
           */
#define ATTRIBUTES_HIGH  0xf00u
#define ATTRIBUTES_SHIFT 4
#define DPL_SHIFT        5

/* The registers that are just fields. RDMSR of the TSC and CR8 are elsewhere. */
static uint64_t *field_of(struct Vmcb *b, enum VcpuReg reg)
{
    switch (reg) {
    case VREG_RIP:
        return &b->rip;
    case VREG_RSP:
        return &b->rsp;
    case VREG_RFLAGS:
        return &b->rflags;
    case VREG_CR0:
        return &b->cr0;
    case VREG_CR3:
        return &b->cr3;
    case VREG_CR4:
        return &b->cr4;
    case VREG_EFER:
        return &b->efer;
    case VREG_DR6:
        return &b->dr6;
    case VREG_DR7:
        return &b->dr7;
    case VREG_PAT:
        return &b->pat;
    case VREG_FS_BASE:
        return &b->fs.base;
    case VREG_GS_BASE:
        return &b->gs.base;
    case VREG_KERNEL_GS_BASE:
        return &b->kernel_gs_base;
    case VREG_STAR:
        return &b->star;
    case VREG_LSTAR:
        return &b->lstar;
    case VREG_SFMASK:
        return &b->sfmask;
    case VREG_TSC_OFFSET:
        return &b->tsc_offset;
    case VREG_BLOCKING:
    case VREG_PENDING_DEBUG:
        return NULL;
    }
    return NULL;
}

/* Bits of the field that are the host's. */
static uint64_t host_bits(enum VcpuReg reg)
{
    if (reg == VREG_CR4)
        return svm_host_cr4();
    return reg == VREG_EFER ? EFER_SVME : 0;
}

static uint64_t blocking(const struct SvmVcpu *s)
{
    return (s->vmcb->interrupt_shadow & SHADOW_ON ? VBLOCK_STI : 0) |
           (s->nmi_blocked ? VBLOCK_NMI : 0);
}

uint64_t svm_get(const struct Vcpu *v, enum VcpuReg reg)
{
    const struct SvmVcpu *s = (const struct SvmVcpu *)v;
    const uint64_t *field = field_of(s->vmcb, reg);
    if (field)
        return *field & ~host_bits(reg);
    return reg == VREG_BLOCKING ? blocking(s) : s->v.attn & ATTN_TRAP ? DR6_BS : 0;
}

static void set_trap(struct Vcpu *v, bool due)
{
    if (due)
        vcpu_attn(v, ATTN_TRAP);
    else
        __atomic_and_fetch(&v->attn, ~ATTN_TRAP, __ATOMIC_RELAXED);
}

void svm_set(struct Vcpu *v, enum VcpuReg reg, uint64_t value)
{
    struct SvmVcpu *s = svm_vcpu(v);
    uint64_t *field = field_of(s->vmcb, reg);
    if (reg == VREG_DR7)
        svm_set_dr7(s, value);
    else if (field)
        *field = value | host_bits(reg);
    else if (reg == VREG_PENDING_DEBUG)
        set_trap(v, value & DR6_BS);
    else
        s->vmcb->interrupt_shadow = value & (VBLOCK_STI | VBLOCK_MOV_SS) ? SHADOW_ON : 0;
}

static struct VmcbSegment *segment_of(struct Vmcb *b, enum VcpuSegment n)
{
    struct VmcbSegment *const segments[] = {
        [VSEG_ES] = &b->es, [VSEG_CS] = &b->cs, [VSEG_SS] = &b->ss,
        [VSEG_DS] = &b->ds, [VSEG_FS] = &b->fs, [VSEG_GS] = &b->gs
    };
    return segments[n];
}

/* The DPL of SS is the CPL for the shared parts; here it has a field of its own. */
struct Segment svm_get_segment(const struct Vcpu *v, enum VcpuSegment n)
{
    struct Vmcb *b = svm_vmcb(v);
    const struct VmcbSegment *from = segment_of(b, n);
    uint32_t a = (from->attributes & ATTRIBUTES_LOW) | (from->attributes & ATTRIBUTES_HIGH)
                                                           << ATTRIBUTES_SHIFT;
    if (!(from->attributes & VMCB_SEG_PRESENT))
        a |= VSEG_UNUSABLE;
    if (n == VSEG_SS)
        a = (a & ~(3u << DPL_SHIFT)) | (uint32_t)b->cpl << DPL_SHIFT;
    return (struct Segment){ from->selector, a, from->limit, from->base };
}

void svm_set_segment(struct Vcpu *v, enum VcpuSegment n, const struct Segment *seg)
{
    struct Vmcb *b = svm_vmcb(v);
    uint32_t a = seg->attributes;
    *segment_of(b, n) = (struct VmcbSegment){
        .selector = seg->selector,
        .attributes = (a & ATTRIBUTES_LOW) | (a >> ATTRIBUTES_SHIFT & ATTRIBUTES_HIGH),
        .limit = seg->limit,
        .base = seg->base,
    };
    if (n == VSEG_SS)
        b->cpl = VSEG_DPL(a);
}

/* The CPU reads PDPTEs from memory when it needs them, with nested paging (APM 2 "PAE Paging"). */
void svm_paging_mode(const struct Vcpu *v, struct PagingMode *m)
{
    const struct Vmcb *b = svm_vmcb(v);
    m->cr0 = b->cr0;
    m->cr3 = b->cr3;
    m->cr4 = b->cr4;
    m->efer = b->efer;
    m->rflags = b->rflags;
    if ((b->cr0 & CR0_PG) && (b->cr4 & CR4_PAE) && !(b->efer & EFER_LMA))
        guest_read_pdptes((struct Vcpu *)v, b->cr3, m->pdpte);
}
