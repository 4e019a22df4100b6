/*
 * perf: the host's performance counters are not there: RDPMC and their MSRs are #GP, CPUID has
 * none.
 */
#include "rt.h"

const char guest_name[] = "perf";

#define CPUID_PERF  0xa
#define MSR_PMC0    0xc1
#define MSR_EVTSEL0 0x186
#define MSR_FIXED0  0x309
#define MSR_GLOBAL  0x38e
#define EVT_ENABLE  0x4300c0

static const uint32_t msrs[] = { MSR_PMC0,
                                 MSR_PMC0 + 3,
                                 MSR_EVTSEL0,
                                 MSR_EVTSEL0 + 3,
                                 MSR_FIXED0,
                                 MSR_FIXED0 + 2,
                                 0x38d /* fixed control */,
                                 MSR_GLOBAL,
                                 MSR_GLOBAL + 1,
                                 MSR_GLOBAL + 2 };

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("performance counters");
    check((cpuid(CPUID_PERF, 0).eax & 0xff) == 0, "CPUID says there are some");
    for (uint64_t i = 0; i < 1ul << 32; i = i * 2 + 1) {
        check(CATCH("rdpmc", 0, i, 0) == T_GPFLT, "RDPMC 0x%lx: trap %d", i, caught.vector);
        check(CATCH("rdpmc", 0, i | 1ul << 30, 0) == T_GPFLT, "RDPMC: trap %d", caught.vector);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        check(CATCH("rdmsr", 0, msrs[i], 0) == T_GPFLT, "0x%x: trap %d", msrs[i], caught.vector);
        check(CATCH("wrmsr", EVT_ENABLE, msrs[i], 0) == T_GPFLT, "0x%x: trap %d", msrs[i],
              caught.vector);
    }
    return check_result();
}
