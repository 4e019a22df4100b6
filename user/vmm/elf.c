/*
 * ELF images, of 32 and of 64 bits: reads the program headers and lists the loadable segments by
 * their physical addresses. What a segment's numbers mean for the guest is checked in image.c.
 */
#include <inc/elf.h>
#include <user/vmm/elf.h>

#define MAX_PHDRS 64

bool is_elf(const uint8_t *head, size_t n)
{
    uint32_t magic;
    if (n < sizeof(magic))
        return false;
    memcpy(&magic, head, sizeof(magic));
    return magic == ELF_MAGIC;
}

/* The fields of an ELF header that a loader needs, of either class. */
struct ElfInfo {
    uint16_t type, machine;
    uint64_t entry, phoff;
    uint16_t phentsize, phnum;
    bool wide; /* ELF64 */
};

static struct ElfInfo info_of_32(const struct Elf32 *e)
{
    return (struct ElfInfo){ e->e_type,      e->e_machine, e->e_entry, e->e_phoff,
                             e->e_phentsize, e->e_phnum,   false };
}

static struct ElfInfo info_of_64(const struct Elf64 *e)
{
    return (struct ElfInfo){ e->e_type,      e->e_machine, e->e_entry, e->e_phoff,
                             e->e_phentsize, e->e_phnum,   true };
}

/* Read the header's fields for its class. -E_NOT_EXEC after a sentence. */
static int read_header(const char *path, const uint8_t *head, size_t n, struct ElfInfo *info)
{
    const struct Elf64 *e =
        (const void *)head; /* the first 24 bytes are the same in both classes */

    if (n < sizeof(struct Elf32) || (e->e_class == ELF_CLASS_64 && n < sizeof(struct Elf64))) {
        complain("%s: truncated: the ELF header is not complete", path);
        return -E_NOT_EXEC;
    }
    if (e->e_data != ELF_DATA_LSB || (e->e_class != ELF_CLASS_32 && e->e_class != ELF_CLASS_64)) {
        complain("%s: broken ELF header: class %u, data encoding %u", path, e->e_class, e->e_data);
        return -E_NOT_EXEC;
    }
    *info = e->e_class == ELF_CLASS_64 ? info_of_64(e) : info_of_32((const void *)head);

    uint16_t machine = info->wide ? ELF_MACH_AMD64 : ELF_MACH_386;
    if (info->machine != machine) {
        complain("%s: wrong machine: ELF%s for machine %u, not for x86 (%u)", path,
                 info->wide ? "64" : "32", info->machine, machine);
        return -E_NOT_EXEC;
    }
    if (info->type != ELF_TYPE_EXEC) {
        complain("%s: ELF file of type %u, not an executable", path, info->type);
        return -E_NOT_EXEC;
    }
    return 0;
}

static int check_phdrs(const struct Image *im, const struct ElfInfo *info)
{
    size_t entsize = info->wide ? sizeof(struct Proghdr64) : sizeof(struct Proghdr32);

    if (info->phnum == 0 || info->phnum > MAX_PHDRS || info->phentsize != entsize) {
        complain("%s: broken ELF%s header: %u program headers of %u bytes", im->path,
                 info->wide ? "64" : "32", info->phnum, info->phentsize);
        return -E_NOT_EXEC;
    }
    if (info->phoff > im->size || info->phnum * entsize > im->size - info->phoff) {
        complain(
            "%s: truncated: its program headers at offset 0x%lx are beyond the end of the file",
            im->path, info->phoff);
        return -E_NOT_EXEC;
    }
    return 0;
}

static struct Proghdr64 widen(const struct Proghdr32 *p)
{
    return (struct Proghdr64){ p->p_type,  p->p_flags,  p->p_offset, p->p_vaddr,
                               p->p_paddr, p->p_filesz, p->p_memsz,  p->p_align };
}

static int read_phdrs(const struct Image *im, const struct ElfInfo *info, struct Proghdr64 *out)
{
    static union {
        struct Proghdr64 wide[MAX_PHDRS];
        struct Proghdr32 narrow[MAX_PHDRS];
    } raw;

    int r = seek(im->fd, info->phoff);
    if (r < 0)
        return r;
    ssize_t want = info->phnum * info->phentsize;
    ssize_t n = readn(im->fd, &raw, want);
    if (n != want)
        return n < 0 ? n : -E_EOF;
    for (unsigned i = 0; i < info->phnum; i++)
        out[i] = info->wide ? raw.wide[i] : widen(&raw.narrow[i]);
    return 0;
}

/* Multiboot has the entry point as a physical address; kernels linked high name a virtual one,
 * which belongs to the physical address that its segment has. */
static gpa_t physical_entry(gpa_t entry, const struct Proghdr64 *ph, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (ph[i].p_type == ELF_PT_LOAD && entry - ph[i].p_paddr < ph[i].p_memsz)
            return entry;
    for (unsigned i = 0; i < n; i++)
        if (ph[i].p_type == ELF_PT_LOAD && entry - ph[i].p_vaddr < ph[i].p_memsz)
            return entry - ph[i].p_vaddr + ph[i].p_paddr;
    return entry;
}

int elf_segments(struct Image *im, const uint8_t *head, size_t n)
{
    static struct Proghdr64 ph[MAX_PHDRS];
    struct ElfInfo info;

    int r = read_header(im->path, head, n, &info);
    if (r == 0)
        r = check_phdrs(im, &info);
    if (r < 0)
        return r;
    r = read_phdrs(im, &info, ph);
    if (r < 0) {
        complain("%s: cannot read its program headers: %e", im->path, r);
        return r;
    }
    im->wide = info.wide;
    im->entry = physical_entry(info.entry, ph, info.phnum);
    for (unsigned i = 0; i < info.phnum; i++) {
        if (ph[i].p_type == ELF_PT_NOTE && im->nnotes < MAX_NOTES)
            im->notes[im->nnotes++] = (struct FilePart){ ph[i].p_offset, ph[i].p_filesz };
        if (ph[i].p_type != ELF_PT_LOAD || ph[i].p_memsz == 0)
            continue;
        if (im->nsegs == MAX_SEGMENTS) {
            complain("%s: more than %u segments", im->path, MAX_SEGMENTS);
            return -E_TOO_BIG;
        }
        im->segs[im->nsegs++] =
            (struct Segment){ ph[i].p_paddr, ph[i].p_memsz, ph[i].p_filesz, ph[i].p_offset };
    }
    return 0;
}
