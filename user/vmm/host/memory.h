/*
 * Guest memory on the build machine: a page is an allocation of its own, so that a sanitizer sees
 * what goes beyond it. Some pages are read-only to the guest, some cannot be had; which ones, their
 * addresses say. Pages can be replaced, and changes can be kept for moments when a device looks
 * elsewhere.
 */
#ifndef JOS_USER_VMM_HOST_MEMORY_H
#define JOS_USER_VMM_HOST_MEMORY_H

#include <user/vmm/dev/dma.h>
#include <user/vmm/host/target.h>

#define MEMORY_HIGH 0x200000ul /* bytes of RAM from 4 GiB on */
#define MEMORY_SIZE (0xc0000000ul + MEMORY_HIGH)

extern const struct DmaPeer memory_peer;
extern uint64_t memory_replaced; /* for dma_init */

/* All of it is zero again. */
void memory_reset(void);
/* The guest's own accesses; what is no RAM, or cannot be had, is ignored. */
void memory_write(gpa_t gpa, const void *buf, size_t n);
void memory_read(gpa_t gpa, void *buf, size_t n);
/* The page itself, until it is replaced; NULL: it cannot be had, or is read-only. */
char *memory_frame(gpa_t gpa);
/* The page gets another frame with the same contents. Mappings of the old one are stale. */
void memory_replace(gpa_t gpa);
/* Keep a write of the guest's for later: a part of the input. */
void memory_plan(struct Input *in);
/* Now is such a moment. */
void memory_disturb(void);
/* What no device may change is as it was. */
void memory_check(void);

#endif
