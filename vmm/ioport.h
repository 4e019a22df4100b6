/*
 * Ports that the kernel answers itself, for both back ends.
 */
#ifndef JOS_VMM_IOPORT_H
#define JOS_VMM_IOPORT_H

#include <inc/types.h>

#define PORT_DIAGNOSTICS 0x80
#define PORT_DELAY       0xed

/* Ports that kernels write to pass time or to show how far their start is, and read for nothing:
 * writes are lost, reads are all ones, as on a PC without a diagnostics card. */
static inline bool ioport_is_idle(uint16_t port)
{
    return port == PORT_DIAGNOSTICS || port == PORT_DELAY;
}

/* All ones, in as much of RAX as an IN of this size replaces. */
static inline uint64_t ioport_ones(uint64_t rax, uint32_t size)
{
    return size == 4 ? UINT32_MAX : rax | ((1ul << 8 * size) - 1);
}

#endif
