/*
 * RDMSR and WRMSR. What an MSR does is decided in vmm/msr.c and vmm/vapic.c; EFER is in the VMCS.
 */
#include <inc/string.h>
#include <vmm/cr.h>
#include <vmm/msr.h>
#include <vmm/vapic_regs.h>
#include <vmm/vmx/exit_msr.h>
#include <vmm/vmx/inject.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vmx/run.h>

/* Layout of the bitmap, 1 KiB each: SDM "MSR-Bitmap Address". */
#define BITMAP_READ_LOW  0
#define BITMAP_READ_HIGH 1024
#define BITMAP_WRITE     2048
#define HIGH_MSRS        0xc0000000u
#define BITMAP_MSRS      0x1fff

static void let_through(uint8_t *bitmap, uint32_t msr, int pass)
{
    uint8_t *map = bitmap + (msr >= HIGH_MSRS ? BITMAP_READ_HIGH : BITMAP_READ_LOW);
    uint32_t bit = msr & BITMAP_MSRS;
    if (pass & MSR_PASS_READ)
        map[bit / 8] &= ~(1u << bit % 8);
    if (pass & MSR_PASS_WRITE)
        map[BITMAP_WRITE + bit / 8] &= ~(1u << bit % 8);
}

void msr_bitmap_init(uint8_t *bitmap)
{
    memset(bitmap, 0xff, PGSIZE);
    msr_each_passed(let_through, bitmap);
}

void msr_bitmap_stop(uint8_t *bitmap, uint32_t msr)
{
    uint32_t bit = msr & BITMAP_MSRS;
    bitmap[(msr >= HIGH_MSRS ? BITMAP_READ_HIGH : BITMAP_READ_LOW) + bit / 8] |= 1u << bit % 8;
    bitmap[(msr >= HIGH_MSRS ? BITMAP_READ_HIGH : BITMAP_READ_LOW) + BITMAP_WRITE + bit / 8] |=
        1u << bit % 8;
}

/* The end of a RDMSR. */
static inline bool end_read(struct Vcpu *v, struct MsrValue r)
{
    if (__builtin_expect(r.verdict != DO_NEXT, 0))
        return vmx_gp(v);
    v->env->env_tf.tf_rax = (uint32_t)r.value;
    v->env->env_tf.tf_rdx = r.value >> 32;
    return vmx_skip(v);
}

static inline bool end_write(struct Vcpu *v, enum Verdict verdict)
{
    return __builtin_expect(verdict == DO_NEXT, 1) ? vmx_skip(v) : vmx_end(v, verdict);
}

static bool __attribute__((noinline)) read_other(struct Vcpu *v, uint32_t msr)
{
    return end_read(v, msr_read(v, msr));
}

bool handle_rdmsr(struct Vcpu *v)
{
    uint32_t msr = v->env->env_tf.tf_rcx;
    return vapic_has_msr(v, msr) ? end_read(v, vapic_read(v, msr)) : read_other(v, msr);
}

static bool __attribute__((noinline)) write_efer(struct Vcpu *v, uint64_t value)
{
    struct ControlRegs r = { .cr0 = vmread_known(VMCS_GUEST_CR0),
                             .efer = vmread_known(VMCS_GUEST_EFER) };
    if (!efer_write(&r, value, v->efer_reserved))
        return vmx_gp(v);
    vmwrite_known(VMCS_GUEST_EFER, r.efer);
    if (r.flush)
        vcpu_attn(v, ATTN_TLB_FLUSH);
    return vmx_skip(v);
}

static inline bool write_apic(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    return end_write(v, vapic_write(v, msr, value));
}

static bool __attribute__((noinline)) write_other(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    return end_write(v, msr_write(v, msr, value));
}

bool handle_wrmsr(struct Vcpu *v)
{
    const struct Trapframe *tf = &v->env->env_tf;
    uint32_t msr = tf->tf_rcx;
    uint64_t value = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    if (vapic_has_msr(v, msr))
        return write_apic(v, msr, value);
    return msr == MSR_EFER ? write_efer(v, value) : write_other(v, msr, value);
}
