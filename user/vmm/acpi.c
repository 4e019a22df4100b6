/*
 * ACPI's tables, for a hardware-reduced machine: one CPU with a local APIC, no other interrupt
 * controller, a serial port that is polled, and registers to switch off by.
 */
#include <user/vmm/acpi.h>
#include <user/vmm/acpi_pci.h>
#include <user/vmm/common.h>
#include <user/vmm/memmap.h>

#define OEM            "JOSvmm"
#define OEM_TABLE      "JOSVMM  "
#define CREATOR        0x534f4a20 /* " JOS" */
#define LAPIC_ADDRESS  0xfee00000
#define SLEEP_CONTROL  0x605 /* bit 5 there switches off: dev/power.c */
#define SLEEP_STATUS   0x606
#define RESET_REGISTER 0xcf9
#define RESET_VALUE    0x06
#define SPACE_IO       1

struct Header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct Header) == 36, "ACPI table header");

struct Rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t checksum_all, reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct Rsdp) == 36, "ACPI root pointer");

struct Address {
    uint8_t space, bits, offset, access;
    uint64_t address;
} __attribute__((packed));

struct Fadt {
    struct Header header;
    uint32_t facs, dsdt;
    uint8_t reserved, profile;
    uint8_t pm[62]; /* registers that a hardware-reduced machine has not got */
    uint8_t century;
    uint16_t boot_flags;
    uint8_t reserved2;
    uint32_t flags;
    struct Address reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    struct Address x_pm[8];
    struct Address sleep_control, sleep_status;
    uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(offsetof(struct Fadt, boot_flags) == 109, "FADT");
_Static_assert(offsetof(struct Fadt, reset) == 116, "FADT");
_Static_assert(sizeof(struct Fadt) == 276, "FADT");

#define FADT_WBINVD     (1u << 0)
#define FADT_NO_POWER   (1u << 4) /* the power button is no fixed register */
#define FADT_NO_SLEEP   (1u << 5)
#define FADT_RESET      (1u << 10)
#define FADT_HW_REDUCED (1u << 20)
#define BOOT_NO_VGA     (1u << 2)
#define PROFILE_SERVER  4

struct Madt {
    struct Header header;
    uint32_t lapic, flags;
    struct {
        uint8_t type, length, processor, apic;
        uint32_t flags; /* bit 0: enabled */
    } __attribute__((packed)) cpu;
} __attribute__((packed));

/*
 * DefinitionBlock ("", "DSDT", 2, "JOSvmm", "JOSVMM  ", 1) {
 *     Name (_S5, Package () { 5, 0, 0, 0 })
 *     Device (_SB.COM1) {
 *         Name (_HID, EisaId ("PNP0501"))
 *         Name (_UID, 1)
 *         Name (_CRS, ResourceTemplate () { IO (Decode16, 0x3f8, 0x3f8, 1, 8) })
 *     }
 * }
 */
static const uint8_t aml[] = {
    0x08, '_',  'S',  '5',  '_',  0x12, 0x07, 0x04, 0x0a, 0x05, 0x00, 0x00, 0x00, /* _S5 */
    0x5b, 0x82, 0x2d, 0x2e, '_',  'S',  'B',  '_',  'C',  'O',  'M',  '1',        /* Device */
    0x08, '_',  'H',  'I',  'D',  0x0c, 0x41, 0xd0, 0x05, 0x01,                   /* _HID */
    0x08, '_',  'U',  'I',  'D',  0x01,                                           /* _UID */
    0x08, '_',  'C',  'R',  'S',  0x11, 0x0d, 0x0a, 0x0a,                         /* _CRS */
    0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x79, 0x00,
};

static const uint8_t aml_pci[] = { ACPI_PCI_AML };

struct Dsdt {
    struct Header header;
    uint8_t code[sizeof(aml)], pci[sizeof(aml_pci)];
} __attribute__((packed));

struct Xsdt {
    struct Header header;
    uint64_t tables[2];
} __attribute__((packed));

/* What lies in guest memory from BIOS_AREA on. */
static struct {
    struct Rsdp rsdp __attribute__((aligned(16)));
    struct Xsdt xsdt __attribute__((aligned(16)));
    struct Fadt fadt __attribute__((aligned(16)));
    struct Madt madt __attribute__((aligned(16)));
    struct Dsdt dsdt __attribute__((aligned(16)));
} tables;

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

static void finish(struct Header *h, const char *signature, uint8_t revision, uint32_t length)
{
    memcpy(h->signature, signature, sizeof(h->signature));
    h->length = length;
    h->revision = revision;
    memcpy(h->oem, OEM, sizeof(h->oem));
    memcpy(h->oem_table, OEM_TABLE, sizeof(h->oem_table));
    h->oem_revision = 1;
    h->creator = CREATOR;
    h->creator_revision = 1;
    h->checksum = 0;
    h->checksum = checksum(h, length);
}

static struct Address io_register(uint16_t port)
{
    return (struct Address){ .space = SPACE_IO, .bits = 8, .access = 1, .address = port };
}

gpa_t acpi_build(void)
{
    memcpy(tables.dsdt.code, aml, sizeof(aml));
    memcpy(tables.dsdt.pci, aml_pci, sizeof(aml_pci));
    finish(&tables.dsdt.header, "DSDT", 2, sizeof(tables.dsdt));

    struct Fadt *f = &tables.fadt;
    f->dsdt = f->x_dsdt = gpa_of(&tables.dsdt);
    f->profile = PROFILE_SERVER;
    f->boot_flags = BOOT_NO_VGA;
    f->flags = FADT_WBINVD | FADT_NO_POWER | FADT_NO_SLEEP | FADT_RESET | FADT_HW_REDUCED;
    f->reset = io_register(RESET_REGISTER);
    f->reset_value = RESET_VALUE;
    f->minor = 5;
    f->sleep_control = io_register(SLEEP_CONTROL);
    f->sleep_status = io_register(SLEEP_STATUS);
    memcpy(&f->hypervisor, OEM, sizeof(OEM));
    finish(&f->header, "FACP", 6, sizeof(*f));

    struct Madt *m = &tables.madt;
    m->lapic = LAPIC_ADDRESS;
    m->cpu.length = sizeof(m->cpu);
    m->cpu.flags = 1;
    finish(&m->header, "APIC", 5, sizeof(*m));

    tables.xsdt.tables[0] = gpa_of(f);
    tables.xsdt.tables[1] = gpa_of(m);
    finish(&tables.xsdt.header, "XSDT", 1, sizeof(tables.xsdt));

    struct Rsdp *r = &tables.rsdp;
    memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
    memcpy(r->oem, OEM, sizeof(r->oem));
    r->revision = 2;
    r->length = sizeof(*r);
    r->xsdt = gpa_of(&tables.xsdt);
    r->checksum = checksum(r, offsetof(struct Rsdp, length));
    r->checksum_all = checksum(r, sizeof(*r));
    return gpa_of(r);
}

int acpi_load(envid_t guest)
{
    return sys_guest_mem(guest, BIOS_AREA, &tables, sizeof(tables), true);
}
