/*
 * What a kernel file holds, checked before anything is started.
 */
#ifndef JOS_USER_VMM_IMAGE_H
#define JOS_USER_VMM_IMAGE_H

#include <user/vmm/common.h>

/* Where the memory above 1 MiB begins on a PC. */
#define EXTMEM 0x100000ul

#define MAX_SEGMENTS 32
#define MAX_NOTES    4

/* A stretch of guest memory and where its first filesz bytes come from; the rest is zero. */
struct Segment {
    gpa_t gpa;
    uint64_t memsz;
    uint64_t filesz;
    off_t offset; /* in the file */
};

/* A part of a file. */
struct FilePart {
    off_t offset;
    uint64_t size;
};

struct Image {
    const char *path;
    int fd; /* open for reading; -1: not open */
    uint64_t size;
    gpa_t entry;   /* physical address of the first instruction */
    bool is_linux; /* started as Linux is, with an initrd and ACPI's tables; else by Multiboot */
    bool is_pvh;   /* that at its PVH entry point; else by the Linux boot protocol */
    bool wide;     /* ELF64 */
    unsigned nsegs;
    struct Segment segs[MAX_SEGMENTS]; /* ascending, apart from each other, inside guest memory */
    unsigned nnotes;
    struct FilePart notes[MAX_NOTES]; /* an ELF file's, not checked */
};

/* Open a kernel file and check it in full for a guest with *memsize bytes; 0 becomes what is usual
 * for such a kernel. Returns 0, or -E_* after a sentence about the fault; then nothing stays open.
 */
int image_open(struct Image *im, const char *path, uint64_t *memsize);
/* Open any regular file. Returns its descriptor and its size, or -E_* after a sentence. */
int open_regular(const char *path, uint64_t *size);
/* Where the last of all segments ends in memory; UINT64_MAX also for one that wraps around. */
gpa_t image_end(const struct Image *im);
/* Does [start, start + len) lie in [base, base + size)? */
bool in_range(uint64_t start, uint64_t len, uint64_t base, uint64_t size);
/* Does [gpa, gpa + len) lie in the RAM of a guest with memsize bytes? */
bool gpa_is_ram(gpa_t gpa, uint64_t len, uint64_t memsize);
/* RAM below the hole, and RAM from 4 GiB on, of a guest with memsize bytes. */
uint64_t ram_below_hole(uint64_t memsize);
uint64_t ram_above_hole(uint64_t memsize);

#endif
