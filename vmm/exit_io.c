/*
 * Port I/O. Every port exits and belongs to the monitor, which answers with the value for IN.
 */
#include <vmm/internal.h>

enum ExitAction handle_ioinstr(struct Guest *g)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    g->exit.qualification = qual;
    g->exit.io_port = QUAL_IO_PORT(qual);
    g->exit.io_size = QUAL_IO_SIZE(qual);
    g->exit.io_in = !!(qual & QUAL_IO_IN);
    if (qual & QUAL_IO_STRING)
        return handle_string_io(g);
    return guest_stop(g, GUEST_EV_IO);
}
