/*
 * The devices of a guest's machine that no bus lists (ACPI Specification, "ASL Reference").
 * Linux finds its serial port here, and the value that switches the machine off.
 */
DefinitionBlock ("", "DSDT", 2, "JOSvmm", "JOSVMM", 1)
{
    Name (\_S5, Package () { 5, 5, 0, 0 }) /* PM_SLEEP_OFF in dev/pm.h */

    Scope (\_SB)
    {
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
