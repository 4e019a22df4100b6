/*
 * The interrupt descriptor table, which all CPUs share. Every vector leads to its stub in
 * kern/trapentry.S, unless somebody takes it over.
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <kern/idt.h>
#include <kern/trapentry.h>

#define GATE_INTERRUPT 0x8e /* present, DPL 0, 64-bit interrupt gate */
#define GATE_DPL_USER  0x60
#define IST_DF         2

static struct Gatedesc idt[TRAP_VECTORS];
const struct Pseudodesc idt_desc = { sizeof(idt) - 1, (uint64_t)idt };

void idt_init(void)
{
    for (int v = 0; v < TRAP_VECTORS; v++) {
        uint64_t stub = (uint64_t)trap_stubs + TRAP_STUB_SIZE * v;
        idt[v] = (struct Gatedesc){
            .off_0 = stub,
            .sel = GD_KT,
            .ist = v == T_NMI || v == T_MCHK ? IST_NMI
                   : v == T_DBLFLT           ? IST_DF
                                             : 0,
            .type_dpl_p = GATE_INTERRUPT | (v == T_BRKPT || v == T_OFLOW ? GATE_DPL_USER : 0),
            .off_16 = stub >> 16,
            .off_32 = stub >> 32,
        };
    }
}

void idt_set_gate(int vector, const char *entry, int ist)
{
    uint64_t at = (uint64_t)entry;
    struct Gatedesc *g = &idt[vector];

    g->ist = ist;
    g->off_0 = at;
    g->off_16 = at >> 16;
    g->off_32 = at >> 32;
}
