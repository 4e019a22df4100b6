/*
 * tsc: the time-stamp counter goes forward through exits and after being set to any value; CR4.TSD
 * keeps it from user mode.
 */
#include "rt.h"

const char guest_name[] = "tsc";

#define USER_VA 0x40000000ul

static const uint64_t values[] = { 0,         1,         1ul << 31,        1ul << 32,
                                   1ul << 62, 1ul << 63, ~0ul - (1u << 30) };

/* rdtsc; ud2 */
static const uint8_t code[] = { 0x0f, 0x31, 0x0f, 0x0b };
static uint8_t page[PGSIZE] __attribute__((aligned(PGSIZE)));

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("RDTSC across exits");
    uint64_t last = read_tsc();
    for (unsigned i = 0; i < 500; i++) {
        cpuid(0, 0);
        uint64_t now = read_tsc();
        check(now > last, "0x%lx follows 0x%lx", now, last);
        last = now;
    }
    trying("to set it");
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        wrmsr(MSR_TSC, values[i]);
        uint64_t now = read_tsc();
        check(now - values[i] < 1u << 28, "set to 0x%lx it is 0x%lx", values[i], now);
    }
    trying("RDTSC in user mode with CR4.TSD");
    memcpy(page, code, sizeof(code));
    map_4k(USER_VA, (uint64_t)page, PTE_P | PTE_U);
    check(in_user(USER_VA, 0, 0) == T_ILLOP, "without: trap %d", caught.vector);
    lcr4(rcr4() | CR4_TSD);
    check(in_user(USER_VA, 0, 0) == T_GPFLT, "with: trap %d", caught.vector);
    return check_result();
}
