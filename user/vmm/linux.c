/*
 * The Linux boot protocol: the header of a bzImage, the boot parameters ("zero page"), and the way
 * into 64-bit mode. vmlinux has no header, so it gets one made by hand, unless it has a PVH entry
 * point (pvh.c). A guest starts in 32-bit protected mode without paging, whatever its kernel; a
 * few instructions of linux_start.S, in guest memory, bring the CPU to where the protocol wants it.
 */
#include <inc/mmu.h>
#include <inc/multiboot.h>
#include <inc/x86.h>
#include <user/vmm/acpi.h>
#include <user/vmm/linux.h>
#include <user/vmm/linux_start.h>
#include <user/vmm/memmap.h>
#include <user/vmm/notes.h>
#include <user/vmm/pvh.h>

#define HEADER_AT       0x1f1 /* in the file, and in the boot parameters */
#define BOOT_FLAG       0xaa55
#define HEADER_MAGIC    0x53726448 /* "HdrS" */
#define VERSION_NEEDED  0x20c      /* the first with xloadflags */
#define SECTOR          512
#define SETUP_SECTORS   4      /* where the header says 0 */
#define PARAGRAPH       16     /* the unit of syssize */
#define LOADED_HIGH     0x01   /* loadflags: the kernel is loaded at 1 MiB or above */
#define CAN_USE_HEAP    0x80   /* heap_end_ptr is valid */
#define KERNEL_64       0x0001 /* xloadflags: there is a 64-bit entry point */
#define ENTRY_64        0x200  /* in the loaded kernel */
#define LOADER_OTHER    0xff   /* without a number of its own */
#define HEAP_END        0xfe00
#define E820_MAX        128
#define CMDLINE_MAX     2047       /* of kernels that do not say what they take */
#define INITRD_MAX      0x7fffffff /* likewise */
#define CPUID_INTEL_ECX 0x6c65746e /* "ntel" of the vendor, leaf 0 */
/* What Linux 6.1 needs beside its own image and the initrd, found by trying. */
#define WORKING_MEM (24 * MIB)
#define MEM_STEP    (16 * MIB)

struct SetupHeader {
    uint8_t setup_sects;
    uint16_t root_flags;
    uint32_t syssize;
    uint16_t ram_size, vid_mode, root_dev, boot_flag, jump;
    uint32_t header;
    uint16_t version;
    uint32_t realmode_swtch;
    uint16_t start_sys_seg, kernel_version;
    uint8_t type_of_loader, loadflags;
    uint16_t setup_move_size;
    uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
    uint16_t heap_end_ptr;
    uint8_t ext_loader_ver, ext_loader_type;
    uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
    uint8_t relocatable_kernel, min_alignment;
    uint16_t xloadflags;
    uint32_t cmdline_size, hardware_subarch;
    uint64_t hardware_subarch_data;
    uint32_t payload_offset, payload_length;
    uint64_t setup_data, pref_address;
    uint32_t init_size, handover_offset, kernel_info_offset;
} __attribute__((packed));
_Static_assert(offsetof(struct SetupHeader, header) + HEADER_AT == 0x202, "setup header");
_Static_assert(offsetof(struct SetupHeader, init_size) + HEADER_AT == 0x260, "setup header");

struct E820Entry {
    uint64_t start, size;
    uint32_t type;
} __attribute__((packed));

struct BootParams {
    uint8_t screen_info[0x40], other[0x30];
    uint64_t acpi_rsdp; /* 0x70 */
    uint8_t more[0x170];
    uint8_t e820_entries; /* 0x1e8 */
    uint8_t still_more[8];
    struct SetupHeader hdr;
    uint8_t pad[0x2d0 - HEADER_AT - sizeof(struct SetupHeader)];
    struct E820Entry e820[E820_MAX];
    uint8_t rest[0x1000 - 0x2d0 - E820_MAX * sizeof(struct E820Entry)];
} __attribute__((packed));
_Static_assert(offsetof(struct BootParams, acpi_rsdp) == 0x70, "boot parameters");
_Static_assert(offsetof(struct BootParams, e820_entries) == 0x1e8, "boot parameters");
_Static_assert(offsetof(struct BootParams, hdr) == HEADER_AT, "boot parameters");
_Static_assert(offsetof(struct BootParams, e820) == 0x2d0, "boot parameters");
_Static_assert(sizeof(struct BootParams) == PGSIZE, "boot parameters");

#define IDENTITY_GIB 4

/* What lies in guest memory from LINUX_AREA on. */
static struct {
    struct BootParams params;
    char cmdline[PGSIZE];
    char start[PGSIZE]; /* code and GDT of linux_start.S */
    uint64_t pml4[NPTENTRIES], pdpt[NPTENTRIES], pd[IDENTITY_GIB][NPTENTRIES];
    struct Pvh pvh;
} area __attribute__((aligned(PGSIZE)));
#define PVH_AT (LINUX_AREA + offsetof(typeof(area), pvh))
_Static_assert(offsetof(typeof(area), start) == LINUX_START - LINUX_AREA, "linux_start.h");
_Static_assert(offsetof(typeof(area), pml4) == LINUX_PML4 - LINUX_AREA, "linux_start.h");

static struct SetupHeader header; /* of the kernel's file */

/* ---- The file ---- */

static struct SetupHeader header_in(const uint8_t *head)
{
    struct SetupHeader h;
    memcpy(&h, head + HEADER_AT, sizeof(h));
    return h;
}

bool is_bzimage(const uint8_t *head, size_t n)
{
    if (n < HEADER_AT + sizeof(struct SetupHeader))
        return false;
    struct SetupHeader h = header_in(head);
    return h.boot_flag == BOOT_FLAG && h.header == HEADER_MAGIC;
}

static bool is_power_of_2(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* NULL, or what is wrong. */
static const char *fault_of(const struct SetupHeader *h)
{
    if (h->version < VERSION_NEEDED)
        return "its boot protocol is older than 2.12, which has no 64-bit entry point";
    if (!(h->loadflags & LOADED_HIGH))
        return "it is a zImage, which is loaded below 1 MiB";
    if (!(h->xloadflags & KERNEL_64))
        return "it has no 64-bit entry point (bit 0 of xloadflags is 0)";
    if (!is_power_of_2(h->kernel_alignment))
        return "its alignment is not a power of 2";
    if (h->pref_address < EXTMEM || PGOFF(h->pref_address) != 0)
        return "its preferred address is below 1 MiB, or not at a page";
    if (h->pref_address >= GUEST_HOLE_START)
        return "its preferred address is above 3 GiB";
    if (h->relocatable_kernel && h->pref_address % h->kernel_alignment != 0)
        return "its preferred address is not a multiple of its alignment";
    if (h->init_size == 0)
        return "it does not say how much memory it needs (init_size is 0)";
    return NULL;
}

static int refuse(const struct Image *im, const char *why)
{
    complain("%s: a Linux kernel that cannot be started: %s", im->path, why);
    return -E_NOT_EXEC;
}

/* Are the setup part and the kernel, which are as long as the header says, in the file? */
static int check_complete(const struct Image *im, uint64_t skip)
{
    uint64_t need = skip + MAX((uint64_t)header.syssize * PARAGRAPH, (uint64_t)ENTRY_64 + 1);
    if (im->size >= need)
        return 0;
    complain("%s: truncated: the kernel begins at offset 0x%lx and ends at 0x%lx, the file has "
             "0x%lx bytes",
             im->path, skip, need, im->size);
    return -E_NOT_EXEC;
}

int bzimage_segments(struct Image *im, const uint8_t *head, size_t n)
{
    (void)n; /* is_bzimage has looked */
    header = header_in(head);
    const char *fault = fault_of(&header);
    if (fault)
        return refuse(im, fault);
    uint64_t setup = header.setup_sects != 0 ? header.setup_sects : SETUP_SECTORS;
    uint64_t skip = (setup + 1) * SECTOR;
    int r = check_complete(im, skip);
    if (r < 0)
        return r;
    uint64_t size = im->size - skip;
    im->is_linux = true;
    im->nsegs = 1;
    im->segs[0] =
        (struct Segment){ header.pref_address, MAX((uint64_t)header.init_size, size), size, skip };
    im->entry = header.pref_address + ENTRY_64;
    return 0;
}

/* For a kernel that has no header: the fields that say how it may be loaded. */
static void make_header(const struct Image *im)
{
    header = (struct SetupHeader){
        .boot_flag = BOOT_FLAG,
        .header = HEADER_MAGIC,
        .version = VERSION_NEEDED,
        .loadflags = LOADED_HIGH,
        .initrd_addr_max = INITRD_MAX,
        .xloadflags = KERNEL_64,
        .cmdline_size = CMDLINE_MAX,
        .pref_address = im->entry,
    };
}

int vmlinux_segments(struct Image *im)
{
    struct KernelNotes notes;
    int r = notes_read(im, &notes);
    if (r < 0)
        return r;
    if (!notes.has_pvh && !notes.is_linux) {
        complain(
            "%s: no kernel: an ELF file that has no Multiboot header in its first %u bytes, no "
            "PVH entry point and no note of Linux's",
            im->path, MULTIBOOT_SEARCH);
        return -E_NOT_EXEC;
    }
    if (!notes.has_pvh && !im->wide)
        return refuse(im, "it is a 32-bit one, and has no PVH entry point");
    for (unsigned i = 0; i < im->nsegs; i++)
        if (im->segs[i].gpa < EXTMEM)
            return refuse(im, "it has a segment below 1 MiB, where its boot parameters are");
    if (notes.has_pvh)
        im->entry = notes.pvh_entry;
    im->is_linux = true;
    im->is_pvh = notes.has_pvh;
    make_header(im);
    return 0;
}

/* ---- The plan ---- */

static uint64_t initrd_size(const struct Boot *b)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < b->nmods; i++)
        size += ROUNDUP(b->mods[i].size, PGSIZE);
    return size;
}

/* The memory that a guest needs for this kernel and an initrd of so many bytes. */
static uint64_t memory_needed(const struct Image *im, uint64_t initrd)
{
    return ROUNDUP(image_end(im) + initrd + WORKING_MEM, MEM_STEP);
}

int linux_too_large(const struct Image *im, uint64_t memsize)
{
    uint64_t needed = memory_needed(im, 0);
    if (image_end(im) > GUEST_HOLE_START)
        complain("%s: does not fit: it ends at 0x%lx, memory that it can have at 0x%lx", im->path,
                 image_end(im), GUEST_HOLE_START);
    else
        complain("%s: this kernel needs %lu MiB of memory, guest has %lu MiB (-m)", im->path,
                 needed / MIB, memsize / MIB);
    return -E_TOO_BIG;
}

/* The modules come one after the other, below all that limits an initrd; Linux takes the zeroes
 * between them for padding. */
static int place_initrd(struct Boot *b)
{
    uint64_t size = initrd_size(b), kernel_end = image_end(&b->kernel);
    uint64_t needed = memory_needed(&b->kernel, size);
    if (b->memsize < needed) {
        complain("%s: this kernel and its initrd need %lu MiB of memory, guest has %lu MiB (-m)",
                 b->kernel.path, needed / MIB, b->memsize / MIB);
        return -E_TOO_BIG;
    }
    uint64_t top = MIN(ram_below_hole(b->memsize), (uint64_t)header.initrd_addr_max + 1);
    if (top < kernel_end || top - kernel_end < size) {
        complain("%s: no room for an initrd of %lu KiB: it must end below 0x%lx", b->kernel.path,
                 size / KIB, top);
        return -E_TOO_BIG;
    }
    gpa_t at = ROUNDDOWN(top - size, PGSIZE);
    for (unsigned i = 0; i < b->nmods; i++) {
        b->mods[i].gpa = at;
        at = ROUNDUP(at + b->mods[i].size, PGSIZE);
    }
    return 0;
}

/* Linux believes CPUID about the TSC's rate on Intel's CPUs only, and finds nothing here to measure
 * it by. A user's own word wins, since Linux takes the last one. */
static void tell_tsc(size_t most)
{
    struct CpuidRegs r = cpuid(0, 0);
    struct SysInfo info;
    char words[sizeof(area.cmdline)];
    if (r.ecx == CPUID_INTEL_ECX || sys_sysinfo(&info) < 0)
        return;
    size_t n = snprintf(words, sizeof(words), "tsc_early_khz=%lu tsc=reliable %s", info.tsc_khz,
                        area.cmdline);
    if (n <= most)
        memcpy(area.cmdline, words, n + 1);
}

static int take_cmdline(const struct Boot *b)
{
    size_t most = MIN((size_t)header.cmdline_size, sizeof(area.cmdline) - 1);
    if (strlen(b->cmdline) > most) {
        complain("%s: the command line has %zu bytes, this kernel takes %zu", b->kernel.path,
                 strlen(b->cmdline), most);
        return -E_TOO_BIG;
    }
    snprintf(area.cmdline, sizeof(area.cmdline), "%s", b->cmdline);
    tell_tsc(most);
    return 0;
}

static void describe_memory(uint64_t memsize)
{
    struct MemRange ranges[MEMMAP_MAX];
    unsigned n = memmap(memsize, ranges);
    for (unsigned i = 0; i < n; i++)
        area.params.e820[i] =
            (struct E820Entry){ ranges[i].start, ranges[i].end - ranges[i].start, ranges[i].type };
    area.params.e820_entries = n;
}

/* Where the initrd begins, and how long it is, without what fills up its last page. */
static gpa_t initrd_at(const struct Boot *b)
{
    return b->nmods > 0 ? b->mods[0].gpa : 0;
}

static uint64_t initrd_length(const struct Boot *b)
{
    if (b->nmods == 0)
        return 0;
    const struct Module *last = &b->mods[b->nmods - 1];
    return last->gpa + last->size - b->mods[0].gpa;
}

static void fill_header(const struct Boot *b)
{
    struct SetupHeader *h = &area.params.hdr;
    *h = header;
    h->type_of_loader = LOADER_OTHER;
    h->loadflags |= CAN_USE_HEAP;
    h->heap_end_ptr = HEAP_END;
    h->code32_start = header.pref_address;
    h->cmd_line_ptr = LINUX_AREA + offsetof(typeof(area), cmdline);
    h->ramdisk_image = initrd_at(b);
    h->ramdisk_size = initrd_length(b);
}

static void describe_pvh(const struct Boot *b)
{
    pvh_build(&area.pvh, PVH_AT, b->memsize, LINUX_AREA + offsetof(typeof(area), cmdline),
              area.params.acpi_rsdp, initrd_at(b), initrd_length(b));
}

/* The first 4 GiB by large pages, each at its own address. */
static void map_identity(void)
{
    const uint64_t table = PTE_P | PTE_W, large = table | PTE_PS;
    gpa_t pdpt = LINUX_AREA + offsetof(typeof(area), pdpt);
    gpa_t pd = LINUX_AREA + offsetof(typeof(area), pd);
    area.pml4[0] = pdpt | table;
    for (uint64_t i = 0; i < IDENTITY_GIB; i++) {
        area.pdpt[i] = (pd + i * PGSIZE) | table;
        for (uint64_t j = 0; j < NPTENTRIES; j++)
            area.pd[i][j] = (i * NPTENTRIES + j) * PGSIZE_2M | large;
    }
}

int linux_plan(struct Boot *b)
{
    memset(&area, 0, sizeof(area));
    int r = place_initrd(b);
    if (r == 0)
        r = take_cmdline(b);
    if (r < 0)
        return r;
    describe_memory(b->memsize);
    fill_header(b);
    area.params.acpi_rsdp = acpi_root();
    describe_pvh(b);
    map_identity();
    memcpy(area.start, linux_start, linux_start_end - linux_start);
    return 0;
}

int linux_load(envid_t guest, const struct Boot *b)
{
    (void)b;
    return sys_guest_mem(guest, LINUX_AREA, &area, sizeof(area), true);
}

struct Trapframe linux_registers(const struct Boot *b)
{
    if (b->kernel.is_pvh)
        return (struct Trapframe){ .tf_rip = b->kernel.entry, .tf_rbx = PVH_AT };
    return (struct Trapframe){ .tf_rip = LINUX_START,
                               .tf_rsi = LINUX_AREA + offsetof(typeof(area), params),
                               .tf_rdi = b->kernel.entry };
}
