/*
 * Port I/O. Every port exits. Those of one table are answered here; all others belong to the
 * monitor, which answers with the value for IN.
 */
#include <vmm/internal.h>

/* Ports that kernels write to pass time or to show how far their start is, and read for nothing:
 * writes are lost, reads are all ones, as on a PC without a diagnostics card. */
static const uint16_t idle_ports[] = { 0x80, 0xed };

static bool is_idle_port(uint16_t port)
{
    for (size_t i = 0; i < ARRAY_SIZE(idle_ports); i++)
        if (idle_ports[i] == port)
            return true;
    return false;
}

/* All ones, in as much of RAX as an IN of this size replaces. */
static uint64_t ones(uint64_t rax, uint32_t size)
{
    return size == 4 ? UINT32_MAX : rax | ((1ul << 8 * size) - 1);
}

bool handle_ioinstr(struct Guest *g)
{
    uint64_t qual = vmread_known(VMCS_EXIT_QUALIFICATION);
    struct Trapframe *tf = &g->env->env_tf;
    if (!(qual & QUAL_IO_STRING) && is_idle_port(QUAL_IO_PORT(qual))) {
        if (qual & QUAL_IO_IN)
            tf->tf_rax = ones(tf->tf_rax, QUAL_IO_SIZE(qual));
        return skip(g);
    }
    g->exit.qualification = qual;
    g->exit.io = (struct GuestIo){
        .port = QUAL_IO_PORT(qual),
        .size = QUAL_IO_SIZE(qual),
        .in = !!(qual & QUAL_IO_IN),
    };
    if (qual & QUAL_IO_STRING)
        return handle_string_io(g);
    return guest_stop(g, GUEST_EV_IO);
}
