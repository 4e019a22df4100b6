/*
 * Where the kernel's formatted output goes.
 */
#ifndef JOS_KERN_PRINTF_H
#define JOS_KERN_PRINTF_H

#include <inc/types.h>

/* From now on the kernel's formatted output goes to fn, or (NULL) to the console again. Only while
 * all other CPUs stand still. */
void cprintf_to(void (*fn)(const char *s, size_t len));

#endif
