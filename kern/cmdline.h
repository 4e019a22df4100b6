/*
 * The words of the kernel's command line.
 */
#ifndef JOS_KERN_CMDLINE_H
#define JOS_KERN_CMDLINE_H

#include <inc/types.h>

/* Value of command-line word "name=value" (copied to buf, size bytes), or true for a bare "name".
 */
bool cmdline_word(const char *name, char *buf, size_t size);

#endif
