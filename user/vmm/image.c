/*
 * A boot image for a guest: opens the file, finds the Multiboot header, has the segments listed by
 * ELF headers or by the header's address fields, and checks that they can be loaded. Every refusal
 * is a sentence that names the file. Relies on elf.c and aout.c for the formats.
 */
#include <user/vmm/aout.h>
#include <user/vmm/elf.h>
#include <user/vmm/image.h>
#include <user/vmm/linux.h>

uint64_t ram_below_hole(uint64_t memsize)
{
    return MIN(memsize, GUEST_HOLE_START);
}

uint64_t ram_above_hole(uint64_t memsize)
{
    return memsize - ram_below_hole(memsize);
}

bool in_range(uint64_t start, uint64_t len, uint64_t base, uint64_t size)
{
    return start >= base && start - base <= size && len <= size - (start - base);
}

bool gpa_is_ram(gpa_t gpa, uint64_t len, uint64_t memsize)
{
    return in_range(gpa, len, 0, ram_below_hole(memsize)) ||
           in_range(gpa, len, GUEST_HOLE_END, ram_above_hole(memsize));
}

int open_regular(const char *path, uint64_t *size)
{
    struct Stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        complain("%s: %e", path, fd);
        return fd;
    }
    int r = fstat(fd, &st);
    if (r == 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r < 0) {
        complain("%s: not a regular file: %e", path, r);
        close(fd);
        return r;
    }
    *size = st.st_size;
    return fd;
}

/* Multiboot "The magic fields of Multiboot header": the three words add up to 0. */
static bool header_sums_up(const struct MultibootHeader *mb)
{
    return mb->magic + mb->flags + mb->checksum == 0;
}

/* Find the Multiboot header in the file's first n bytes. Returns its offset, -E_NOT_FOUND if there
 * is none, or -E_NOT_EXEC after a sentence. The copy in *mb has zeroes where the file is too short
 * for the address fields. */
static int find_header(const char *path, const uint8_t *head, size_t n, struct MultibootHeader *mb)
{
    const size_t need = offsetof(struct MultibootHeader, header_addr);
    int broken = -1;

    for (size_t off = 0; off + need <= n; off += 4) {
        memset(mb, 0, sizeof(*mb));
        memcpy(mb, head + off, MIN(sizeof(*mb), n - off));
        if (mb->magic != MULTIBOOT_HEADER_MAGIC)
            continue;
        if (header_sums_up(mb))
            return off;
        if (broken < 0)
            broken = off;
    }
    if (broken < 0)
        return -E_NOT_FOUND;
    complain("%s: the checksum of its Multiboot header (offset 0x%x) is wrong", path, broken);
    return -E_NOT_EXEC;
}

/* Multiboot "The magic fields of Multiboot header": bits 0 to 15 are requirements. What this
 * monitor meets is a null entry; a name says what is refused. */
static const char *const requirement_names[16] = {
    [2] = "a video mode",
};
#define REQUIREMENTS_MET (MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO)

static int check_requirements(const char *path, uint32_t flags)
{
    for (unsigned bit = 0; bit < ARRAY_SIZE(requirement_names); bit++) {
        if (!(flags & 1u << bit) || (REQUIREMENTS_MET & 1u << bit))
            continue;
        const char *name = requirement_names[bit];
        complain("%s: its Multiboot header requires %s (flag bit %u), which vmm does not offer",
                 path, name ? name : "an unknown feature", bit);
        return -E_NOT_SUPP;
    }
    return 0;
}

static void sort_segments(struct Image *im)
{
    for (unsigned i = 1; i < im->nsegs; i++) {
        struct Segment s = im->segs[i];
        unsigned j = i;
        for (; j > 0 && im->segs[j - 1].gpa > s.gpa; j--)
            im->segs[j] = im->segs[j - 1];
        im->segs[j] = s;
    }
}

gpa_t image_end(const struct Image *im)
{
    gpa_t end = 0;
    for (unsigned i = 0; i < im->nsegs; i++) {
        const struct Segment *s = &im->segs[i];
        end = MAX(end, s->memsz > UINT64_MAX - s->gpa ? UINT64_MAX : s->gpa + s->memsz);
    }
    return end;
}

static int check_segment(const struct Image *im, const struct Segment *s, uint64_t memsize)
{
    if (s->filesz > s->memsz) {
        complain("%s: broken: the segment at 0x%lx has more bytes in the file than in memory",
                 im->path, s->gpa);
        return -E_NOT_EXEC;
    }
    if (s->offset < 0 || !in_range(s->offset, s->filesz, 0, im->size)) {
        complain("%s: truncated: the segment at 0x%lx needs 0x%lx bytes at offset 0x%lx, the file "
                 "has 0x%lx bytes",
                 im->path, s->gpa, s->filesz, s->offset, im->size);
        return -E_NOT_EXEC;
    }
    if (!gpa_is_ram(s->gpa, s->memsz, memsize)) {
        if (im->is_linux)
            return linux_too_large(im, memsize);
        complain("%s: does not fit: needs %lu KiB at gpa 0x%lx, guest has %lu KiB", im->path,
                 (s->memsz + KIB - 1) / KIB, s->gpa, memsize / KIB);
        return -E_TOO_BIG;
    }
    return 0;
}

static int check_segments(struct Image *im, uint64_t memsize)
{
    if (im->nsegs == 0) {
        complain("%s: has nothing to load", im->path);
        return -E_NOT_EXEC;
    }
    sort_segments(im);
    for (unsigned i = 0; i < im->nsegs; i++) {
        const struct Segment *s = &im->segs[i];
        int r = check_segment(im, s, memsize);
        if (r < 0)
            return r;
        if (i > 0 && s[-1].gpa + s[-1].memsz > s->gpa) {
            complain("%s: the segments at 0x%lx and 0x%lx overlap", im->path, s[-1].gpa, s->gpa);
            return -E_NOT_EXEC;
        }
    }
    if (im->entry > UINT32_MAX) {
        complain("%s: its entry point 0x%lx is above 4 GiB", im->path, im->entry);
        return -E_NOT_EXEC;
    }
    for (unsigned i = 0; i < im->nsegs; i++)
        if (in_range(im->entry, 1, im->segs[i].gpa, im->segs[i].memsz))
            return 0;
    complain("%s: its entry point 0x%lx is in none of its segments", im->path, im->entry);
    return -E_NOT_EXEC;
}

/* List the segments, by whichever format the file has: a bzImage, whatever else is in it; then a
 * Multiboot header; then an ELF file that is started as Linux is. */
static int list_segments(struct Image *im)
{
    static uint8_t head[MULTIBOOT_SEARCH] __attribute__((aligned(8)));
    struct MultibootHeader mb;

    ssize_t n = readn(im->fd, head, sizeof(head));
    if (n < 0) {
        complain("%s: %e", im->path, (int)n);
        return n;
    }
    if (is_bzimage(head, n))
        return bzimage_segments(im, head, n);
    bool elf = is_elf(head, n);
    if (elf) {
        int r = elf_segments(im, head, n);
        if (r < 0)
            return r;
    }
    int off = find_header(im->path, head, n, &mb);
    if (off == -E_NOT_FOUND && elf)
        return vmlinux_segments(im);
    if (off == -E_NOT_FOUND)
        complain("%s: no kernel: it is no bzImage of Linux and no ELF file, and has no Multiboot "
                 "header in its first %u bytes",
                 im->path, MULTIBOOT_SEARCH);
    if (off < 0)
        return -E_NOT_EXEC;
    int r = check_requirements(im->path, mb.flags);
    return r < 0 || elf ? r : aout_segments(im, &mb, off);
}

int image_open(struct Image *im, const char *path, uint64_t *memsize)
{
    *im = (struct Image){ .path = path, .fd = -1 };
    int fd = open_regular(path, &im->size);
    if (fd < 0)
        return fd;
    im->fd = fd;
    int r = list_segments(im);
    if (*memsize == 0)
        *memsize = im->is_linux ? LINUX_MEM_DEFAULT : GUEST_MEM_DEFAULT;
    if (r == 0)
        r = check_segments(im, *memsize);
    if (r < 0) {
        close(fd);
        im->fd = -1;
    }
    return r;
}
