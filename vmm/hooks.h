/*
 * What vmm/init.c registers with the kernel (kern/hooks.h) or runs at boot.
 */
#ifndef JOS_VMM_HOOKS_H
#define JOS_VMM_HOOKS_H

#include <inc/env.h>
#include <inc/vmm.h>

struct PageInfo;

/* Can this CPU run guests, as it is set up? Returns 0, or -E_NOT_SUPP with the reason and what to
 * do instead in why (size bytes). */
int vmx_check_support(char *why, size_t size);
int vmx_check_ept(char *why, size_t size);
/* Turn VMX operation on for this CPU; nothing to do if it is on. 0 or -E_*, with words on the
 * console. */
int vmx_init_vmxon(void);
/* Enter guest env e (already curenv, its FPU state loaded) and handle its exits until the scheduler
 * should be asked. When it returns, the caller calls sched_yield; e may be blocked. */
void vmx_vmrun(struct Env *e);
/* Another CPU has asked for the VMCS that is active on this one (Cpu.cpu_vmcs_wanted). */
void vmx_put_down(void);
/* Are the debug registers the guest's, or its debugger's, while it has a CPU? */
bool guest_uses_drs(const struct Guest *g);
/* Give back everything a guest holds: memory, EPT, VMCS, bitmaps. Called by env_destroy. */
void guest_free(struct Env *e);

/* kern/ipc.c tells a guest in WAIT_HOSTSEND how its send ended; the caller wakes it. */
void guest_ipc_sent(struct Env *e, int result);
/* kern/ipc.c hands a message to a guest in WAIT_HOSTRECV; the caller wakes it. 0, or -E_* if the
 * page could not be mapped (the sender gets the error). */
int guest_ipc_deliver(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm);

/* For the kernel monitor and crash reports: counters of all guests by reason on the console, and
 * with n > 0 the last n exits of those that are traced. Takes no locks. */
void guests_print_exits(size_t n);

/* sys_env_set_trapframe on a guest. */
int64_t guest_set_trapframe(struct Env *e, const struct Trapframe *tf);

#endif
