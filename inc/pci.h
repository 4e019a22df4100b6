/*
 * A PCI function as its driver gets it, in the kernel or in an env (sys_pci_open): its
 * configuration space and where its registers are (PCI Local Bus Specification, "Configuration
 * Space").
 */
#ifndef JOS_INC_PCI_H
#define JOS_INC_PCI_H

#include "types.h"

#define PCI_NBARS       6
#define PCI_CONFIG_SIZE 256
#define PCI_DEVICES     32      /* of bus 0; of each, function 0 */
#define PCI_MAP_MAX     0x10000 /* bytes of a memory BAR that can be mapped */

/* Registers, and bits of them */
#define PCI_ID              0x00 /* vendor; device: the upper half */
#define PCI_COMMAND         0x04
#define PCI_COMMAND_IO      (1u << 0)
#define PCI_COMMAND_MEM     (1u << 1)
#define PCI_COMMAND_MASTER  (1u << 2)
#define PCI_COMMAND_NO_INTX (1u << 10)
#define PCI_HEADER          0x0e
#define PCI_HEADER_TYPE     0x7f /* 0: a device */
#define PCI_BAR             0x10
#define PCI_BAR_IO          (1u << 0)
#define PCI_BAR_WIDTH       (3u << 1)
#define PCI_BAR_64          (2u << 1)
#define PCI_CAPABILITIES    0x34

/* Capabilities: id, next one's register, ... */
#define PCI_CAP_VENDOR  0x09
#define PCI_CAP_MSIX    0x11
#define PCI_MSIX_CTL    0x02 /* 16 bits */
#define PCI_MSIX_ENABLE (1u << 15)
#define PCI_MSIX_TABLE  0x04 /* where the table is: offset, and in the lowest 3 bits a BAR */

#define PCI_DEVICE_ID(vendor, device) ((vendor) | (uint32_t)(device) << 16)

struct PciBar {
    uint64_t start; /* physical address, or port */
    uint32_t size;  /* 0: there is no such BAR */
    uint32_t is_io;
};

struct PciDevice {
    struct PciBar bars[PCI_NBARS];
    uint8_t config[PCI_CONFIG_SIZE]; /* as it was when the device was opened */
};

/* What a device has to write for its interrupt. */
struct PciMessage {
    uint64_t address;
    uint32_t data;
    uint32_t unused;
};

#endif
