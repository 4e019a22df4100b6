/*
 * Which CPUs the machine has, by tables older than ACPI.
 */
#ifndef JOS_KERN_DEV_MPTABLE_H
#define JOS_KERN_DEV_MPTABLE_H

#include <inc/types.h>

/* As acpi_cpus: Intel MultiProcessor Specification 1.4. */
int mptable_cpus(uint32_t *apicids, int max);

#endif
