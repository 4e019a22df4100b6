/*
 * What the kernel asks of the VMM. These are the only calls from kern/ up to vmm/, which registers
 * them at boot (vmm_init); until then there are no guests.
 */
#ifndef JOS_KERN_HOOKS_H
#define JOS_KERN_HOOKS_H

#include <inc/types.h>

struct Env;
struct Vcpu;
struct PageInfo;
struct Trapframe;

struct GuestHooks {
    /* Turn this CPU's kernel into a VMM. 0, or -E_* with words on the console. */
    int (*cpu_on)(void);
    /* Enter guest e (already curenv, its FPU state loaded) and handle its exits until the scheduler
     * should be asked. When it returns, the caller calls sched_yield; e may be blocked. */
    void (*run)(struct Env *e);
    /* Another CPU has asked for what this one keeps of a guest (Cpu.cpu_vmcs_wanted). */
    void (*put_down)(void);
    /* Give back everything that guest e holds: it has ended. */
    void (*free)(struct Env *e);
    /* sys_env_set_trapframe on guest e, which is locked. */
    int64_t (*set_trapframe)(struct Env *e, const struct Trapframe *tf);
    /* Tell guest e in WAIT_HOSTSEND how its send ended; the caller wakes it. */
    void (*ipc_sent)(struct Env *e, int result);
    /* Hand a message to guest e in WAIT_HOSTRECV; the caller wakes it. 0, or -E_* if the page could
     * not be mapped (the sender gets the error). */
    int (*ipc_deliver)(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm);
    /* Are the debug registers the guest's, or its debugger's, while it has a CPU? */
    bool (*uses_drs)(const struct Vcpu *v);
    /* For the kernel monitor and crash reports, on the console and without locks: counters of all
     * guests by reason, and the last n exits of those that are traced. */
    void (*print_exits)(size_t n);
    /* For the kernel monitor: the state that this CPU keeps of a guest, or with copy, keep a copy
     * of it for a debugger. */
    void (*print_state)(bool copy);
};

extern struct GuestHooks guest_hooks;

void guest_hooks_register(const struct GuestHooks *hooks);

#endif
