/*
 * The devices of a guest's machine that no bus lists (ACPI Specification, "ASL Reference").
 * Linux finds PCI and its serial port here, and the value that switches the machine off. It goes
 * through C's preprocessor.
 */
#include <user/vmm/dev/pci/windows.h>

DefinitionBlock ("", "DSDT", 2, "JOSvmm", "JOSVMM", 1)
{
    Name (\_S5, Package () { 5, 5, 0, 0 }) /* PM_SLEEP_OFF in dev/pm.h */

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0xCF8, 0xCF8, 1, 8)
                DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, PCI_IO_START, PCI_IO_LAST, 0, PCI_IO_SIZE)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0, PCI_MEM_START, PCI_MEM_LAST, 0, PCI_MEM_SIZE)
            })
        }
        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x3F8, 0x3F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }
    }
}
