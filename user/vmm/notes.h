/*
 * What the notes of an ELF file say about a kernel (gABI "Note Section").
 */
#ifndef JOS_USER_VMM_NOTES_H
#define JOS_USER_VMM_NOTES_H

#include <user/vmm/image.h>

struct KernelNotes {
    bool is_linux; /* there is one of Linux' own (.note.Linux), as in every kernel since 4.19 */
    bool has_pvh;
    uint64_t pvh_entry; /* Xen's XEN_ELFNOTE_PHYS32_ENTRY: physical, 32-bit code */
};

/* Read the notes that elf_segments has found. 0, or -E_* after a sentence. */
int notes_read(const struct Image *im, struct KernelNotes *notes);

#endif
