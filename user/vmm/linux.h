/*
 * Linux kernels for a guest: a bzImage, started at its 64-bit entry point ("The Linux/x86 Boot
 * Protocol"), or the ELF file that it has compressed, vmlinux, started at its PVH entry point or,
 * if it has none, at its ELF entry point, which is a 64-bit one too.
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

/* The same for an ELF file without a Multiboot header, whose segments, entry point and notes are
 * listed: a PVH entry point is taken first, from any kernel that names one. The ELF entry point is
 * Linux' if the file has a note of Linux' own. */
int vmlinux_segments(struct Image *im);
/* Say how much memory such a kernel needs, which the guest does not have. Returns -E_TOO_BIG. */
int linux_too_large(const struct Image *im, uint64_t memsize);

/* Choose the places of modules, which are the parts of one initrd, and build what the kernel finds:
 * boot parameters, command line, tables. 0, or -E_* after a sentence. */
int linux_plan(struct Boot *b);
/* Put that into guest memory. 0 or -E_*. */
int linux_load(envid_t guest, const struct Boot *b);
/* The registers at the start: in 32-bit protected mode, in front of code that goes to the entry
 * point. */
struct Trapframe linux_registers(const struct Boot *b);

#endif
