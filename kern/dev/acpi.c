/*
 * The ACPI tables that name the machine's CPUs: RSDP -> RSDT or XSDT -> MADT (ACPI Specification,
 * "ACPI Software Programming Model"). The tables may lie outside of RAM, so each is mapped in the
 * device window.
 */
#include <inc/string.h>
#include <kern/dev/acpi.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>

#define EBDA_SEGMENT 0x40e /* BIOS data area: real-mode segment of the extended BIOS data area */
#define EBDA_SEARCH  1024
#define ROM_START    0xe0000
#define ROM_END      0x100000
#define TABLE_MAX    0x10000 /* a longer table is taken for damaged */

#define MADT_LAPIC    0
#define MADT_X2APIC   9
#define LAPIC_ENABLED 1

struct Rsdp {
    char signature[8]; /* "RSD PTR " */
    uint8_t sum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length; /* from here on: revision 2 */
    uint64_t xsdt;
    uint8_t xsum, reserved[3];
} __attribute__((packed));
#define RSDP_V1_SIZE 20

struct TableHeader {
    char signature[4];
    uint32_t length;
    uint8_t revision, sum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct TableHeader) == 36, "ACPI table header");

struct MadtEntry {
    uint8_t type, length;
    union {
        struct {
            uint8_t processor, apicid;
            uint32_t flags;
        } __attribute__((packed)) lapic;
        struct {
            uint16_t reserved;
            uint32_t apicid, flags, processor;
        } __attribute__((packed)) x2apic;
    };
} __attribute__((packed));

bool table_sum_ok(const void *p, size_t len)
{
    const uint8_t *b = p;
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += b[i];
    return sum == 0;
}

static const void *find_in(physaddr_t start, physaddr_t end, const char *signature, size_t len)
{
    for (physaddr_t pa = ROUNDUP(start, 16); pa + len <= end; pa += 16)
        if (memcmp(KADDR(pa), signature, strlen(signature)) == 0 && table_sum_ok(KADDR(pa), len))
            return KADDR(pa);
    return NULL;
}

const void *firmware_find(const char *signature, size_t len)
{
    physaddr_t ebda = (physaddr_t) * (uint16_t *)KADDR(EBDA_SEGMENT) << 4;
    const void *p = NULL;

    if (ebda >= 0x80000 && ebda < 0xa0000)
        p = find_in(ebda, ebda + EBDA_SEARCH, signature, len);
    return p ? p : find_in(ROM_START, ROM_END, signature, len);
}

/* Map [pa, pa+len) for reading. There are few tables, so the window's addresses are never reused.
 */
static const void *table_map(physaddr_t pa, size_t len)
{
    static uintptr_t next = ACPI_VA;
    uintptr_t va = next;
    size_t size = ROUNDUP(PGOFF(pa) + len, PGSIZE);

    boot_map(va, ROUNDDOWN(pa, PGSIZE), size, PTE_NX);
    next += size;
    return (const char *)va + PGOFF(pa);
}

/* The whole table at pa, or NULL if it is damaged. */
static const struct TableHeader *table_open(physaddr_t pa)
{
    const struct TableHeader *h = table_map(pa, sizeof(*h));

    if (h->length < sizeof(*h) || h->length > TABLE_MAX)
        return NULL;
    h = table_map(pa, h->length);
    return table_sum_ok(h, h->length) ? h : NULL;
}

/* Look through the RSDT (4-byte addresses) or XSDT (8-byte addresses) for the MADT. */
static const struct TableHeader *find_madt(physaddr_t root_pa, size_t width)
{
    const struct TableHeader *root = table_open(root_pa), *t;

    if (!root)
        return NULL;
    for (size_t off = sizeof(*root); off + width <= root->length; off += width) {
        uint64_t pa = 0;
        memcpy(&pa, (const char *)root + off, width);
        t = table_open(pa);
        if (t && memcmp(t->signature, "APIC", 4) == 0)
            return t;
    }
    return NULL;
}

static const struct TableHeader *madt(void)
{
    const struct Rsdp *rsdp = firmware_find("RSD PTR ", RSDP_V1_SIZE);
    const struct TableHeader *t = NULL;

    if (!rsdp)
        return NULL;
    if (rsdp->revision >= 2 && rsdp->xsdt)
        t = find_madt(rsdp->xsdt, sizeof(uint64_t));
    return t ? t : find_madt(rsdp->rsdt, sizeof(uint32_t));
}

/* The APIC id that a MADT entry says may be used. */
static bool entry_cpu(const struct MadtEntry *m, uint32_t *apicid)
{
    switch (m->type) {
    case MADT_LAPIC:
        *apicid = m->lapic.apicid;
        return m->lapic.flags & LAPIC_ENABLED;
    case MADT_X2APIC:
        *apicid = m->x2apic.apicid;
        return m->x2apic.flags & LAPIC_ENABLED;
    }
    return false;
}

#define MADT_FIXED 8 /* local APIC address and flags, before the entries */

int acpi_cpus(uint32_t *apicids, int max)
{
    const struct TableHeader *t = madt();
    int n = 0;

    if (!t)
        return 0;
    for (size_t off = sizeof(*t) + MADT_FIXED; off + 2 <= t->length;) {
        const struct MadtEntry *m = (const void *)((const char *)t + off);
        if (m->length < 2 || off + m->length > t->length)
            break;
        if (n < max && entry_cpu(m, &apicids[n]))
            n++;
        off += m->length;
    }
    return n;
}
