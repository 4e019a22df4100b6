/*
 * What differs between hOS on a machine and gOS in a guest, decided once at boot. Everything the
 * loader or the VMM left in low memory is copied here, since the frame allocator will hand that
 * memory out.
 */
#include <inc/hypercall.h>
#include <inc/string.h>
#include <inc/vmm.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/kaddr.h>
#include <kern/platform.h>

#define MAX_REGIONS 64
#define KIB         1024ul
#define MIB         0x100000ul
/* Bytes of an entry after its size field, which does not count itself. */
#define MMAP_REST (sizeof(struct MultibootMmap) - sizeof(uint32_t))
/* What the boot page tables map. */
#define BOOT_MAPPED PGSIZE_1G

bool is_guest;
bool hypercall_is_vmmcall;
char boot_cmdline[512];
uint64_t boot_tsc;

static struct MultibootInfo info;
static struct MultibootMmap regions[MAX_REGIONS];

/* len bytes at physical address pa, NULL if the boot page tables do not cover them. */
static const void *boot_memory(physaddr_t pa, size_t len)
{
    return pa < BOOT_MAPPED && len <= BOOT_MAPPED - pa ? KADDR(pa) : NULL;
}

static bool under_own_vmm(void)
{
    if (!cpu_features.hypervisor)
        return false;
    struct CpuidRegs r = cpuid(HV_CPUID_BASE, 0);
    uint32_t signature[3] = { r.ebx, r.ecx, r.edx };
    return memcmp(signature, HV_SIGNATURE, sizeof(signature)) == 0;
}

static void add_region(uint64_t addr, uint64_t len, uint32_t type)
{
    size_t n = info.mmap_length / sizeof(regions[0]);
    if (n == MAX_REGIONS || len == 0)
        return;
    regions[n] =
        (struct MultibootMmap){ .size = MMAP_REST, .addr = addr, .len = len, .type = type };
    info.mmap_length += sizeof(regions[0]);
}

/* Entries may be longer than we know them; their size says where the next one is. */
static void copy_regions(physaddr_t pa, uint32_t length)
{
    const char *p = boot_memory(pa, length);
    if (!p)
        return;
    for (const char *end = p + length; (size_t)(end - p) >= sizeof(struct MultibootMmap);) {
        struct MultibootMmap m;
        memcpy(&m, p, sizeof(m));
        if (m.size < MMAP_REST || m.size > (size_t)(end - p) - sizeof(m.size))
            return;
        add_region(m.addr, m.len, m.type);
        p += sizeof(m.size) + m.size;
    }
}

/* Copy the memory map, or make one from the two sizes that every loader gives. */
static void copy_map(const struct MultibootInfo *mbi)
{
    if (mbi->flags & MBI_MMAP)
        copy_regions(mbi->mmap_addr, mbi->mmap_length);
    if (info.mmap_length == 0 && (mbi->flags & MBI_MEMORY)) {
        add_region(0, mbi->mem_lower * KIB, MBMMAP_AVAILABLE);
        add_region(MIB, mbi->mem_upper * KIB, MBMMAP_AVAILABLE);
    }
    info.mmap_addr = PADDR(regions);
    if (info.mmap_length > 0)
        info.flags |= MBI_MMAP;
    if (mbi->flags & MBI_MEMORY) {
        info.flags |= MBI_MEMORY;
        info.mem_lower = mbi->mem_lower;
        info.mem_upper = mbi->mem_upper;
    }
}

static void copy_cmdline(const struct MultibootInfo *mbi)
{
    const char *s =
        (mbi->flags & MBI_CMDLINE) ? boot_memory(mbi->cmdline, sizeof(boot_cmdline)) : NULL;
    if (s)
        strlcpy(boot_cmdline, s, sizeof(boot_cmdline));
    info.cmdline = PADDR(boot_cmdline);
    info.flags |= MBI_CMDLINE;
}

void platform_init(uint32_t magic, physaddr_t mbi_pa)
{
    boot_tsc = read_tsc();
    is_guest = under_own_vmm();
    hypercall_is_vmmcall = cpu_has_vmmcall();

    const struct MultibootInfo *mbi = NULL;
    if (magic == MULTIBOOT_BOOTLOADER_MAGIC)
        mbi = boot_memory(mbi_pa, sizeof(*mbi));
    if (mbi)
        copy_cmdline(mbi);

    uint64_t gpa = 0;
    if (is_guest && hypercall(VMX_VMCALL_MBMAP, &gpa, NULL, NULL, NULL) == 0)
        mbi = boot_memory(gpa, sizeof(*mbi));
    if (mbi)
        copy_map(mbi);
}

const struct MultibootInfo *platform_mbi(void)
{
    return &info;
}

int64_t hypercall(uint64_t nr, uint64_t *rbx, uint64_t *rcx, uint64_t *rdx, uint64_t *rsi)
{
    uint64_t b = rbx ? *rbx : 0, c = rcx ? *rcx : 0, d = rdx ? *rdx : 0, s = rsi ? *rsi : 0;
    int64_t result;

    asm volatile(HYPERCALL
                 : "=a"(result), "+b"(b), "+c"(c), "+d"(d), "+S"(s)
                 : "a"(nr)
                 : "memory", "cc");
    if (rbx)
        *rbx = b;
    if (rcx)
        *rcx = c;
    if (rdx)
        *rdx = d;
    if (rsi)
        *rsi = s;
    return result;
}
