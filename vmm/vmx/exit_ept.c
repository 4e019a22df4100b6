/*
 * EPT violations: first touch of RAM gets memory; what is not RAM belongs to the monitor; what the
 * entry forbids ends the guest, since there is no device behind it that could answer.
 */
#include <vmm/internal.h>

static const char *access_words(uint64_t qual)
{
    if (qual & QUAL_EPT_FETCH)
        return "instruction fetch";
    return qual & QUAL_EPT_WRITE ? "write" : "read";
}

static bool stop_for_mmio(struct Guest *g, uint64_t qual, gpa_t gpa)
{
    g->exit.qualification = qual;
    g->exit.gpa = gpa;
    return guest_stop(g, GUEST_EV_MMIO);
}

bool handle_eptviolation(struct Guest *g)
{
    gpa_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    keep_vectored_event(g);
    if (!gmem_is_ram(g, gpa, 1))
        return stop_for_mmio(g, qual, gpa);
    if (__builtin_expect(qual & QUAL_EPT_NMI_UNBLOCKED, 0))
        block_nmis_again(g);

    uint64_t rights = 0;
    spin_lock(&g->mem_lock);
    ept_gpa2hva(g, gpa, &rights);
    spin_unlock(&g->mem_lock);
    if (rights == 0) {
        int large = gmem_populate_large(g, gpa);
        int r = large == 0 ? 0 : gmem_populate(g, gpa);
        if (r < 0)
            guest_kill(g, "no host memory for guest page 0x%lx: %s", gpa, strerror(r));
        /* Interrupts that came while a large page was cleared may have been for the scheduler. */
        return large == -E_BUSY || large == -E_INVAL ? resume(g) : leave(g);
    }
    if (qual & QUAL_EPT_ACCESS & ~rights)
        guest_kill(g, "forbidden %s at gpa 0x%lx (rights %c%c%c), rip 0x%lx", access_words(qual),
                   gpa, rights & EPTE_R ? 'r' : '-', rights & EPTE_W ? 'w' : '-',
                   rights & EPTE_X ? 'x' : '-', vmread(VMCS_GUEST_RIP));
    return resume(g); /* a stale translation, which the exit has dropped */
}

bool handle_eptmisconfig(struct Guest *g)
{
    gpa_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    uint64_t *entry = NULL;
    spin_lock(&g->mem_lock);
    int r = ept_lookup_gpa(g, gpa, false, &entry);
    uint64_t value = r < 0 ? 0 : *entry;
    spin_unlock(&g->mem_lock);
    guest_kill(g, "EPT misconfiguration at gpa 0x%lx: entry 0x%lx", gpa, value);
    return leave(g);
}
