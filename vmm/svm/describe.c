/*
 * An exit for the trace, and the VMCB for people.
 */
#include <inc/mmu.h>
#include <inc/stdio.h>
#include <kern/cpu.h>
#include <kern/trap.h>
#include <vmm/svm/describe.h>
#include <vmm/svm/exit.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/svm_vcpu.h>

struct VmcbDump vmcb_dump;

static void describe_io(const struct Vmcb *b, struct GuestTraceEntry *e)
{
    uint64_t info = b->exit_info1;
    e->io = (struct GuestIo){ .port = IOIO_PORT(info),
                              .size = IOIO_SIZE(info),
                              .in = info & IOIO_IN ? 1 : 0 };
    e->string = info & IOIO_STRING ? 1 : 0;
    e->rep = info & IOIO_REP ? 1 : 0;
}

/* What an access to gpa wanted, and what the entry gives. */
static void describe_memory(const struct Vmcb *b, struct GuestTraceEntry *e)
{
    uint64_t info = b->exit_info1;
    e->address = b->exit_info2;
    e->access = info & FEC_ID ? GUEST_FETCH : info & FEC_WR ? GUEST_WRITE : GUEST_READ;
    if (info & FEC_PR)
        e->rights = (GUEST_READ | GUEST_WRITE | GUEST_FETCH) & ~e->access;
}

static void describe_exception(const struct Vmcb *b, struct GuestTraceEntry *e)
{
    e->is_nmi = b->exit_code == SVM_EXIT_NMI;
    e->vector = e->is_nmi ? T_NMI : b->exit_code - SVM_EXIT_EXCP;
    if (e->vector == T_PGFLT)
        e->address = b->exit_info2;
}

/* Which register; the general one is not reported. What the shared parts know is the same on all
 * CPUs (vmm/trace.c). */
static void describe_reg(const struct Vmcb *b, struct GuestTraceEntry *e)
{
    uint64_t code = b->exit_code;
    e->reg = code == SVM_EXIT_CR0_SEL_WRITE ? 0 : code & 0xf;
    bool read = code < SVM_EXIT_CR_WRITE || (code >= SVM_EXIT_DR_READ && code < SVM_EXIT_DR_WRITE);
    e->reg_access = read ? REG_READ : code == SVM_EXIT_CR0_SEL_WRITE ? REG_UNKNOWN : REG_WRITE;
}

void svm_describe(const struct Vcpu *v, struct GuestTraceEntry *e)
{
    const struct Vmcb *b = svm_vmcb(v);
    e->info = b->exit_info1;
    e->code = b->exit_code;
    e->reason = svm_exit_reason(b);
    if (e->reason == EXIT_IO)
        describe_io(b, e);
    if (e->reason == EXIT_MEMORY)
        describe_memory(b, e);
    if (e->reason == EXIT_EXCEPTION)
        describe_exception(b, e);
    if (e->reason == EXIT_CR_ACCESS || e->reason == EXIT_DR_ACCESS)
        describe_reg(b, e);
    if (e->reason == EXIT_TASK_SWITCH)
        e->detail = (uint16_t)b->exit_info1;
}

bool vmcb_take_dump(void)
{
    struct VmcbDump *s = &vmcb_dump;
    const struct Vcpu *v = this_cpu()->cpu_svm_vcpu;
    s->guest = 0;
    s->cpu = this_cpu()->cpu_num;
    if (!v || !v->env)
        return false;
    s->guest = v->env->env_id;
    s->vmcb = *svm_vmcb(v);
    return true;
}

void svm_print(bool copy)
{
    const struct VmcbDump *s = &vmcb_dump;
    if (!vmcb_take_dump()) {
        cprintf("no VMCB was used on CPU %u: no guest has run here, or it has ended\n", s->cpu);
        return;
    }
    if (copy)
        return;
    cprintf("VMCB of guest %08x, the last to run on CPU %u\n", s->guest, s->cpu);
    vmcb_print(&s->vmcb);
}
