/*
 * The plain MOVs between memory and a register or an immediate, for accesses to the local APIC's
 * page (SDM "MOV - Move"). Bytes in, description out: this runs without a CPU.
 */
#ifndef JOS_VMM_APIC_INSN_H
#define JOS_VMM_APIC_INSN_H

#include <inc/types.h>

#define APIC_INSN_MAX    15 /* bytes of the longest instruction */
#define APIC_INSN_BUFFER 20 /* bytes that the decoder may look at before it knows the length */

struct ApicMov {
    uint8_t length; /* of the instruction, bytes */
    uint8_t size;   /* of its operands: 1, 2, 4 or 8 bytes */
    bool store;     /* to memory; else from there */
    bool immediate; /* what is stored is `value`, not a register */
    bool high;      /* the register is bits 8 to 15 of gpr */
    uint8_t gpr;    /* as instructions number it */
    uint64_t value;
};

/* Decode the instruction that begins at `bytes`, n of which are there, in code of 16, 32 or 64
 * bits. false: it is not all there, or is none of 88 to 8B, A0 to A3, C6 /0 and C7 /0 with an
 * operand in memory. `bytes` has room for APIC_INSN_BUFFER. */
bool apic_mov_decode(struct ApicMov *mov, const uint8_t *bytes, uint32_t n, unsigned bits);

#endif
