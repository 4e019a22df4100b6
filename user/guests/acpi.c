/*
 * acpi: the firmware's tables are there, each with a correct checksum, and say where a PC's devices
 * are. They are printed, for a disassembler to look at.
 */
#include "firmware.h"

const char guest_name[] = "acpi";

#define LINE 32
#define MOST 0x10000

/* "acpi: NAME HEX", so many bytes a line. */
static void dump(const char *name, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t at = 0; at < n; at += LINE) {
        char text[2 * LINE + 1];
        size_t len = MIN(n - at, (size_t)LINE);
        for (size_t i = 0; i < len; i++) {
            text[2 * i] = digits[b[at + i] >> 4];
            text[2 * i + 1] = digits[b[at + i] & 15];
        }
        text[2 * len] = '\0';
        print("acpi: %s %s\n", name, text);
    }
}

static void try_table(const struct AcpiHeader *h)
{
    char name[5] = "";
    memcpy(name, h->signature, 4);
    print("acpi: table %s at 0x%lx\n", name, (uint64_t)h);
    if (h->length < sizeof(*h) || h->length > MOST) {
        check(false, "its length is %u", h->length);
        return;
    }
    check(acpi_sums_up(h, h->length), "its bytes do not add up to 0");
    dump(name, h, h->length);
}

static void try_fadt(void)
{
    trying("what the FADT says of the fixed hardware");
    const struct AcpiFadt *f = acpi_table("FACP");
    if (!f)
        return;
    try_table((const void *)(uintptr_t)f->dsdt);
    check(f->pm1a_event && f->pm1_event_length == 4, "%u bytes of events at 0x%x",
          f->pm1_event_length, f->pm1a_event);
    check(f->pm1a_control && f->pm1_control_length == 2, "%u bytes of control at 0x%x",
          f->pm1_control_length, f->pm1a_control);
    check(f->pm_timer && f->pm_timer_length == 4, "%u bytes of timer at 0x%x", f->pm_timer_length,
          f->pm_timer);
    check(acpi_sleep_off(f) >= 0, "the DSDT has no \\_S5");
    const struct AcpiFacs *facs = (const void *)(uintptr_t)f->facs;
    check(facs->length >= sizeof(*facs), "the length of the FACS is %u", facs->length);
    check(f->facs % 64 == 0, "the FACS is not aligned");
    dump("FACS", facs, sizeof(*facs));
}

static void try_madt(void)
{
    trying("what the MADT says of the APICs");
    const struct AcpiMadtHead *m = acpi_table(ACPI_MADT_SIGNATURE);
    if (!m)
        return;
    check(m->lapic == APIC_PAGE, "the local APIC is at 0x%x", m->lapic);
    const struct AcpiMadtLapic *l = (const void *)(m + 1);
    check(l->entry.type == MADT_LAPIC && l->entry.length == sizeof(*l),
          "no local APIC comes first");
    check(l->apicid == 0 && (l->flags & MADT_CPU_ENABLED), "CPU %u has flags 0x%x", l->apicid,
          l->flags);
    ioapic_find();
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("the root pointer");
    const struct AcpiRsdp *rsdp = acpi_rsdp();
    check(rsdp != NULL, "there is none");
    if (!rsdp)
        return check_result();
    bool wide = rsdp->revision >= 2;
    check(!wide || acpi_sums_up(rsdp, rsdp->length), "its bytes do not add up to 0");
    dump("RSDP", rsdp, wide ? sizeof(*rsdp) : ACPI_RSDP_V1_SIZE);
    trying("the tables' checksums");
    try_table(acpi_root(rsdp));
    const struct AcpiHeader *h;
    for (unsigned n = 0; (h = acpi_nth(rsdp, n)); n++)
        try_table(h);
    try_fadt();
    try_madt();
    return check_result();
}
