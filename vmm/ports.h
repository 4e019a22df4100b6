/*
 * Ports that the kernel answers itself. Inline, since this is on the road of exits.
 */
#ifndef JOS_VMM_PORTS_H
#define JOS_VMM_PORTS_H

#include <inc/types.h>

/* Ports that kernels write to pass time or to show how far their start is, and read for nothing:
 * writes are lost, reads are all ones, as on a PC without a diagnostics card. */
static inline bool port_is_idle(uint16_t port)
{
    return port == 0x80 || port == 0xed;
}

/* All ones, in as much of RAX as an IN of this size (bytes) replaces. */
static inline uint64_t port_ones(uint64_t rax, uint32_t size)
{
    return size == 4 ? UINT32_MAX : rax | ((1ul << 8 * size) - 1);
}

#endif
