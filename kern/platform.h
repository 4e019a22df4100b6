/*
 * What differs between hOS on a machine and gOS in a guest, decided once at boot: see
 * kern/platform.c.
 */
#ifndef JOS_KERN_PLATFORM_H
#define JOS_KERN_PLATFORM_H

#include <inc/multiboot.h>

extern bool is_guest; /* this kernel is gOS */
extern char boot_cmdline[512];
extern uint64_t boot_tsc; /* TSC at the kernel's entry */

/* Ask CPUID for our own VMM; copy the command line. mbi_pa: physical address from EBX. */
void platform_init(uint32_t magic, physaddr_t mbi_pa);
/* The memory map, by multiboot or by hypercall; valid until mem_init is done. */
const struct MultibootInfo *platform_mbi(void);
/* One hypercall; registers are in and out. Only when is_guest. */
int64_t hypercall(uint64_t nr, uint64_t *rbx, uint64_t *rcx, uint64_t *rdx, uint64_t *rsi);

#endif
