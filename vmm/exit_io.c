/*
 * Port I/O. Every port exits and belongs to the monitor. String instructions (INS, OUTS) are not
 * emulated: they would need the guest's segments and page tables, and no polled console uses them.
 */
#include <vmm/internal.h>

enum ExitAction handle_ioinstr(struct Guest *g)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    if (qual & QUAL_IO_STRING) {
        guest_kill(g, "string I/O (%s) on port 0x%lx at rip 0x%lx is not supported",
                   qual & QUAL_IO_IN ? "INS" : "OUTS", QUAL_IO_PORT(qual), vmread(VMCS_GUEST_RIP));
        return ACT_RESCHED;
    }
    g->exit.qualification = qual;
    g->exit.io_port = QUAL_IO_PORT(qual);
    g->exit.io_size = QUAL_IO_SIZE(qual);
    g->exit.io_in = !!(qual & QUAL_IO_IN);
    return guest_stop(g, GUEST_EV_IO);
}
