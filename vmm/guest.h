/*
 * What the kernel sees of the VMM. The rest goes the other way: vmm_init registers the VMM's system
 * calls (kern/syscall.h) and what the kernel asks of it (kern/hooks.h).
 */
#ifndef JOS_VMM_GUEST_H
#define JOS_VMM_GUEST_H

/* At boot, when everything but the first env is set up. Runs the tests that the command line asks
 * for. What the CPU can do is found out when somebody asks for a guest. */
void vmm_init(void);

#endif
