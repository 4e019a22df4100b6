/*
 * Which CPUs the machine has, by its firmware's tables.
 */
#ifndef JOS_KERN_DEV_ACPI_H
#define JOS_KERN_DEV_ACPI_H

#include <inc/types.h>

/* Local APIC ids of the CPUs that may be started, the boot CPU's among them; at most max. Returns
 * how many, 0 if there is no such table or it is damaged. */
int acpi_cpus(uint32_t *apicids, int max); /* ACPI "Multiple APIC Description Table (MADT)" */

/* Do the bytes of a firmware table add up to 0? */
bool table_sum_ok(const void *p, size_t len);
/* The structure that starts with this signature on a 16-byte boundary where firmware puts such
 * things (the extended BIOS data area and the BIOS ROM); its first len bytes add up to 0. NULL:
 * none. */
const void *firmware_find(const char *signature, size_t len);

#endif
