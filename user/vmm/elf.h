/*
 * ELF files as images.
 */
#ifndef JOS_USER_VMM_ELF_H
#define JOS_USER_VMM_ELF_H

#include <user/vmm/image.h>

/* head: the file's first n bytes. */
bool is_elf(const uint8_t *head, size_t n);
/* Fill segs, notes, entry and wide from ELF headers. 0, or -E_* after a sentence. */
int elf_segments(struct Image *im, const uint8_t *head, size_t n);

#endif
