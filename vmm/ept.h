/*
 * The second stage of a guest's memory: tables from guest-physical to host-physical addresses.
 * Called EPT here as in the lab; the bits of an entry come from the back end, so that they are
 * AMD's nested page tables, too. Entries are found and changed under Vm.mem_lock.
 */
#ifndef JOS_VMM_EPT_H
#define JOS_VMM_EPT_H

#include <inc/mmu.h>
#include <inc/types.h>

struct PageInfo;
struct Vm;

#define EPT_GPA_BITS 48 /* what four levels translate */

/* In a table of level 1: the entry maps 2 MiB. The same bit on both. */
#define EPTE_LARGE (UL(1) << 7)

/* The entry that maps gpa in *entry: of a 4 KiB page, or of a large page (EPTE_LARGE). With
 * create, missing tables are allocated. -E_NO_MEM; -E_NOT_FOUND: no table, and !create; -E_INVAL:
 * gpa has more than EPT_GPA_BITS. mem_lock is held. */
int ept_lookup_gpa(struct Vm *vm, gpa_t gpa, bool create, uint64_t **entry);
/* Map the page at hva (kernel direct map) at gpa with these rights, a set of GUEST_READ,
 * GUEST_WRITE and GUEST_FETCH. Takes a reference on the frame, drops the one on what was mapped; a
 * large page there is split. With !overwrite, -E_BUSY if something is mapped. -E_NO_MEM. -E_INVAL:
 * gpa is in the middle of a page or has more than EPT_GPA_BITS, or the rights are without
 * GUEST_READ (SDM "EPT Misconfigurations"). */
int ept_map_hva2gpa(struct Vm *vm, void *hva, gpa_t gpa, uint32_t rights, bool overwrite);
/* Map the 2 MiB at hva (kernel direct map), which are a run of frames, at gpa by one entry; both
 * are aligned to 2 MiB. The mapping takes over a reference on each frame of the run, which the
 * caller has, and counts as RUN_FRAMES in stats.pages and 1 in stats.large_pages; on an error
 * nothing has changed. -E_NOT_SUPP: this CPU has no such pages. -E_BUSY: some of these gpas have,
 * or had, pages of 4 KiB, or a large one. -E_NO_MEM. -E_INVAL: gpa or hva is in the middle of a
 * large page, gpa has more than EPT_GPA_BITS, or the rights are without GUEST_READ. */
int ept_map_large(struct Vm *vm, void *hva, gpa_t gpa, uint32_t rights);
/* The host address of gpa and the rights of its page, or NULL if nothing is mapped. mem_lock is
 * held. */
void *ept_gpa2hva(struct Vm *vm, gpa_t gpa, uint32_t *rights);
/* Hide the page at gpa, which has a frame, from the guest: its accesses fault, and everybody else
 * reaches the frame as before. Or end that. What is mapped there meanwhile is hidden, too.
 * -E_NO_MEM. */
int ept_hide(struct Vm *vm, gpa_t gpa, bool hide);
/* ept_map_hva2gpa of a frame, replacing what was there. */
int ept_page_insert(struct Vm *vm, struct PageInfo *pp, gpa_t gpa, uint32_t rights);
/* Put pp, with a new reference, into an entry that maps nothing and is not EPTE_LARGE. mem_lock is
 * held. */
void ept_fill(struct Vm *vm, uint64_t *entry, struct PageInfo *pp, uint32_t rights);
/* Rights for a user's PTE_* permissions; and those that an entry gives. */
uint32_t ept_rights(uint64_t perm);
uint32_t ept_entry_rights(uint64_t entry);
/* Drop all mappings and tables. */
void ept_free(struct Vm *vm);
/* The empty root table. -E_NO_MEM. */
int ept_init(struct Vm *vm);

#endif
