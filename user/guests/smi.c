/*
 * smi: RSM outside of system management mode is #UD; writes to the port that makes a chipset raise
 * an SMI, and SMIs or other delivery modes through the local APIC, do not reach the host.
 */
#include "rt.h"

const char guest_name[] = "smi";

#define PORT_SMI   0xb2
#define ICR_MODES  8
#define MODE_SHIFT 8
#define MODE_NMI   4
#define MODE_INIT  5

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trying("RSM");
    check(CATCH("rsm", 0, 0, 0) == T_ILLOP, "trap %d", caught.vector);
    trying("every value for port 0x%x", PORT_SMI);
    for (unsigned i = 0; i < 256; i++)
        outb(PORT_SMI, i);
    trying("delivery modes of the local APIC");
    for (uint64_t mode = 1; mode < ICR_MODES; mode++) {
        if (mode == MODE_NMI || mode == MODE_INIT)
            continue;
        int v = CATCH("wrmsr", ICR_SELF | mode << MODE_SHIFT | 0x50, X2APIC_ICR, 0);
        check(v < 0 || v == T_GPFLT, "mode %lu: trap %d", mode, v);
    }
    return check_result();
}
