/*
 * ACPI's tables for a guest (ACPI 6.5 "ACPI Software Programming Model").
 */
#ifndef JOS_USER_VMM_ACPI_H
#define JOS_USER_VMM_ACPI_H

#include <inc/lib.h>
#include <inc/vmm.h>

/* Where the root pointer is. */
gpa_t acpi_root(void);
/* Put the tables into guest memory. 0 or -E_*. */
int acpi_load(envid_t guest);

#endif
