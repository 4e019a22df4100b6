/*
 * bad-msr: reading or writing an MSR that this machine does not have is #GP, and so is a value that
 * an MSR does not take.
 */
#include "rt.h"

const char guest_name[] = "bad-msr";

static const uint32_t absent[] = { 0x12345678, 0x40000000, 0x40000001, 0xc0002000, 0xbfffffff,
                                   0xffffffff, 0x480,      0x481,      0x486,      0x48b,
                                   0x490,      0x491,      0x8ff,      0x804 };

static const struct {
    uint32_t msr;
    uint64_t value;
    const char *what;
} bad_values[] = {
    { MSR_FS_BASE, 1ul << 63, "FS_BASE that is not canonical" },
    { MSR_GS_BASE, 0x800000000000, "GS_BASE that is not canonical" },
    { MSR_KERNEL_GS_BASE, 0x800000000000, "KERNEL_GS_BASE that is not canonical" },
    { MSR_LSTAR, 0x7fff000000000000, "LSTAR that is not canonical" },
#define NOT_CANONICAL 4 /* values before this one */
    { X2APIC_VERSION, 0, "the read-only x2APIC version" },
    { X2APIC_TPR, 0x100, "x2APIC TPR above 255" },
    { X2APIC_EOI, 1, "x2APIC EOI other than 0" },
    { X2APIC_SVR, 1ul << 40, "x2APIC SVR with reserved bits" },
};

static void refused(const char *what, uint32_t msr, int vector)
{
    check(vector == T_GPFLT, "%s 0x%x: trap %d instead of #GP", what, msr, vector);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trying("%zu MSRs that are not there", ARRAY_SIZE(absent));
    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
        refused("rdmsr", absent[i], CATCH("rdmsr", 0, absent[i], 0));
        refused("wrmsr", absent[i], CATCH("wrmsr", 0, absent[i], 0));
    }
    /* QEMU's WRMSR takes any address. */
    for (unsigned i = cmdline_has("any-address") ? NOT_CANONICAL : 0; i < ARRAY_SIZE(bad_values);
         i++) {
        trying("%s", bad_values[i].what);
        uint64_t value = bad_values[i].value;
        refused("wrmsr", bad_values[i].msr,
                CATCH("wrmsr", (uint32_t)value, bad_values[i].msr, value >> 32));
    }
    return check_result();
}
