/*
 * MSI-X: a table of messages in a function's memory, each of which it may send as an interrupt (PCI
 * Local Bus Specification, "MSI-X Capability and Table Structures"). Table and pending bits fill
 * one page.
 */
#ifndef JOS_USER_VMM_DEV_PCI_MSIX_H
#define JOS_USER_VMM_DEV_PCI_MSIX_H

#include <user/vmm/dev/pci/pci.h>

#define MSIX_VECTORS 64     /* at most */
#define MSIX_SIZE    0x1000 /* bytes of memory */
#define MSIX_CAP     12     /* bytes of configuration space */

struct MsixEntry {
    uint32_t address[2]; /* low half, high half */
    uint32_t data;
    uint32_t control; /* bit 0: masked */
};
_Static_assert(sizeof(struct MsixEntry) == 16, "MSI-X table entry");

/* What a save keeps, besides configuration space. */
struct MsixState {
    uint64_t pending; /* one bit a vector */
    struct MsixEntry table[MSIX_VECTORS];
};

struct Msix {
    struct PciFunction *function;
    unsigned nvectors, cap; /* cap: the capability's register */
    struct MsixState s;
};

/* The capability, with this many vectors, in a function that is being built; the table is at this
 * offset of BAR n. */
void msix_init(struct Msix *m, struct PciFunction *f, unsigned nvectors, unsigned n,
               uint32_t offset);
/* The guest's access to table and pending bits; offset < MSIX_SIZE. */
uint64_t msix_read(const struct Msix *m, uint64_t offset, unsigned size);
void msix_write(struct Msix *m, uint64_t offset, unsigned size, uint64_t value);
/* Configuration space was written: a PciHooks.written calls this. */
void msix_config_written(struct Msix *m, unsigned first, unsigned size);
bool msix_is_enabled(const struct Msix *m);
/* The function's event: send the message of a vector below nvectors, or keep it pending while it is
 * masked. Nothing happens without MSI-X, or while the function is no bus master. */
void msix_raise(struct Msix *m, unsigned vector);
/* -E_INVAL: a state that no table with these vectors has, and nothing has changed. */
int msix_load(struct Msix *m, const struct MsixState *s);

#endif
