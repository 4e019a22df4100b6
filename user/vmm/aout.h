/*
 * Images that are not ELF, whose Multiboot header says where they go.
 */
#ifndef JOS_USER_VMM_AOUT_H
#define JOS_USER_VMM_AOUT_H

#include <inc/multiboot.h>
#include <user/vmm/image.h>

/* Fill segs and entry from the address fields of the Multiboot header found at offset off. 0, or
 * -E_* after a sentence. */
int aout_segments(struct Image *im, const struct MultibootHeader *mb, uint32_t off);

#endif
