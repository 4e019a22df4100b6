/*
 * A PCI bus: the host bridge, which has configuration mechanism #1 at ports 0xcf8 and 0xcfc to
 * 0xcff, and up to PCI_SLOTS functions, each number 0 of its device (PCI Local Bus Specification,
 * "Configuration Space"). A function's base address registers say where it answers on the guest's
 * bus; they come into effect through one function, which puts all of them on the bus anew after any
 * change, so that where things are depends on the registers' values only.
 */
#ifndef JOS_USER_VMM_DEV_PCI_PCI_H
#define JOS_USER_VMM_DEV_PCI_PCI_H

#include <inc/vmm.h>
#include <user/vmm/dev/bus.h>
#include <user/vmm/dev/pci/windows.h>

#define PCI_MEM_END (PCI_MEM_LAST + 1ul)
#define PCI_IO_END  (PCI_IO_LAST + 1ul)
_Static_assert(PCI_MEM_START == GUEST_HOLE_START, "the window begins where RAM ends");
_Static_assert(PCI_MEM_START + PCI_MEM_SIZE == PCI_MEM_END &&
                   PCI_IO_START + PCI_IO_SIZE == PCI_IO_END,
               "the windows");

#define PCI_SLOTS  32
#define PCI_CONFIG 256 /* bytes of a function's configuration space */
#define PCI_BARS   6

/* Registers */
enum {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* 3 bytes */
    PCI_CACHE_LINE = 0x0c,
    PCI_HEADER = 0x0e,
    PCI_BAR = 0x10, /* the first; each has 4 bytes */
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_IRQ_LINE = 0x3c,
    PCI_FREE = 0x40, /* from here on: capabilities */
};
#define PCI_COMMAND_IO     (1u << 0)
#define PCI_COMMAND_MEM    (1u << 1)
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_COMMAND_NOINTX (1u << 10)
#define PCI_STATUS_CAPS    (1u << 4)
#define PCI_BAR_IO         1u

struct PciFunction;

/* What a function does with its configuration space, besides keeping it. All may be NULL. */
struct PciHooks {
    /* Before [first, first + size) of it is read, and after it was written. */
    void (*before_read)(struct PciFunction *f, unsigned first, unsigned size);
    void (*written)(struct PciFunction *f, unsigned first, unsigned size);
};

struct PciBar {
    uint32_t size;         /* a power of two; 0: there is none */
    bool io;               /* ports; else memory */
    struct Device *device; /* answers there, its registers from `offset` on */
    uint64_t offset;
    uint64_t mapped; /* where it is on the bus now; 0: nowhere */
};

struct PciFunction {
    const struct PciHooks *hooks;
    struct PciHost *host;
    unsigned caps_end; /* where the next capability goes */
    unsigned last_cap; /* register that links to it */
    struct PciBar bars[PCI_BARS];
    uint8_t config[PCI_CONFIG];   /* all its state */
    uint8_t writable[PCI_CONFIG]; /* bits that the guest may change */
};

/* What the host bridge and its functions are connected to. */
struct PciPeer {
    /* A message-signaled interrupt: 0, or -E_INVAL, and nothing has happened. */
    int (*msi)(void *to, uint64_t address, uint32_t data);
    void *to;
};

struct PciHost {
    struct Device address_port, data_port;
    struct Bus *bus;
    const struct PciPeer *peer;
    uint32_t address; /* of mechanism #1 */
    struct PciFunction bridge;
    struct PciFunction *slots[PCI_SLOTS];
    uint64_t next_mem, next_io; /* where BARs are placed at the start */
};

/* The host bridge, at the ports and as function 0 of slot 0. 0 or -E_*. */
int pci_host_add(struct PciHost *h, struct Bus *bus, const struct PciPeer *peer);

/* ---- How a function is built: begin, BARs and capabilities, plug ---- */

struct PciIdentity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision;
    uint32_t class; /* class, subclass, programming interface: 24 bits */
};
void pci_begin(struct PciFunction *f, const struct PciIdentity *id, const struct PciHooks *hooks);
/* BAR n, of `size` bytes or ports, which is a power of two: at least 16 bytes, or 4 ports. d
 * answers there. */
void pci_bar(struct PciFunction *f, unsigned n, bool io, uint32_t size, struct Device *d,
             uint64_t offset);
/* A capability of `size` bytes, its id and link included; what follows them is 0 and read-only.
 * Returns its first register. The list is in the order of these calls. */
unsigned pci_capability(struct PciFunction *f, uint8_t id, unsigned size);
/* Let the guest change these bits, and no others, of register `reg` of `size` bytes (1, 2, 4). */
void pci_make_writable(struct PciFunction *f, unsigned reg, unsigned size, uint32_t bits);
/* Into the first free slot, with its BARs placed, and enabled. 0, -E_NO_MEM: no slot, or no room in
 * a window. */
int pci_plug(struct PciHost *h, struct PciFunction *f);

/* ---- Registers ---- */

/* Register `reg` of `size` bytes (1, 2, 4), for functions themselves: any bit can be written. */
uint32_t pci_get(const struct PciFunction *f, unsigned reg, unsigned size);
void pci_set(struct PciFunction *f, unsigned reg, unsigned size, uint32_t value);
/* The guest has access to configuration space: hooks, and writable bits only. */
uint32_t pci_read(struct PciFunction *f, unsigned reg, unsigned size);
void pci_write(struct PciFunction *f, unsigned reg, unsigned size, uint32_t value);
/* May it do DMA and send messages? */
static inline bool pci_is_master(const struct PciFunction *f)
{
    return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* Take over a saved configuration space. -E_INVAL: one that this function cannot have, and nothing
 * has changed. */
int pci_load(struct PciFunction *f, const uint8_t config[PCI_CONFIG]);

#endif
