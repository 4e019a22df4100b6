/*
 * Extended state of guests. XCR0 is the guest's while its vCPU has the CPU, since not every CPU
 * exits when a guest writes it; so it is read there when it has to be known.
 */
#include <inc/mmu.h>
#include <inc/xsave.h>
#include <kern/frame.h>
#include <kern/xstate.h>
#include <vmm/backend.h>
#include <vmm/kill.h>
#include <vmm/vcpu.h>
#include <vmm/xstate.h>

#define XCR0_RESET XCR0_X87

/* All that may have values, on or off: a component that a guest turns off keeps its own. */
static uint64_t components(void)
{
    return guest_features.xcr0_all & ~XCR0_LEGACY;
}

void vcpu_load_xstate(struct Vcpu *v)
{
    xstate_open(guest_features.xcr0_all);
    xstate_load(v->env->env_xstate, components());
    xstate_open(v->xcr0);
    xstate_close();
}

void vcpu_save_xstate(struct Vcpu *v)
{
    v->xcr0 = vcpu_xcr0(v);
    xstate_open(guest_features.xcr0_all);
    xstate_save(v->env->env_xstate, components());
    xstate_forget(components());
    xstate_close();
}

uint64_t vcpu_xcr0(const struct Vcpu *v)
{
    if (!v->xsave)
        return XCR0_RESET;
    uint64_t cr4 = rcr4();
    lcr4(cr4 | CR4_OSXSAVE);
    uint64_t xcr0 = xgetbv(0);
    lcr4(cr4);
    return xcr0;
}

static void start(struct Vcpu *v)
{
    v->env->env_xstate = page_new();
    if (!v->env->env_xstate) {
        guest_kill(v, "no memory for the state of its extended registers");
        return;
    }
    v->xcr0 = XCR0_RESET;
    v->xsave = v->has_extras = true;
    vcpu_load_xstate(v);
}

void vcpu_cr4_changed(struct Vcpu *v, uint64_t cr4)
{
    bool on = cr4 & CR4_OSXSAVE;
    if (on && !v->xsave)
        start(v);
    v->cpuid[1].ecx = (v->cpuid[1].ecx & ~CPUID1_ECX_OSXSAVE) | (on ? CPUID1_ECX_OSXSAVE : 0);
}

/* SDM "XSETBV-Set Extended Control Register": x87 always; AVX with SSE, and AVX-512's three with
 * AVX. */
static bool xcr0_ok(const struct Vm *vm, uint64_t value)
{
    uint64_t wide = value & XCR0_AVX512;
    if (!(value & XCR0_X87) || (value & ~vm->xcr0))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    return wide == 0 || (wide == XCR0_AVX512 && (value & XCR0_AVX));
}

enum Verdict vcpu_xsetbv(struct Vcpu *v, uint32_t index, uint64_t value)
{
    if (index != 0 || !v->xsave || !xcr0_ok(v->vm, value))
        return DO_GP;
    xstate_open(value);
    xstate_close();
    return DO_NEXT;
}
