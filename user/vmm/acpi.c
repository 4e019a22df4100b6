/*
 * ACPI's tables. The machine has one CPU with a local APIC, an I/O APIC, and ACPI's fixed hardware
 * with a power button and a timer, whose events come by input SCI of the I/O APIC. The rest is in
 * dsdt.asl.
 */
#include <inc/acpi.h>
#include <user/vmm/acpi.h>
#include <user/vmm/common.h>
#include <user/vmm/dev/ioapic.h>
#include <user/vmm/dev/pci/ecam.h>
#include <user/vmm/dev/pm.h>
#include <user/vmm/memmap.h>

#define OEM            "JOSvmm"
#define OEM_TABLE      "JOSVMM  "
#define CREATOR        0x534f4a20 /* " JOS" */
#define LAPIC_ADDRESS  0xfee00000
#define RESET_REGISTER 0xcf9
#define RESET_VALUE    0x06
#define PROFILE_SERVER 4
#define NO_C2          0xffff /* no such state: its latency is too long */
#define NO_C3          0xffff
#define CENTURY        0x32 /* the RTC's register of it */

extern const char dsdt[], dsdt_end[]; /* dsdt.S */

#define DSDT_MAX 2048

struct Madt {
    struct AcpiMadtHead head;
    struct AcpiMadtLapic cpu;
    struct AcpiMadtIoapic ioapic;
    struct AcpiMadtOverride sci;
} __attribute__((packed));

struct Xsdt {
    struct AcpiHeader header;
    uint64_t tables[3];
} __attribute__((packed));

/* What lies in guest memory from BIOS_AREA on. */
static struct {
    struct AcpiRsdp rsdp __attribute__((aligned(16)));
    struct Xsdt xsdt __attribute__((aligned(16)));
    struct AcpiFadt fadt __attribute__((aligned(16)));
    struct Madt madt __attribute__((aligned(16)));
    struct AcpiMcfg mcfg __attribute__((aligned(16)));
    struct AcpiFacs facs __attribute__((aligned(64)));
    char dsdt[DSDT_MAX] __attribute__((aligned(16)));
} tables __attribute__((aligned(64)));

static gpa_t gpa_of(const void *table)
{
    return BIOS_AREA + ((const char *)table - (const char *)&tables);
}

/* What makes the bytes add up to 0. */
static uint8_t checksum(const void *from, size_t size)
{
    const uint8_t *p = from;
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += p[i];
    return -sum;
}

static void finish(struct AcpiHeader *h, const char *signature, uint8_t revision, uint32_t length)
{
    memcpy(h->signature, signature, sizeof(h->signature));
    h->length = length;
    h->revision = revision;
    memcpy(h->oem, OEM, sizeof(h->oem));
    memcpy(h->oem_table, OEM_TABLE, sizeof(h->oem_table));
    h->oem_revision = 1;
    h->creator = CREATOR;
    h->creator_revision = 1;
    h->sum = 0;
    h->sum = checksum(h, length);
}

static struct AcpiAddress io_register(uint16_t port, uint8_t bytes)
{
    return (struct AcpiAddress){ .space = ACPI_SPACE_IO,
                                 .bits = 8 * bytes,
                                 .access = __builtin_ctz(bytes) + 1,
                                 .address = port };
}

/* Each register twice: by its port, and as a generic address. */
static void describe_registers(struct AcpiFadt *f)
{
    f->pm1a_event = PORT_PM1_EVENT;
    f->pm1_event_length = PM1_EVENT_BYTES;
    f->x_pm1a_event = io_register(PORT_PM1_EVENT, PM1_EVENT_BYTES);
    f->x_pm1a_event.access = 2; /* it is two registers of two bytes */
    f->pm1a_control = PORT_PM1_CONTROL;
    f->pm1_control_length = PM1_CONTROL_SIZE;
    f->x_pm1a_control = io_register(PORT_PM1_CONTROL, PM1_CONTROL_SIZE);
    f->pm_timer = PORT_PM_TIMER;
    f->pm_timer_length = PM_TIMER_SIZE;
    f->x_pm_timer = io_register(PORT_PM_TIMER, PM_TIMER_SIZE);
    f->reset = io_register(RESET_REGISTER, 1);
    f->reset_value = RESET_VALUE;
}

static void build_fadt(struct AcpiFadt *f)
{
    f->facs = gpa_of(&tables.facs);
    f->dsdt = f->x_dsdt = gpa_of(tables.dsdt);
    f->profile = PROFILE_SERVER;
    f->sci = SCI_INPUT;
    describe_registers(f);
    f->c2_latency = NO_C2;
    f->c3_latency = NO_C3;
    f->century = CENTURY;
    f->boot_flags = FADT_BOOT_LEGACY | FADT_BOOT_NO_VGA;
    f->flags = FADT_WBINVD | FADT_C1 | FADT_NO_FIXED_SLEEP | FADT_NO_FIXED_RTC | FADT_TIMER_32 |
               FADT_RESET;
    f->minor = 5;
    memcpy(&f->hypervisor, OEM, sizeof(OEM));
    finish(&f->header, "FACP", 6, sizeof(*f));
}

static void build_madt(struct Madt *m)
{
    m->head.lapic = LAPIC_ADDRESS;
    m->cpu = (struct AcpiMadtLapic){ .entry = { MADT_LAPIC, sizeof(m->cpu) },
                                     .flags = MADT_CPU_ENABLED };
    m->ioapic = (struct AcpiMadtIoapic){ .entry = { MADT_IOAPIC, sizeof(m->ioapic) },
                                         .address = IOAPIC_ADDRESS };
    m->sci = (struct AcpiMadtOverride){ .entry = { MADT_OVERRIDE, sizeof(m->sci) },
                                        .source = SCI_INPUT,
                                        .gsi = SCI_INPUT,
                                        .flags = MADT_ACTIVE_HIGH | MADT_EDGE_TRIGGERED };
    finish(&m->head.header, ACPI_MADT_SIGNATURE, 5, sizeof(*m));
}

/* Of the one bus. */
static void build_mcfg(struct AcpiMcfg *m)
{
    m->base = ECAM_START;
    finish(&m->header, "MCFG", 1, sizeof(*m));
}

static void build_rsdp(struct AcpiRsdp *r)
{
    memcpy(r->signature, ACPI_RSDP_SIGNATURE, sizeof(r->signature));
    memcpy(r->oem, OEM, sizeof(r->oem));
    r->revision = 2;
    r->length = sizeof(*r);
    r->xsdt = gpa_of(&tables.xsdt);
    r->sum = checksum(r, ACPI_RSDP_V1_SIZE);
    r->xsum = checksum(r, sizeof(*r));
}

gpa_t acpi_root(void)
{
    return gpa_of(&tables.rsdp);
}

static void build(void)
{
    memset(&tables, 0, sizeof(tables));
    memcpy(tables.dsdt, dsdt, MIN((size_t)(dsdt_end - dsdt), sizeof(tables.dsdt)));
    memcpy(tables.facs.signature, "FACS", sizeof(tables.facs.signature));
    tables.facs.length = sizeof(tables.facs);
    tables.facs.version = 2;
    build_fadt(&tables.fadt);
    build_madt(&tables.madt);
    build_mcfg(&tables.mcfg);
    tables.xsdt.tables[0] = gpa_of(&tables.fadt);
    tables.xsdt.tables[1] = gpa_of(&tables.madt);
    tables.xsdt.tables[2] = gpa_of(&tables.mcfg);
    finish(&tables.xsdt.header, "XSDT", 1, sizeof(tables.xsdt));
    build_rsdp(&tables.rsdp);
}

int acpi_load(envid_t guest)
{
    build();
    return sys_guest_mem(guest, BIOS_AREA, &tables, sizeof(tables), true);
}
