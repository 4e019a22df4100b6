/*
 * Where a Linux guest finds what its monitor has made for its start.
 */
#ifndef JOS_USER_VMM_LINUX_START_H
#define JOS_USER_VMM_LINUX_START_H

#define LINUX_AREA  0x10000               /* boot parameters, command line */
#define LINUX_START (LINUX_AREA + 0x2000) /* linux_start.S */
#define LINUX_PML4  (LINUX_AREA + 0x3000) /* tables that map the first 4 GiB */

#ifndef __ASSEMBLER__
/* Code that runs in the guest, at LINUX_START. */
extern const char linux_start[], linux_start_end[];
#endif

#endif
