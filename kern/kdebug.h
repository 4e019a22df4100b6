/*
 * Names for code addresses, from a compact table that the build makes (conf/mksymtab).
 */
#ifndef JOS_KERN_KDEBUG_H
#define JOS_KERN_KDEBUG_H

#include <inc/types.h>

struct RipInfo {
    const char *fn;   /* function, "?" if unknown */
    const char *file; /* source file as the build named it, "?" if unknown */
    uint32_t line;
    uint64_t offset; /* of the address in the function, bytes */
};

/* Returns true if the address is in the kernel's text. */
bool debuginfo_rip(uint64_t rip, struct RipInfo *info);

#endif
