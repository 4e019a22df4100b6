/*
 * Control registers: what a guest's MOV to CR0, CR3 and CR4, and WRMSR of EFER, may change, and
 * what follows from it (SDM "MOV-Move to/from Control Registers"; APM 2 "Control Registers").
 */
#ifndef JOS_VMM_CR_H
#define JOS_VMM_CR_H

#include <inc/mmu.h>
#include <inc/x86.h>
#include <kern/cpu.h>

#define EFER_GUEST      (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define CR0_GUEST_OWNED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM | CR0_PG)

/* The guest's view before a change, and after it. */
struct ControlRegs {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t cr4_allowed; /* bits that the guest may set */
    bool code64;          /* CS.L */
    bool old_tss;         /* TR refers to a 16-bit TSS */
    /* Set by a change: */
    bool load_pdptes; /* PAE paging: the PDPTEs are to be loaded from CR3, or it is #GP */
    bool flush;       /* translations may have changed */
};

/* All bits of CR4 that are virtualized; which of them a guest may set, struct Vm says. */
#define CR4_VME (1 << 0)
#define CR4_PVI (1 << 1)
#define CR4_PCE (1 << 8)
#define CR4_GUEST                                                                                \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
     CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)
/* Of these, a change of which is not only the guest's affair. */
#define CR4_WATCHED (CR4_OSXSAVE | CR4_PCIDE)

/* Change *r as the instruction would. false: #GP, and *r is void. */
bool cr0_write(struct ControlRegs *r, uint64_t value);
bool cr4_write(struct ControlRegs *r, uint64_t value);
/* The same for WRMSR of EFER, of which these bits are reserved. LMA is the CPU's; LME must not
 * change while paging is on (SDM "Initializing IA-32e Mode"). */
static inline bool efer_write(struct ControlRegs *r, uint64_t value, uint64_t reserved)
{
    if (value & reserved)
        return false;
    if (((value ^ r->efer) & EFER_LME) && (r->cr0 & CR0_PG))
        return false;
    r->flush |= (value ^ r->efer) & EFER_NXE;
    r->efer = (value & ~(uint64_t)EFER_LMA) | (r->efer & EFER_LMA);
    return true;
}

#endif
