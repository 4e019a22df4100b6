/*
 * The kernel's ELF64 file: every property that loading relies on is checked before the first byte
 * of it goes to its place. Segments go to their physical addresses.
 */
#include <boot/loader.h>
#include <inc/elf.h>

#define MAX_SEGMENTS 32
#define LOWEST_ADDR  0x100000ull /* everything below is the loader's, the BIOS' or the screen's */
#define HIGHEST_ADDR 0x100000000ull /* end of what 32-bit addresses reach */

static struct Proghdr64 segments[MAX_SEGMENTS]; /* those that are loaded */
static uint32_t nsegments;

/* Is [off, off+len) inside the kernel's file? */
static bool in_file(uint64_t off, uint64_t len)
{
    uint64_t size = image_header.kernel_bytes;

    return off <= size && len <= size - off;
}

/* What is wrong with the header, as the end of a sentence; NULL: nothing. */
static const char *header_fault(const struct Elf64 *h)
{
    if (h->e_magic != ELF_MAGIC)
        return "it is not an ELF file";
    if (h->e_class != ELF_CLASS_64 || h->e_data != ELF_DATA_LSB)
        return "it is not a little-endian ELF64 file";
    if (h->e_machine != ELF_MACH_AMD64)
        return "it is not for x86-64";
    if (h->e_type != ELF_TYPE_EXEC)
        return "it is not an executable with fixed addresses";
    if (h->e_phentsize != sizeof(struct Proghdr64))
        return "its program headers have the wrong size";
    if (!in_file(h->e_phoff, h->e_phnum * sizeof(struct Proghdr64)))
        return "its program headers lie outside of the file";
    return NULL;
}

static const char *segment_fault(const struct Proghdr64 *s)
{
    if (s->p_filesz > s->p_memsz)
        return "is larger in the file than in memory";
    if (!in_file(s->p_offset, s->p_filesz))
        return "reaches beyond the end of the file";
    if (s->p_paddr < LOWEST_ADDR)
        return "lies below 1 MiB";
    if (s->p_paddr >= HIGHEST_ADDR || s->p_memsz > HIGHEST_ADDR - s->p_paddr)
        return "lies above 4 GiB";
    if (!memory_usable(s->p_paddr, s->p_paddr + s->p_memsz))
        return "does not fit into this machine's memory";
    return NULL;
}

/* Is [addr, addr+len) at least partly in the segment? */
static bool touches(const struct Proghdr64 *s, uint64_t addr, uint64_t len)
{
    return addr < s->p_paddr + s->p_memsz && s->p_paddr < addr + len;
}

/* The loaded segment that [addr, addr+len) touches, NULL if there is none. */
static const struct Proghdr64 *find_segment(uint64_t addr, uint64_t len)
{
    for (uint32_t i = 0; i < nsegments; i++) {
        if (touches(&segments[i], addr, len))
            return &segments[i];
    }
    return NULL;
}

/* Check one program header and keep it in segments[] if there is something to load. */
static void add_segment(const struct Proghdr64 *s)
{
    const struct Proghdr64 *other;
    const char *fault;

    if (s->p_type != ELF_PT_LOAD || s->p_memsz == 0)
        return;
    fault = segment_fault(s);
    if (fault)
        fail("The kernel cannot be loaded: its segment at 0x%x, 0x%x bytes, %s.", s->p_paddr,
             s->p_memsz, fault);
    other = find_segment(s->p_paddr, s->p_memsz);
    if (other)
        fail("The kernel cannot be loaded: its segments at 0x%x and 0x%x overlap.", other->p_paddr,
             s->p_paddr);
    if (nsegments == MAX_SEGMENTS)
        fail("The kernel cannot be loaded: it has more than %d segments.", MAX_SEGMENTS);
    segments[nsegments++] = *s;
}

static void load_segment(const struct Proghdr64 *s)
{
    uint8_t *to = (uint8_t *)(uint32_t)s->p_paddr;

    kernel_read(to, s->p_offset, s->p_filesz);
    memset(to + s->p_filesz, 0, s->p_memsz - s->p_filesz);
}

uint32_t kernel_load(void)
{
    struct Elf64 header;
    struct Proghdr64 ph;
    const char *fault;

    if (!in_file(0, sizeof(header)))
        fail("The kernel cannot be loaded: it is shorter than an ELF header.");
    kernel_read(&header, 0, sizeof(header));
    fault = header_fault(&header);
    if (fault)
        fail("The kernel cannot be loaded: %s.", fault);
    for (uint32_t i = 0; i < header.e_phnum; i++) {
        kernel_read(&ph, header.e_phoff + i * sizeof(ph), sizeof(ph));
        add_segment(&ph);
    }
    if (!find_segment(header.e_entry, 1))
        fail("The kernel cannot be loaded: its entry point 0x%x is in none of its segments.",
             header.e_entry);
    for (uint32_t i = 0; i < nsegments; i++)
        load_segment(&segments[i]);
    return header.e_entry;
}
