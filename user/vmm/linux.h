/*
 * Linux kernels for a guest ("The Linux/x86 Boot Protocol"): bzImage, started at its 64-bit entry
 * point.
 */
#ifndef JOS_USER_VMM_LINUX_H
#define JOS_USER_VMM_LINUX_H

#include <user/vmm/boot.h>

#define LINUX_MEM_DEFAULT (256 * MIB)

/* Do the file's first n bytes begin a bzImage? */
bool is_bzimage(const uint8_t *head, size_t n);
/* Check the header field by field, and fill in the segment, the entry point and im->is_linux. 0, or
 * -E_* after a sentence. */
int bzimage_segments(struct Image *im, const uint8_t *head, size_t n);

/* Choose the places of modules, which are the parts of one initrd, and build what the kernel finds:
 * boot parameters, command line, tables. 0, or -E_* after a sentence. */
int linux_plan(struct Boot *b);
/* Put that into guest memory. 0 or -E_*. */
int linux_load(envid_t guest, const struct Boot *b);
/* The registers at the start: in 32-bit protected mode, in front of code that goes to the entry
 * point. */
struct Trapframe linux_registers(const struct Boot *b);

#endif
