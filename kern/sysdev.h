/*
 * PCI devices that envs drive: who has which, and the system calls; inc/lib.h has the contracts.
 */
#ifndef JOS_KERN_SYSDEV_H
#define JOS_KERN_SYSDEV_H

#include <inc/env.h>

/* Is this the current env's interrupt line? */
bool sysdev_has_irq(int irq);
/* The env has ended: stop its devices, before its memory is used for something else. */
void sysdev_release(envid_t owner);

int64_t sys_pci_open(uint32_t id, unsigned nth, uintptr_t dst);
int64_t sys_pci_map(unsigned handle, unsigned bar);
int64_t sys_pci_irq(unsigned handle, uintptr_t dst);

#endif
