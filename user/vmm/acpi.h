/*
 * ACPI's tables for a guest (ACPI 6.5 "ACPI Software Programming Model").
 */
#ifndef JOS_USER_VMM_ACPI_H
#define JOS_USER_VMM_ACPI_H

#include <inc/lib.h>
#include <inc/vmm.h>

/* Build them. Returns the gpa of the root pointer. */
gpa_t acpi_build(void);
/* Put them into guest memory. 0 or -E_*. */
int acpi_load(envid_t guest);

#endif
