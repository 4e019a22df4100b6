/*
 * What the firmware tells; firmware.h has the contracts. Tables lie below 1 GiB, which the runtime
 * has mapped.
 */
#include "firmware.h"

#define EBDA_SEGMENT 0x40e /* the BIOS' data area has the segment there */
#define EBDA_BYTES   1024
#define ROM_START    0xe0000
#define ROM_END      0x100000
#define PATIENCE     1000000

#define AML_PACKAGE 0x12 /* ACPI, "ACPI Machine Language Specification" */
#define AML_BYTE    0x0a
#define AML_ZERO    0x00
#define AML_ONE     0x01

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10

#define MPS_POLARITY 0x3 /* MPS INTI flags; the bus' own: ISA's edges, active high */
#define MPS_LOW      0x3
#define MPS_TRIGGER  0xc
#define MPS_LEVEL    0xc

static volatile uint32_t *ioapic;

/* ---- ACPI's tables ---- */

bool acpi_sums_up(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += b[i];
    return sum == 0;
}

static const struct AcpiRsdp *find_rsdp(uintptr_t at, uintptr_t end)
{
    for (; at < end; at += 16)
        if (memcmp((void *)at, ACPI_RSDP_SIGNATURE, 8) == 0 &&
            acpi_sums_up((void *)at, ACPI_RSDP_V1_SIZE))
            return (void *)at;
    return NULL;
}

/* ACPI, "Finding the RSDP on IA-PC Systems" */
const struct AcpiRsdp *acpi_rsdp(void)
{
    uintptr_t segment = EBDA_SEGMENT;
    asm("" : "+r"(segment)); /* an address that the compiler takes for no object */
    uintptr_t ebda = *(const uint16_t *)segment * 16ul;
    const struct AcpiRsdp *r = ebda ? find_rsdp(ebda, ebda + EBDA_BYTES) : NULL;
    return r ? r : find_rsdp(ROM_START, ROM_END);
}

static bool is_wide(const struct AcpiRsdp *r)
{
    return r->revision >= 2 && r->xsdt != 0;
}

const struct AcpiHeader *acpi_root(const struct AcpiRsdp *r)
{
    return (const void *)(is_wide(r) ? r->xsdt : r->rsdt);
}

const struct AcpiHeader *acpi_nth(const struct AcpiRsdp *r, unsigned n)
{
    const struct AcpiHeader *root = acpi_root(r);
    size_t width = is_wide(r) ? 8 : 4, at = sizeof(*root) + n * width;
    uint64_t table = 0;
    if (at + width > root->length)
        return NULL;
    memcpy(&table, (const char *)root + at, width);
    return (const void *)table;
}

const void *acpi_table(const char *signature)
{
    const struct AcpiRsdp *r = acpi_rsdp();
    const struct AcpiHeader *h = NULL;
    for (unsigned n = 0; r && (h = acpi_nth(r, n)); n++)
        if (memcmp(h->signature, signature, 4) == 0)
            return h;
    check(false, "there is no table %s", signature);
    return NULL;
}

/* ---- Fixed hardware ---- */

const struct AcpiFadt *acpi_enter(void)
{
    const struct AcpiFadt *f = acpi_table("FACP");
    if (!f)
        return NULL;
    if (!(inw(f->pm1a_control) & PM1_SCI_ENABLED) && f->smi_command)
        outb(f->smi_command, f->acpi_enable);
    for (int i = 0; i < PATIENCE; i++)
        if (inw(f->pm1a_control) & PM1_SCI_ENABLED)
            return f;
    check(false, "the machine does not enter ACPI mode");
    return NULL;
}

int acpi_sleep_off(const struct AcpiFadt *f)
{
    const struct AcpiHeader *dsdt = (const void *)(uintptr_t)f->dsdt;
    const uint8_t *p = (const void *)dsdt, *end = p + dsdt->length;
    for (; p + 8 < end; p++)
        if (memcmp(p, "_S5_", 4) == 0 && p[4] == AML_PACKAGE) {
            p += 5 + 1 + (p[5] >> 6) + 1; /* to the first element: after lengths and count */
            if (p + 1 < end && p[0] == AML_BYTE)
                return p[1];
            return p < end && p[0] <= AML_ONE ? p[0] : -1;
        }
    return -1;
}

/* ---- The I/O APIC ---- */

/* The next entry of this type in the MADT after `after` (NULL: the first one). */
static const void *madt_next(uint8_t type, const void *after)
{
    static const struct AcpiMadtHead *madt;
    if (!madt && !(madt = acpi_table(ACPI_MADT_SIGNATURE)))
        return NULL;
    const char *end = (const char *)madt + madt->header.length;
    const struct AcpiMadtEntry *e = (const void *)(madt + 1);
    for (; (const char *)(e + 1) <= end && e->length != 0;
         e = (const void *)((const char *)e + e->length))
        if (e->type == type && (!after || (const void *)e > after))
            return e;
    return NULL;
}

bool ioapic_find(void)
{
    const struct AcpiMadtIoapic *a = NULL;
    while ((a = madt_next(MADT_IOAPIC, a)))
        if (a->gsi_base == 0)
            break;
    check(a != NULL, "there is no I/O APIC");
    if (!a)
        return false;
    uint64_t page = ROUNDDOWN(a->address, PGSIZE_2M);
    map_2m(page, page, PTE_P | PTE_W | PTE_PCD);
    ioapic = (volatile uint32_t *)(uintptr_t)a->address;
    apic_start();
    return true;
}

uint32_t ioapic_read(uint32_t reg)
{
    ioapic[IOAPIC_SELECT / 4] = reg;
    return ioapic[IOAPIC_WINDOW / 4];
}

void ioapic_write(uint32_t reg, uint32_t value)
{
    ioapic[IOAPIC_SELECT / 4] = reg;
    ioapic[IOAPIC_WINDOW / 4] = value;
}

unsigned ioapic_input(uint8_t isa, uint32_t *bits)
{
    const struct AcpiMadtOverride *o = NULL;
    *bits = 0;
    while ((o = madt_next(MADT_OVERRIDE, o)))
        if (o->source == isa) {
            *bits = ((o->flags & MPS_POLARITY) == MPS_LOW ? IOAPIC_LOW : 0) |
                    ((o->flags & MPS_TRIGGER) == MPS_LEVEL ? IOAPIC_LEVEL : 0);
            return o->gsi;
        }
    return isa;
}

void ioapic_route(unsigned input, uint32_t entry)
{
    ioapic_write(IOAPIC_TABLE + 2 * input, IOAPIC_MASKED);
    ioapic_write(IOAPIC_TABLE + 2 * input + 1, 0); /* to APIC 0 */
    ioapic_write(IOAPIC_TABLE + 2 * input, entry);
}
