/*
 * bad-idt: INT and exceptions with an IDT that is too short (#GP with the vector in its error
 * code), has gates of wrong types, or is somewhere where there is no memory (`unmapped`, `nowhere`
 * on the command line: that ends the guest).
 */
#include "rt.h"

const char guest_name[] = "bad-idt";

#define VA          0x40000000ul
#define NOWHERE     0xd0000000ul
#define ERR_IDT     2
#define SHORT_LIMIT (0x40 * sizeof(struct Gatedesc) - 1)
#define GATE_BITS   0x1f

static void load(uint64_t base, uint16_t limit)
{
    struct Pseudodesc d = { limit, base };
    asm volatile("lidt %0" : : "m"(d));
}

/* Each type of gate for INT 0x50: only interrupt and trap gates of 64 bits are any good. */
static void try_types(void)
{
    struct Gatedesc good = rt_idt[0x50];
    for (unsigned type = 0; type <= GATE_BITS; type++) {
        rt_idt[0x50].type_dpl_p = (good.type_dpl_p & ~GATE_BITS) | type;
        int v = CATCH("int $0x50", 0, 0, 0);
        bool fine = type == 0xe || type == 0xf;
        check(v == (fine ? 0x50 : T_GPFLT), "gate type 0x%x: trap %d", type, v);
        check(fine || caught.err == (0x50 << 3 | ERR_IDT), "type 0x%x: 0x%lx", type, caught.err);
    }
    rt_idt[0x50] = good;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("unmapped") || cmdline_has("nowhere")) {
        if (cmdline_has("nowhere"))
            map_2m(VA, NOWHERE, PTE_P | PTE_W);
        trying("INT with an IDT that is not there");
        load(VA, sizeof(rt_idt) - 1);
        asm volatile("int $0x30");
        check_failed("INT came back");
        return check_result();
    }
    trying("INT beyond the end of a short IDT");
    load((uint64_t)rt_idt, SHORT_LIMIT);
    check(CATCH("int $0x40", 0, 0, 0) == T_GPFLT, "trap %d", caught.vector);
    check(caught.err == (0x40 << 3 | ERR_IDT), "error code 0x%lx", caught.err);
    check(CATCH("int $0x3f", 0, 0, 0) == 0x3f, "trap %d", caught.vector);
    load((uint64_t)rt_idt, sizeof(rt_idt) - 1);
    trying("INT through gates of all types");
    try_types();
    return check_result();
}
