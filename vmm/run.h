/*
 * What both back ends' run loops share: how long a guest stays on a CPU.
 */
#ifndef JOS_VMM_RUN_H
#define JOS_VMM_RUN_H

#include <kern/dev/clock.h>
#include <kern/platform.h>
#include <vmm/vcpu.h>

/*
 * Longest stay in a guest that has interrupts off, in us, and at least in ticks. The host's
 * interrupts exit by themselves, whatever the guest's RFLAGS.IF (SDM "Pin-Based VM-Execution
 * Controls"); but Bochs lets none out of a guest that it has entered with IF clear. There they come
 * at the end of the stay, and a person at hOS's console is not to wait for long.
 */
#define MAX_STAY_US    1600
#define MAX_STAY_TICKS 32000ul
/* A guest that has interrupts on at the end of a stay gets so many times as long, since it hardly
 * needs that end; should it turn them off and exit, the host's interrupts wait for that long. */
#define OPEN_STAYS 4

static inline uint64_t stay_ticks(void)
{
    return MAX(tsc_khz * MAX_STAY_US / 1000, MAX_STAY_TICKS);
}

static inline uint64_t stay_end(uint64_t now)
{
    return now + stay_ticks();
}

/* When this stay is over, or the guest's timer is due: host TSC. */
static inline uint64_t stay_deadline(const struct Vcpu *v, uint64_t due)
{
    return v->vapic.timer_due != 0 ? MIN(due, v->vapic.timer_due) : due;
}

#endif
