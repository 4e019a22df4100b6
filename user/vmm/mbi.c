/*
 * The multiboot information that a guest finds by EBX (Multiboot "Boot information format"): memory
 * sizes and map, command line, modules, the loader's name. It is built in a buffer of the monitor
 * for the gpa where it will lie: the highest pages below 640 KiB that the kernel leaves free.
 */
#include <inc/multiboot.h>
#include <user/vmm/mbi.h>
#include <user/vmm/memmap.h>

#define LOADER_NAME "JOS vmm"

static struct {
    struct MultibootInfo info;
    struct MultibootMmap mmap[MEMMAP_MAX];
    struct MultibootModule mods[MAX_MODULES];
    char strings[2 * PGSIZE];
} mbi;

static size_t strings_used;

/* Address that a part of the buffer will have in guest memory. */
static uint32_t gpa_of(const struct Boot *b, const void *p)
{
    return b->info + ((const char *)p - (const char *)&mbi);
}

/* Append a string. Returns its gpa, 0 when the buffer is full. */
static uint32_t add_string(const struct Boot *b, const char *s)
{
    size_t n = strlen(s) + 1;
    if (n > sizeof(mbi.strings) - strings_used)
        return 0;
    char *at = mbi.strings + strings_used;
    memcpy(at, s, n);
    strings_used += n;
    return gpa_of(b, at);
}

/* gOS looks for virtio devices when it finds their word. */
static uint32_t add_cmdline(const struct Boot *b)
{
    char line[sizeof(mbi.strings)];
    if (!b->virtio)
        return add_string(b, b->cmdline);
    size_t n = snprintf(line, sizeof(line), "virtio%s%s", b->cmdline[0] ? " " : "", b->cmdline);
    return n < sizeof(line) ? add_string(b, line) : 0;
}

static void describe_memory(const struct Boot *b)
{
    struct MemRange ranges[MEMMAP_MAX];
    unsigned n = memmap(b->memsize, ranges);
    for (unsigned i = 0; i < n; i++)
        mbi.mmap[i] = (struct MultibootMmap){
            .size = sizeof(struct MultibootMmap) - sizeof(uint32_t),
            .addr = ranges[i].start,
            .len = ranges[i].end - ranges[i].start,
            .type = ranges[i].type,
        };
    mbi.info.mmap_length = n * sizeof(struct MultibootMmap);
    mbi.info.mmap_addr = gpa_of(b, mbi.mmap);
    mbi.info.mem_lower = LOWMEM_END / KIB;
    mbi.info.mem_upper = (ram_below_hole(b->memsize) - EXTMEM) / KIB;
}

static int describe_modules(const struct Boot *b)
{
    for (unsigned i = 0; i < b->nmods; i++) {
        const struct Module *m = &b->mods[i];
        uint32_t string = add_string(b, m->string);
        if (!string)
            return -E_TOO_BIG;
        mbi.mods[i] = (struct MultibootModule){
            .mod_start = m->gpa,
            .mod_end = m->gpa + m->size,
            .string = string,
        };
    }
    mbi.info.mods_count = b->nmods;
    mbi.info.mods_addr = gpa_of(b, mbi.mods);
    return 0;
}

/* Does any segment touch [gpa, gpa + len)? */
static bool kernel_uses(const struct Image *im, gpa_t gpa, uint64_t len)
{
    for (unsigned i = 0; i < im->nsegs; i++)
        if (im->segs[i].gpa < gpa + len && gpa < im->segs[i].gpa + im->segs[i].memsz)
            return true;
    return false;
}

/* Choose the place. Page 0 is left alone: address 0 means "not there" to many kernels. */
static int place(struct Boot *b)
{
    for (gpa_t at = LOWMEM_END - ROUNDUP(sizeof(mbi), PGSIZE); at >= PGSIZE; at -= PGSIZE) {
        if (kernel_uses(&b->kernel, at, sizeof(mbi)))
            continue;
        b->info = at;
        return 0;
    }
    complain("%s: leaves no room for the boot information below 640 KiB", b->kernel.path);
    return -E_NO_MEM;
}

int mbi_plan(struct Boot *b)
{
    int r = place(b);
    if (r < 0)
        return r;
    memset(&mbi, 0, sizeof(mbi));
    strings_used = 0;
    mbi.info.flags = MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER;
    describe_memory(b);
    mbi.info.boot_loader_name = add_string(b, LOADER_NAME);
    mbi.info.cmdline = add_cmdline(b);
    r = mbi.info.cmdline ? describe_modules(b) : -E_TOO_BIG;
    if (r < 0) {
        complain("the command lines of kernel and modules take more than %zu bytes",
                 sizeof(mbi.strings));
        return r;
    }
    b->info_size = offsetof(typeof(mbi), strings) + strings_used;
    return 0;
}

int mbi_load(envid_t guest, const struct Boot *b)
{
    return sys_guest_mem(guest, b->info, &mbi, b->info_size, true);
}
