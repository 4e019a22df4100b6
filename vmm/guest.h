/*
 * What the rest of the kernel sees of the VMM: guests as envs. See vmm/ for the inside.
 */
#ifndef JOS_VMM_GUEST_H
#define JOS_VMM_GUEST_H

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
bool guest_uses_drs(const struct Vcpu *v);
/* With the word vmxcheck-test, at boot: break the rules of VM entry one by one and compare the
 * verdict of the checker (vmm/vmx/check/check.h) with the CPU's. */
void check_self_test(void);
/* With the words labtest=... and vmruntest=..., at boot: tests of the lab (vmm/test/lab.h). */
void lab_self_test(void);
void vmrun_self_test(void);
/* With the word epttest=..., at boot: the test of guest memory (vmm/test/ept.h). */
void ept_self_test(void);
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

/* System calls (inc/lib.h has the contracts). Pointers are user addresses of the current env. */
int64_t sys_guest_check(uintptr_t why, size_t whysize);
int64_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, uintptr_t why, size_t whysize);
int64_t sys_ept_map(envid_t srcenv, uintptr_t srcva, envid_t guest, gpa_t gpa, uint64_t perm);
int64_t sys_guest_share(envid_t guest, uintptr_t va);
int64_t sys_guest_run(envid_t guest, bool console);
int64_t sys_guest_irq(envid_t guest, int vector);
int64_t sys_guest_mem(envid_t guest, gpa_t gpa, uintptr_t buf, size_t len, bool write);
int64_t sys_guest_stats(envid_t guest, uintptr_t stats);
int64_t sys_guest_pause(envid_t guest, bool paused);
int64_t sys_guest_trace_start(envid_t guest, size_t n);
int64_t sys_guest_trace(envid_t guest, uintptr_t first, uintptr_t entries, size_t n);
int64_t sys_guest_backtrace(envid_t guest, uintptr_t frames, size_t n);
int64_t sys_guest_debug(envid_t guest, int op, uint64_t arg, uintptr_t buf);
/* sys_env_set_trapframe on a guest. */
int64_t guest_set_trapframe(struct Env *e, const struct Trapframe *tf);

#endif
