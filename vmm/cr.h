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
    uint64_t cr0, cr4, efer;
    bool code64;  /* CS.L */
    bool old_tss; /* TR refers to a 16-bit TSS */
    /* Set by a change: */
    bool load_pdptes; /* PAE paging: the PDPTEs are to be loaded from CR3, or it is #GP */
    bool flush;       /* translations may have changed */
};

/* CR4 bits that a guest may set. */
uint64_t cr4_allowed(void);
/* Change *r as the instruction would. false: #GP, and *r is void. */
bool cr0_write(struct ControlRegs *r, uint64_t value);
bool cr4_write(struct ControlRegs *r, uint64_t value);
/* The same for WRMSR of EFER. LMA is the CPU's; LME must not change while paging is on (SDM
 * "Initializing IA-32e Mode"). */
static inline bool efer_write(struct ControlRegs *r, uint64_t value)
{
    if (value & ~(uint64_t)EFER_GUEST)
        return false;
    if ((value & EFER_NXE) && !cpu_features.nx)
        return false;
    if (((value ^ r->efer) & EFER_LME) && (r->cr0 & CR0_PG))
        return false;
    r->flush |= (value ^ r->efer) & EFER_NXE;
    r->efer = (value & ~(uint64_t)EFER_LMA) | (r->efer & EFER_LMA);
    return true;
}

#endif
