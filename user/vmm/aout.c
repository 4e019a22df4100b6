/*
 * Images that are not ELF: the Multiboot header itself says where they go (Multiboot "The address
 * fields of Multiboot header", the a.out kludge). The one segment is checked in image.c.
 */
#include <user/vmm/aout.h>

static int broken(const struct Image *im, const char *why)
{
    complain("%s: broken Multiboot header: %s", im->path, why);
    return -E_NOT_EXEC;
}

int aout_segments(struct Image *im, const struct MultibootHeader *mb, uint32_t off)
{
    if (!(mb->flags & MULTIBOOT_AOUT_KLUDGE)) {
        complain("%s: not an ELF file, and its Multiboot header has no load addresses", im->path);
        return -E_NOT_EXEC;
    }
    if (mb->load_addr > mb->header_addr)
        return broken(im, "load_addr is above header_addr");
    uint32_t before = mb->header_addr - mb->load_addr; /* bytes loaded ahead of the header */
    if (before > off)
        return broken(im, "load_addr is ahead of the file's first byte");

    uint64_t start = off - before;
    uint64_t end = mb->load_end_addr ? mb->load_end_addr : mb->load_addr + (im->size - start);
    if (end <= mb->load_addr)
        return broken(im, "load_end_addr is not above load_addr");
    uint64_t bss_end = mb->bss_end_addr ? mb->bss_end_addr : end;
    if (bss_end < end)
        return broken(im, "bss_end_addr is below load_end_addr");

    im->entry = mb->entry_addr;
    im->nsegs = 1;
    im->segs[0] = (struct Segment){ .gpa = mb->load_addr,
                                    .memsz = bss_end - mb->load_addr,
                                    .filesz = end - mb->load_addr,
                                    .offset = start };
    return 0;
}
