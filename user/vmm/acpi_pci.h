/*
 * What the DSDT says about PCI: a host bridge with one bus, and the windows of dev/pci/pci.h.
 */
#ifndef JOS_USER_VMM_ACPI_PCI_H
#define JOS_USER_VMM_ACPI_PCI_H

#include <user/vmm/dev/pci/pci.h>

/*
 * Device (_SB.PCI0) {
 *     Name (_HID, EisaId ("PNP0A03"))
 *     Name (_UID, 0)
 *     Name (_BBN, 0)
 *     Name (_CRS, ResourceTemplate () {
 *         WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
 *         IO (Decode16, 0xcf8, 0xcf8, 1, 8)
 *         WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
 *                 0, PCI_IO_START, PCI_IO_END - 1, 0, PCI_IO_END - PCI_IO_START)
 *         DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
 *                      0, PCI_MEM_START, PCI_MEM_END - 1, 0, PCI_MEM_END - PCI_MEM_START)
 *     })
 * }
 */
/* clang-format off */
#define ACPI_WORD(v)  (uint8_t)(v), (uint8_t)((v) >> 8)
#define ACPI_DWORD(v) ACPI_WORD(v), (uint8_t)((v) >> 16), (uint8_t)((v) >> 24)
#define ACPI_PCI_AML                                                                          \
    0x5b, 0x82, 0x4f, 0x06, 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0', /* Device */        \
    0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03,               /* _HID */          \
    0x08, '_', 'U', 'I', 'D', 0x00,                                       /* _UID */          \
    0x08, '_', 'B', 'B', 'N', 0x00,                                       /* _BBN */          \
    0x08, '_', 'C', 'R', 'S', 0x11, 0x48, 0x04, 0x0a, 0x44,               /* _CRS */          \
    0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00,                                   /* bus numbers */   \
    ACPI_WORD(0), ACPI_WORD(0), ACPI_WORD(0), ACPI_WORD(0), ACPI_WORD(1),                     \
    0x47, 0x01, ACPI_WORD(0xcf8), ACPI_WORD(0xcf8), 0x01, 0x08,           /* IO */            \
    0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03,                                   /* I/O window */    \
    ACPI_WORD(0), ACPI_WORD(PCI_IO_START), ACPI_WORD(PCI_IO_END - 1), ACPI_WORD(0),           \
    ACPI_WORD(PCI_IO_END - PCI_IO_START),                                                     \
    0x87, 0x17, 0x00, 0x00, 0x0c, 0x01,                                   /* memory window */ \
    ACPI_DWORD(0), ACPI_DWORD(PCI_MEM_START), ACPI_DWORD(PCI_MEM_END - 1), ACPI_DWORD(0),     \
    ACPI_DWORD(PCI_MEM_END - PCI_MEM_START),                                                  \
    0x79, 0x00
/* clang-format on */

#endif
