/*
 * A vCPU's registers in its VMCS, for the shared parts of the VMM. The VMCS is current.
 */
#include <vmm/vmx/state.h>
#include <vmm/vmx/vmcs_guest.h>

#define SEGMENT_FIELDS \
    2 /* from one segment's VMCS field to the next's, which have VSEG_*'s order */

/* Registers that are just a field. */
static const enum VmcsField fields[] = {
    [VREG_RIP] = VMCS_GUEST_RIP,
    [VREG_RSP] = VMCS_GUEST_RSP,
    [VREG_RFLAGS] = VMCS_GUEST_RFLAGS,
    [VREG_CR3] = VMCS_GUEST_CR3,
    [VREG_EFER] = VMCS_GUEST_EFER,
    [VREG_DR7] = VMCS_GUEST_DR7,
    [VREG_PAT] = VMCS_GUEST_PAT,
    [VREG_FS_BASE] = VMCS_GUEST_FS_BASE,
    [VREG_GS_BASE] = VMCS_GUEST_GS_BASE,
    [VREG_TSC_OFFSET] = VMCS_TSC_OFFSET,
    [VREG_BLOCKING] = VMCS_GUEST_INTERRUPTIBILITY,
    [VREG_PENDING_DEBUG] = VMCS_GUEST_PENDING_DBG,
};

/* Those in the MSR areas; NSWITCHED_MSRS: none of them. */
static int switched(enum VcpuReg reg)
{
    switch (reg) {
    case VREG_KERNEL_GS_BASE:
        return SWITCHED_KERNEL_GS_BASE;
    case VREG_STAR:
        return SWITCHED_STAR;
    case VREG_LSTAR:
        return SWITCHED_LSTAR;
    case VREG_SFMASK:
        return SWITCHED_SFMASK;
    default:
        return NSWITCHED_MSRS;
    }
}

/* A control register as the guest sees it. */
static uint64_t seen(enum VmcsField real, enum VmcsField mask, enum VmcsField shadow)
{
    uint64_t hosts = vmread(mask);
    return (vmread(real) & ~hosts) | (vmread(shadow) & hosts);
}

uint64_t vmx_get(const struct Vcpu *v, enum VcpuReg reg)
{
    int n = switched(reg);
    if (n < NSWITCHED_MSRS)
        return vmx(v)->guest_msrs[n].value;
    switch (reg) {
    case VREG_CR0:
        return seen(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW);
    case VREG_CR4:
        return seen(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW);
    case VREG_DR6:
        return rdr6();
    default:
        return vmread(fields[reg]);
    }
}

void vmx_set(struct Vcpu *v, enum VcpuReg reg, uint64_t value)
{
    int n = switched(reg);
    if (n < NSWITCHED_MSRS)
        vmx(v)->guest_msrs[n].value = value;
    else if (reg == VREG_DR6)
        ldr6(value);
    else
        vmwrite(fields[reg], value);
}

struct Segment vmx_get_segment(const struct Vcpu *v, enum VcpuSegment n)
{
    (void)v;
    return (struct Segment){
        .selector = vmread(VMCS_GUEST_ES_SEL + SEGMENT_FIELDS * n),
        .attributes = vmread(VMCS_GUEST_ES_AR + SEGMENT_FIELDS * n),
        .limit = vmread(VMCS_GUEST_ES_LIMIT + SEGMENT_FIELDS * n),
        .base = vmread(VMCS_GUEST_ES_BASE + SEGMENT_FIELDS * n),
    };
}

void vmx_set_segment(struct Vcpu *v, enum VcpuSegment n, const struct Segment *s)
{
    (void)v;
    vmwrite(VMCS_GUEST_ES_SEL + SEGMENT_FIELDS * n, s->selector);
    vmwrite(VMCS_GUEST_ES_AR + SEGMENT_FIELDS * n, s->attributes);
    vmwrite(VMCS_GUEST_ES_LIMIT + SEGMENT_FIELDS * n, s->limit);
    vmwrite(VMCS_GUEST_ES_BASE + SEGMENT_FIELDS * n, s->base);
}
