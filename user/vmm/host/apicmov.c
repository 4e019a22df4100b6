/*
 * The kernel's decoder of MOV, for the local APIC's page, beside the monitor's: what the one knows,
 * the other has to know, too, and the same of it.
 */
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/apicmov.h>
#include <user/vmm/host/target.h>
#include <vmm/apic_insn.h>

_Static_assert(APIC_INSN_MAX == GUEST_INSN_MAX, "the longest instruction");

/* The first byte that is no prefix. */
static uint8_t first_opcode(const uint8_t *bytes, unsigned n, unsigned bits)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                        0x66, 0x67, 0xf2, 0xf3, 0xf0 };
    unsigned i = 0;
    while (i < n && (memchr(prefixes, bytes[i], sizeof(prefixes)) ||
                     (bits == 64 && (bytes[i] & 0xf0) == 0x40)))
        i++;
    return i < n ? bytes[i] : 0;
}

static bool is_plain(const struct Insn *insn, uint8_t opcode)
{
    bool known = (opcode >= 0x88 && opcode <= 0x8b) || (opcode >= 0xa0 && opcode <= 0xa3) ||
                 opcode == 0xc6 || opcode == 0xc7;
    return insn->op == OP_MOV && known;
}

static void compare(const struct ApicMov *mov, const struct Insn *insn)
{
    bool immediate = insn->form == FORM_E_I;
    HOLDS(mov->length == insn->length, "%u and %u bytes", mov->length, insn->length);
    HOLDS(mov->size == insn->size, "operands of %u and %u bytes", mov->size, insn->size);
    HOLDS(mov->store == (insn->form != FORM_G_E), "form %u", insn->form);
    HOLDS(mov->immediate == immediate, "form %u", insn->form);
    if (immediate)
        HOLDS(mov->value == (uint64_t)insn->imm, "0x%lx and 0x%lx", mov->value, insn->imm);
    else
        HOLDS(mov->high == insn->high && mov->gpr == insn->reg - (insn->high ? 4 : 0),
              "registers %u and %u", mov->gpr, insn->reg);
}

void apicmov_compare(const uint8_t *bytes, unsigned n, unsigned bits)
{
    struct Insn insn;
    struct ApicMov mov;
    uint8_t *buffer = malloc(APIC_INSN_BUFFER); /* and not a byte more */
    memset(buffer, 0xa5, APIC_INSN_BUFFER);
    memcpy(buffer, bytes, n);
    bool expected = insn_decode(&insn, bytes, n, bits) == DECODED &&
                    is_plain(&insn, first_opcode(bytes, n, bits));
    bool known = apic_mov_decode(&mov, buffer, n, bits);
    HOLDS(known == expected, "%u bits, %02x %02x %02x %02x", bits, buffer[0], buffer[1], buffer[2],
          buffer[3]);
    if (known)
        compare(&mov, &insn);
    free(buffer);
}
