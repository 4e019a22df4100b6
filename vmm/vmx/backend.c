/*
 * VT-x as a back end of the VMM.
 */
#include <inc/error.h>
#include <inc/trap.h>
#include <kern/pmap.h>
#include <vmm/test/check.h>
#include <vmm/vmx/check/check.h>
#include <vmm/vmx/dump.h>
#include <vmm/vmx/exit_exception.h>
#include <vmm/vmx/exit_msr.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/mtf.h>
#include <vmm/vmx/run.h>
#include <vmm/vmx/state.h>
#include <vmm/vmx/vmcs_load.h>

static void vcpu_free(struct Vcpu *v)
{
    vmcs_unload(v);
    page_drop(vmx(v)->msr_bitmap);
    page_drop(vmx(v)->vmcs);
    page_drop(v);
}

static int vcpu_alloc(struct Vcpu **store)
{
    struct VmxVcpu *x = page_new();
    if (!x)
        return -E_NO_MEM;
    x->vmcs_cpu = -1;
    x->v.quick_reasons = VMX_NREASONS;
    x->vmcs = page_new();
    x->msr_bitmap = page_new();
    if (!x->vmcs || !x->msr_bitmap) {
        vcpu_free(&x->v);
        return -E_NO_MEM;
    }
    msr_bitmap_init(x->msr_bitmap);
    *store = &x->v;
    return 0;
}

static void skip(struct Vcpu *v, uint32_t length)
{
    (void)v;
    if (length == 0)
        skip_instruction();
    else
        vmx_step_over(length);
}

static void paging_mode(const struct Vcpu *v, struct PagingMode *m)
{
    (void)v;
    vmx_read_mode(m);
}

static void set_exceptions(struct Vcpu *v, uint32_t more)
{
    vmwrite(VMCS_EXCEPTION_BITMAP, vcpu_exceptions(v) | more);
}

static void set_dr_exits(struct Vcpu *v, bool exits)
{
    vmx(v)->proc = exits ? vmx(v)->proc | PROC_MOV_DR : vmx(v)->proc & ~PROC_MOV_DR;
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc);
}

/* SDM "VMX-Preemption Timer": with 0 it ends the stay before the first instruction, but after the
 * delivery of an injected event. The run loop gives it another value at its next look around. */
static void exit_at_once(struct Vcpu *v)
{
    (void)v;
    vmwrite(VMCS_PREEMPT_TIMER, 0);
}

static uint32_t injected(const struct Vcpu *v)
{
    (void)v;
    return vmread(VMCS_ENTRY_INTR_INFO);
}

static void print(bool copy)
{
    if (copy)
        vmcs_take_dump();
    else
        vmcs_print();
}

static unsigned check_vmcs(struct Vcpu *v)
{
    (void)v;
    struct CheckView view;
    vmcs_check(&view, true);
    return view.violations;
}

static void describe_exception(struct GuestTraceEntry *e)
{
    uint32_t info = vmread(VMCS_EXIT_INTR_INFO);
    e->vector = info & EVENT_VECTOR;
    e->is_nmi = (info & EVENT_TYPE) == EVENT_NMI;
    if (e->vector == T_PGFLT)
        e->address = e->info;
}

static void describe_register(struct GuestTraceEntry *e)
{
    bool dr = e->reason == EXIT_DR_ACCESS;
    e->reg = dr ? QUAL_DR(e->info) : QUAL_CR(e->info);
    e->gpr = dr ? QUAL_DR_GPR(e->info) : QUAL_CR_GPR(e->info);
    if (dr)
        e->reg_access = e->info & QUAL_DR_FROM ? REG_READ : REG_WRITE;
    else
        e->reg_access = QUAL_CR_TYPE(e->info); /* numbered like enum GuestRegAccess */
    if (!dr && e->reg_access == REG_LMSW)
        e->value = e->info >> 16 & 0xffff;
}

static void describe_io(struct GuestTraceEntry *e)
{
    e->io = (struct GuestIo){ .port = QUAL_IO_PORT(e->info),
                              .size = QUAL_IO_SIZE(e->info),
                              .in = !!(e->info & QUAL_IO_IN) };
    e->string = !!(e->info & QUAL_IO_STRING);
    e->rep = !!(e->info & QUAL_IO_REP);
}

/* What the registers tell is the same on all CPUs (vmm/trace.c). */
static void describe(const struct Vcpu *v, struct GuestTraceEntry *e)
{
    (void)v;
    e->info = vmread(VMCS_EXIT_QUALIFICATION);
    e->code = vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    switch (e->reason) {
    case EXIT_EXCEPTION:
    case EXIT_INTERRUPT:
        return describe_exception(e);
    case EXIT_CR_ACCESS:
    case EXIT_DR_ACCESS:
        return describe_register(e);
    case EXIT_IO:
        return describe_io(e);
    case EXIT_TASK_SWITCH:
        e->detail = e->info & 0xffff;
        return;
    case EXIT_MEMORY:
        e->access = e->info & QUAL_EPT_ACCESS;
        e->rights = QUAL_EPT_MAPPED(e->info);
        e->address = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
        return;
    case EXIT_MISCONFIG:
        e->address = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
        return;
    }
}

const struct Backend vmx_backend = {
    .name = "VT-x",
    .control_block = "VMCS",
    .check = vmx_check_support,
    .turn_on = vmx_init_vmxon,
    .vcpu_alloc = vcpu_alloc,
    .vcpu_free = vcpu_free,
    .run = vmx_vmrun,
    .hand_over = vmx_hand_over,
    .put_down = vmx_put_down,
    .skip_here = vmx_skip_here,
    .borrow = vmcs_borrow,
    .give_back = vmcs_give_back,
    .get = vmx_get,
    .set = vmx_set,
    .get_segment = vmx_get_segment,
    .set_segment = vmx_set_segment,
    .in_64bit = vmx_in_64bit,
    .interrupts_open = vmx_interrupts_open,
    .paging_mode = paging_mode,
    .skip = skip,
    .inject_fault = inject_fault,
    .pass_exception = vmx_pass_exception,
    .set_exceptions = set_exceptions,
    .set_dr_exits = set_dr_exits,
    .prepare_steps = mtf_test,
    .step = mtf_step,
    .exit_at_once = exit_at_once,
    .describe = describe,
    .injected = injected,
    .check_entry = check_vmcs,
    .break_entry = check_break,
    .self_test = check_self_test,
    .print = print,
};
