/*
 * msr-sweep: all MSR numbers of the architectural ranges are read, and written with what was read,
 * with 0 and with all ones. Each answers or is #GP, and what is #GP to read has no value.
 */
#include "rt.h"

const char guest_name[] = "msr-sweep";

static const struct {
    uint32_t first, last;
} ranges[] = {
    { 0, 0x1fff },
    { 0x40000000, 0x400001ff },
    { 0xc0000000, 0xc0001fff },
    { 0xfffffff0, 0xffffffff },
};

static uint64_t calls, answered;

static int try_write(uint32_t msr, uint64_t v)
{
    int vector = CATCH("wrmsr", (uint32_t)v, msr, v >> 32);
    calls++;
    check(vector < 0 || vector == T_GPFLT, "WRMSR 0x%x: trap %d", msr, vector);
    return vector;
}

static void try_msr(uint32_t msr)
{
    uint64_t low = 0, high = 0;
    uint64_t efer = rdmsr(MSR_EFER);
    int vector = CATCH("rdmsr; movq %%rdx, %%rsi; movq %%rax, %%rbx", 0, msr, 0);
    calls++;
    check(vector < 0 || vector == T_GPFLT, "RDMSR 0x%x: trap %d", msr, vector);
    if (vector < 0) {
        answered++;
        asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    }
    try_write(msr, ~0ul);
    try_write(msr, 0);
    if (vector < 0)
        try_write(msr, low | high << 32);
    if (msr == MSR_EFER)
        wrmsr(MSR_EFER, efer);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        trying("MSRs 0x%x to 0x%x", ranges[i].first, ranges[i].last);
        for (uint64_t msr = ranges[i].first; msr <= ranges[i].last; msr++)
            try_msr(msr);
    }
    print("msr-sweep: %lu calls, %lu MSRs answer\n", calls, answered);
    check(answered > 16, "only %lu MSRs answer", answered);
    return check_result();
}
