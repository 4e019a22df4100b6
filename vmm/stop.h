/*
 * A guest's stops for its monitor, and the way back.
 */
#ifndef JOS_VMM_STOP_H
#define JOS_VMM_STOP_H

#include <vmm/vcpu.h>

/* Stop the vCPU that runs here for its monitor; what belongs to the event is in v->exit, but for
 * registers. Returns false, as an exit ends after which the guest is left. Does not return if the
 * monitor gets the CPU at once. */
bool guest_stop(struct Vcpu *v, enum GuestEvent event);
/* Stop for an access (GUEST_READ ...) to gpa, which is not RAM. */
bool guest_stop_mmio(struct Vcpu *v, gpa_t gpa, uint32_t access);
/* After its stay on a CPU: a guest that is stopped for its monitor, or has ended, waits. A monitor
 * that waits for it gets the CPU, and this does not return. */
void guest_block_if_stopped(struct Vcpu *v);
/* A byte has been put into the ring of GuestSerial, of which the monitor was not told yet. */
void guest_has_output(struct Vcpu *v);
/* Do what the monitor's answer to an access to memory asks for (ATTN_ANSWER). */
void guest_take_answer(struct Vcpu *v);

/* System calls (inc/lib.h has the contracts). */
int64_t sys_guest_share(envid_t guest, uintptr_t va);
int64_t sys_guest_run(envid_t guest, bool console);
int64_t sys_guest_walk(envid_t guest, uint64_t va, uint32_t access);

/* Lock the vCPU's env, and its monitor's, which is the result. */
static inline struct Env *guest_lock_both(const struct Vcpu *v)
{
    struct Env *e = v->env, *monitor = env_slot(e->env_parent_id);
    env_lock(e);
    env_lock_also(e, monitor);
    return monitor;
}

/* Does the monitor wait for an event of this guest? Both are locked. A guest ends before its
 * monitor's id does. */
static inline bool monitor_waits(const struct Vcpu *v, const struct Env *monitor)
{
    return monitor->env_wait == WAIT_GUEST && monitor->env_wait_id == v->env->env_id;
}

#endif
