/*
 * What a guest may do with its control registers. The decisions are functions of values; the back
 * end reads the registers, asks, and writes what has changed.
 */
#include <inc/mmu.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <vmm/backend.h>
#include <vmm/cr.h>

#define CR0_DEFINED                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)
#define CR3_PCID   0xffful

/* Paging goes on. false: #GP. */
static bool paging_on(struct ControlRegs *r)
{
    bool pae = r->cr4 & CR4_PAE;
    if (!(r->efer & EFER_LME)) {
        r->load_pdptes = pae;
        return true;
    }
    if (!pae || r->code64 || r->old_tss)
        return false;
    r->efer |= EFER_LMA;
    return true;
}

/* Paging goes off. false: #GP. */
static bool paging_off(struct ControlRegs *r)
{
    if (((r->efer & EFER_LMA) && r->code64) || (r->cr4 & CR4_PCIDE))
        return false;
    r->efer &= ~(uint64_t)EFER_LMA;
    return true;
}

bool cr0_write(struct ControlRegs *r, uint64_t value)
{
    uint64_t old = r->cr0;
    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD)))
        return false;
    if (!(old & CR0_PG) && (value & CR0_PG) && !paging_on(r))
        return false;
    if ((old & CR0_PG) && !(value & CR0_PG) && !paging_off(r))
        return false;
    r->cr0 = (value & CR0_DEFINED) | CR0_ET;
    r->flush |= (value ^ old) & (CR0_PG | CR0_WP);
    return true;
}

bool cr4_write(struct ControlRegs *r, uint64_t value)
{
    bool paging = r->cr0 & CR0_PG, long_mode = r->efer & EFER_LMA;
    if ((value & ~r->cr4_allowed) || (long_mode && !(value & CR4_PAE)))
        return false;
    /* SDM "Enabling PCIDs" */
    if ((value & ~r->cr4 & CR4_PCIDE) && (!long_mode || (r->cr3 & CR3_PCID)))
        return false;
    uint64_t changed = (value ^ r->cr4) & CR4_PAGING;
    r->load_pdptes = paging && !long_mode && (value & CR4_PAE) && changed;
    r->flush |= changed != 0;
    r->cr4 = value;
    return true;
}
