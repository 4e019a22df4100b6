/*
 * The multiboot information for a guest.
 */
#ifndef JOS_USER_VMM_MBI_H
#define JOS_USER_VMM_MBI_H

#include <user/vmm/boot.h>

/* Build it and choose its place in b->info. 0, or -E_* after a sentence. */
int mbi_plan(struct Boot *b);
/* Put it into guest memory. 0 or -E_*. */
int mbi_load(envid_t guest, const struct Boot *b);

#endif
