/*
 * The permission maps. Every port exits; of MSRs, those exit that the shared table does not let
 * through, and a few that SVM itself needs. The maps are the same for all guests.
 */
#include <inc/string.h>
#include <kern/pmap.h>
#include <vmm/msr.h>
#include <vmm/svm/perms.h>
#include <vmm/svm/svm_vcpu.h>

/* APM 2 "MSR Permissions Map": two bits an MSR, read and write, in parts of 8192 MSRs. */
#define PART_BYTES 0x800
#define PART_MSRS  0x2000u
#define HIGH_MSRS  0xc0000000u
#define BITS       2

static uint8_t iopm[IOPM_PAGES * PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t msrpm[MSRPM_PAGES * PGSIZE] __attribute__((aligned(PGSIZE)));

/* EFER shows SVME, which is always set; a RDMSR of the TSC may ignore its offset (QEMU 7.2). */
static bool exits_always(uint32_t msr)
{
    return msr == MSR_EFER || msr == MSR_TSC;
}

static void let_through(uint8_t *map, uint32_t msr, int pass)
{
    uint8_t *part = map + (msr >= HIGH_MSRS ? PART_BYTES : 0);
    uint32_t bit = (msr & (PART_MSRS - 1)) * BITS;
    if (msr == MSR_TSC_AUX) /* so that its value is known, and is not read at each exit for good */
        pass = MSR_PASS_READ;
    if (!exits_always(msr))
        part[bit / 8] &= ~((uint32_t)pass << bit % 8);
}
_Static_assert(MSR_PASS_READ == 1 && MSR_PASS_WRITE == 2, "as the map has them");

void svm_perms_init(void)
{
    if (iopm[0] != 0)
        return;
    memset(msrpm, 0xff, sizeof(msrpm));
    msr_each_passed(let_through, msrpm);
    memset(iopm, 0xff, sizeof(iopm));
}

physaddr_t svm_iopm(void)
{
    return PADDR(iopm);
}

physaddr_t svm_msrpm(void)
{
    return PADDR(msrpm);
}
