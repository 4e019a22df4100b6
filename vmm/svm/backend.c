/*
 * What this back end offers to the shared parts: struct Backend. The state of a vCPU is in memory,
 * so whoever has locked its env can read it on any CPU, and nothing has to be fetched or put down.
 */
#include <inc/error.h>
#include <inc/mmu.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/dev/lapic.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/backend.h>
#include <kern/frame.h>
#include <vmm/svm/check/check.h>
#include <vmm/svm/describe.h>
#include <vmm/svm/exit_cr.h>
#include <vmm/svm/exit_exception.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/run.h>
#include <vmm/svm/state.h>
#include <vmm/svm/svm_vcpu.h>

static void vcpu_free(struct Vcpu *v)
{
    page_drop(svm_vmcb(v));
    for (uint32_t i = 0; i < ncpu; i++)
        if (cpus[i].cpu_svm_vcpu == v)
            WRITE_ONCE(cpus[i].cpu_svm_vcpu, NULL);
    page_drop(v);
}

static int vcpu_alloc(struct Vcpu **store)
{
    struct SvmVcpu *s = page_new();
    if (!s)
        return -E_NO_MEM;
    s->vmcb = page_new();
    if (!s->vmcb) {
        page_drop(s);
        return -E_NO_MEM;
    }
    s->vmcb_pa = PADDR(s->vmcb);
    *store = &s->v;
    return 0;
}

static void nothing(void)
{
}

static bool yes(struct Vcpu *v)
{
    (void)v;
    return true;
}

static void nothing_for(struct Vcpu *v)
{
    (void)v;
}

static bool skip_here(struct Vcpu *v)
{
    svm_skip_instruction(v, 0);
    return true;
}

static bool in_64bit(const struct Vcpu *v)
{
    return svm_in_64bit(svm_vmcb(v));
}

/* RFLAGS.TF bounds a step. */
static bool step(struct Vcpu *v, bool on)
{
    (void)v, (void)on;
    return false;
}

static uint32_t injected(const struct Vcpu *v)
{
    return svm_vmcb(v)->event_inject;
}

const struct Backend svm_backend = {
    .name = "SVM",
    .control_block = "VMCB",
    .check = svm_check,
    .turn_on = svm_turn_on,
    .vcpu_alloc = vcpu_alloc,
    .vcpu_free = vcpu_free,
    .run = svm_run,
    .hand_over = svm_hand_over,
    .put_down = nothing,
    .skip_here = skip_here,
    .borrow = yes,
    .give_back = nothing_for,
    .get = svm_get,
    .set = svm_set,
    .get_segment = svm_get_segment,
    .set_segment = svm_set_segment,
    .in_64bit = in_64bit,
    .interrupts_open = svm_interrupts_open,
    .paging_mode = svm_paging_mode,
    .skip = svm_skip_instruction,
    .inject_fault = svm_inject_fault,
    .pass_exception = svm_pass_exception,
    .set_exceptions = svm_set_exceptions,
    .set_dr_exits = svm_set_dr_exits,
    .prepare_steps = nothing,
    .step = step,
    .exit_at_once = svm_exit_at_once,
    .describe = svm_describe,
    .injected = injected,
    .check_entry = svm_check_entry,
    .break_entry = svm_break_entry,
    .self_test = svm_check_self_test,
    .print = svm_print,
};
