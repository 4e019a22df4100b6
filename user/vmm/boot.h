/*
 * What a guest starts with: its memory, its kernel, and the modules for it.
 */
#ifndef JOS_USER_VMM_BOOT_H
#define JOS_USER_VMM_BOOT_H

#include <user/vmm/image.h>

#define MAX_MODULES 16

struct Module {
    const char *string; /* the argument of -i: path, then anything for the guest */
    char path[MAXPATHLEN];
    int fd;
    uint64_t size;
    gpa_t gpa; /* page aligned */
};

struct Boot {
    uint64_t memsize;
    const char *cmdline;
    bool virtio; /* the kernel is told to use virtio devices */
    struct Image kernel;
    unsigned nmods;
    struct Module mods[MAX_MODULES];
    gpa_t info; /* gpa of the multiboot information */
    size_t info_size;
};

/* Open the modules and choose a place above the kernel for each. 0, or -E_* after a sentence. */
int modules_open(struct Boot *b);
/* Load the modules. 0 or -E_*. */
int modules_load(envid_t guest, const struct Boot *b);
/* Close the files that are open. */
void boot_close(struct Boot *b);

#endif
