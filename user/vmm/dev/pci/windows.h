/*
 * What base address registers may claim, for C and for dsdt.asl. Neither window has RAM, the local
 * APIC, or the ports of a PC's own devices.
 */
#ifndef JOS_USER_VMM_DEV_PCI_WINDOWS_H
#define JOS_USER_VMM_DEV_PCI_WINDOWS_H

#define PCI_MEM_START 0xc0000000 /* GUEST_HOLE_START */
#define PCI_MEM_SIZE  0x3ec00000
#define PCI_MEM_LAST  0xfebfffff /* before I/O APICs */
#define PCI_IO_START  0x1000
#define PCI_IO_SIZE   0xf000
#define PCI_IO_LAST   0xffff

#endif
