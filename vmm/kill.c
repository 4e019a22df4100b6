/*
 * The end of a guest. What ends it never ends anything else: the reason is kept in words until the
 * monitor asks.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/sched.h>
#include <vmm/kill.h>
#include <vmm/stop.h>

/* Its env is locked. */
static void doom(struct Vcpu *v)
{
    v->doomed = true;
    vcpu_attn(v, ATTN_END);
    v->state = GUEST_EVENT;
}

void guest_kill(struct Vcpu *v, const char *fmt, ...)
{
    va_list ap;
    if (v->doomed)
        return;
    v->exit.event = GUEST_EV_DEAD;
    v->exit.reason = v->clock_reason;
    va_start(ap, fmt);
    vsnprintf(v->exit.why, sizeof(v->exit.why), fmt, ap);
    va_end(ap);
    struct Env *monitor = guest_lock_both(v);
    doom(v);
    if (monitor_waits(v, monitor))
        sched_wake(monitor);
    env_unlock(monitor);
    env_unlock(v->env);
}

void guest_doom(struct Vcpu *v, const char *why)
{
    if (v->doomed)
        return;
    v->exit.event = GUEST_EV_DEAD;
    v->exit.reason = GUEST_NREASONS; /* it has nothing to do with an exit */
    strlcpy(v->exit.why, why, sizeof(v->exit.why));
    doom(v);
}
