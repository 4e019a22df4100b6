/*
 * init-ipi: INIT and start-up IPIs, to itself, to all, and to CPUs that are not there. None of them
 * reaches the host's CPUs.
 */
#include "rt.h"

const char guest_name[] = "init-ipi";

#define MODE_INIT  (5 << 8)
#define MODE_SIPI  (6 << 8)
#define ICR_ALL    (2 << 18)
#define ICR_OTHERS (3 << 18)

static void send(uint64_t icr)
{
    int v = CATCH("wrmsr", (uint32_t)icr, X2APIC_ICR, icr >> 32);
    check(v < 0 || v == T_GPFLT, "ICR 0x%lx: trap %d", icr, v);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trying("INIT and start-up IPIs");
    for (uint64_t id = 1; id < 1ul << 32; id = id * 3 + 1) {
        send(id << 32 | MODE_INIT);
        send(id << 32 | MODE_SIPI | 8);
        send(id << 32 | 0x40);
    }
    send(ICR_OTHERS | MODE_INIT);
    send(ICR_OTHERS | MODE_SIPI | 8);
    send(ICR_ALL | MODE_SIPI | 8);
    send(ICR_SELF | MODE_SIPI | 8);
    return check_result();
}
