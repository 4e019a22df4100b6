/*
 * How a guest is made and filled. These functions are exercises of the lab.
 */
#ifndef JOS_USER_VMM_H
#define JOS_USER_VMM_H

#include <user/vmm/boot.h>

/* Ask the kernel for a guest with b's memory size and entry point, and these GUEST_* flags; this
 * env is its owner. Returns its id, or -E_* after a sentence. */
envid_t make_guest(const struct Boot *b, int flags);
/* Load the kernel's segments. 0 or -E_*. */
int copy_guest_kern_gpa(envid_t guest, const struct Image *im);
/* Put filesz bytes of file fd from fileoffset on at gpa. What a page holds beyond them is zero; the
 * pages up to memsz that the file does not reach are left to demand-zero. A page that starts before
 * gpa keeps what it has there, so segments are to be loaded in ascending order. 0 or -E_*. */
int map_in_guest(envid_t guest, gpa_t gpa, size_t memsz, int fd, size_t filesz, off_t fileoffset);

#endif
