/*
 * A vCPU's general registers as instructions number them.
 */
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/drs.h>
#include <vmm/vcpu.h>
#include <vmm/xstate.h>

#define GPR_RSP 4

static const uint16_t gpr_offset[16] = {
    offsetof(struct Trapframe, tf_rax),
    offsetof(struct Trapframe, tf_rcx),
    offsetof(struct Trapframe, tf_rdx),
    offsetof(struct Trapframe, tf_rbx),
    0,
    offsetof(struct Trapframe, tf_rbp),
    offsetof(struct Trapframe, tf_rsi),
    offsetof(struct Trapframe, tf_rdi),
    offsetof(struct Trapframe, tf_r8),
    offsetof(struct Trapframe, tf_r9),
    offsetof(struct Trapframe, tf_r10),
    offsetof(struct Trapframe, tf_r11),
    offsetof(struct Trapframe, tf_r12),
    offsetof(struct Trapframe, tf_r13),
    offsetof(struct Trapframe, tf_r14),
    offsetof(struct Trapframe, tf_r15),
};

static uint64_t *gpr(const struct Vcpu *v, int n)
{
    return (uint64_t *)((char *)&v->env->env_tf + gpr_offset[n]);
}

uint64_t vcpu_whole_gpr(const struct Vcpu *v, int n)
{
    return n == GPR_RSP ? backend->get(v, VREG_RSP) : *gpr(v, n);
}

uint64_t vcpu_gpr(const struct Vcpu *v, int n)
{
    uint64_t value = vcpu_whole_gpr(v, n);
    return backend->in_64bit(v) ? value : (uint32_t)value;
}

void vcpu_set_gpr(struct Vcpu *v, int n, uint64_t value)
{
    if (n == GPR_RSP)
        backend->set(v, VREG_RSP, value);
    else
        *gpr(v, n) = value;
}

void vcpu_load_extras(struct Vcpu *v)
{
    if (vcpu_uses_drs(v))
        vcpu_load_drs(v);
    if (v->xsave)
        vcpu_load_xstate(v);
}

void vcpu_save_extras(struct Vcpu *v)
{
    if (vcpu_uses_drs(v))
        vcpu_save_drs(v);
    if (v->xsave)
        vcpu_save_xstate(v);
}
