/*
 * The ACPI tables that name the machine's CPUs: RSDP -> RSDT or XSDT -> MADT (ACPI Specification,
 * "ACPI Software Programming Model"). The tables may lie outside of RAM, so each is mapped in the
 * device window.
 */
#include <inc/acpi.h>
#include <inc/string.h>
#include <kern/dev/acpi.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>

#define EBDA_SEGMENT 0x40e /* BIOS data area: real-mode segment of the extended BIOS data area */
#define EBDA_SEARCH  1024
#define ROM_START    0xe0000
#define ROM_END      0x100000
#define TABLE_MAX    0x10000 /* a longer table is taken for damaged */

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
static const struct AcpiHeader *table_open(physaddr_t pa)
{
    const struct AcpiHeader *h = table_map(pa, sizeof(*h));

    if (h->length < sizeof(*h) || h->length > TABLE_MAX)
        return NULL;
    h = table_map(pa, h->length);
    return table_sum_ok(h, h->length) ? h : NULL;
}

/* Look through the RSDT (4-byte addresses) or XSDT (8-byte addresses) for the MADT. */
static const struct AcpiHeader *find_madt(physaddr_t root_pa, size_t width)
{
    const struct AcpiHeader *root = table_open(root_pa), *t;

    if (!root)
        return NULL;
    for (size_t off = sizeof(*root); off + width <= root->length; off += width) {
        uint64_t pa = 0;
        memcpy(&pa, (const char *)root + off, width);
        t = table_open(pa);
        if (t && memcmp(t->signature, ACPI_MADT_SIGNATURE, sizeof(t->signature)) == 0)
            return t;
    }
    return NULL;
}

static const struct AcpiHeader *madt(void)
{
    const struct AcpiRsdp *rsdp = firmware_find(ACPI_RSDP_SIGNATURE, ACPI_RSDP_V1_SIZE);
    const struct AcpiHeader *t = NULL;

    if (!rsdp)
        return NULL;
    if (rsdp->revision >= 2 && rsdp->xsdt)
        t = find_madt(rsdp->xsdt, sizeof(uint64_t));
    return t ? t : find_madt(rsdp->rsdt, sizeof(uint32_t));
}

/* The APIC id that a MADT entry says may be used. */
static bool entry_cpu(const struct AcpiMadtEntry *m, uint32_t *apicid)
{
    const struct AcpiMadtLapic *lapic = (const void *)m;
    const struct AcpiMadtX2apic *x2apic = (const void *)m;
    if (m->type == MADT_LAPIC && m->length >= sizeof(*lapic)) {
        *apicid = lapic->apicid;
        return lapic->flags & MADT_CPU_ENABLED;
    }
    if (m->type == MADT_X2APIC && m->length >= sizeof(*x2apic)) {
        *apicid = x2apic->apicid;
        return x2apic->flags & MADT_CPU_ENABLED;
    }
    return false;
}

int acpi_cpus(uint32_t *apicids, int max)
{
    const struct AcpiHeader *t = madt();
    int n = 0;

    if (!t)
        return 0;
    for (size_t off = sizeof(struct AcpiMadtHead);
         off + sizeof(struct AcpiMadtEntry) <= t->length;) {
        const struct AcpiMadtEntry *m = (const void *)((const char *)t + off);
        if (m->length < sizeof(*m) || off + m->length > t->length)
            break;
        if (n < max && entry_cpu(m, &apicids[n]))
            n++;
        off += m->length;
    }
    return n;
}
