/*
 * ACPI's tables as the kernel reads the machine's and the monitor writes a guest's (ACPI
 * Specification, "ACPI Software Programming Model"). All of them are packed, and every table's
 * bytes add up to 0.
 */
#ifndef JOS_INC_ACPI_H
#define JOS_INC_ACPI_H

#include "types.h"

#define ACPI_RSDP_SIGNATURE "RSD PTR "
#define ACPI_RSDP_V1_SIZE   20 /* the bytes that `sum` covers */

struct AcpiRsdp {
    char signature[8];
    uint8_t sum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length; /* from here on: revision 2 */
    uint64_t xsdt;
    uint8_t xsum, reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiRsdp) == 36, "ACPI root pointer");

struct AcpiHeader {
    char signature[4];
    uint32_t length;
    uint8_t revision, sum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiHeader) == 36, "ACPI table header");

/* ---- MADT: "Multiple APIC Description Table" ---- */

#define ACPI_MADT_SIGNATURE "APIC"

enum AcpiMadtType {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2, /* of an ISA interrupt's number or signal */
    MADT_X2APIC = 9,
};

#define MADT_CPU_ENABLED    1      /* flags of MADT_LAPIC and MADT_X2APIC */
#define MADT_ACTIVE_HIGH    0x0001 /* flags of MADT_OVERRIDE (MPS INTI flags) */
#define MADT_EDGE_TRIGGERED 0x0004

struct AcpiMadtHead {
    struct AcpiHeader header;
    uint32_t lapic, flags;
} __attribute__((packed));

struct AcpiMadtEntry {
    uint8_t type, length;
} __attribute__((packed));

struct AcpiMadtLapic {
    struct AcpiMadtEntry entry;
    uint8_t processor, apicid;
    uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiMadtLapic) == 8, "MADT: local APIC");

struct AcpiMadtIoapic {
    struct AcpiMadtEntry entry;
    uint8_t id, reserved;
    uint32_t address, gsi_base;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiMadtIoapic) == 12, "MADT: I/O APIC");

struct AcpiMadtOverride {
    struct AcpiMadtEntry entry;
    uint8_t bus, source;
    uint32_t gsi;
    uint16_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiMadtOverride) == 10, "MADT: interrupt source override");

struct AcpiMadtX2apic {
    struct AcpiMadtEntry entry;
    uint16_t reserved;
    uint32_t apicid, flags, processor;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiMadtX2apic) == 16, "MADT: local x2APIC");

/* ---- FADT: "Fixed ACPI Description Table" ---- */

/* "Generic Address Structure" */
struct AcpiAddress {
    uint8_t space, bits, offset, access;
    uint64_t address;
} __attribute__((packed));
#define ACPI_SPACE_IO 1

struct AcpiFadt {
    struct AcpiHeader header;
    uint32_t facs, dsdt;
    uint8_t reserved, profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_length, pm1_control_length, pm2_length, pm_timer_length;
    uint8_t gpe0_length, gpe1_length, gpe1_base, cst;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved2;
    uint32_t flags;
    struct AcpiAddress reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    struct AcpiAddress x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
        x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
    uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(offsetof(struct AcpiFadt, pm_timer) == 76, "FADT");
_Static_assert(offsetof(struct AcpiFadt, boot_flags) == 109, "FADT");
_Static_assert(offsetof(struct AcpiFadt, reset) == 116, "FADT");
_Static_assert(sizeof(struct AcpiFadt) == 276, "FADT");

/* FADT flags */
#define FADT_WBINVD         (1u << 0)
#define FADT_C1             (1u << 2)  /* HLT works on all CPUs */
#define FADT_NO_FIXED_SLEEP (1u << 5)  /* the sleep button is no fixed register */
#define FADT_NO_FIXED_RTC   (1u << 6)  /* neither is the RTC's wake-up */
#define FADT_TIMER_32       (1u << 8)  /* the PM timer has 32 bits, not 24 */
#define FADT_RESET          (1u << 10) /* the reset register is there */
/* FADT boot architecture flags of a PC */
#define FADT_BOOT_LEGACY (1u << 0) /* there are devices of the ISA bus */
#define FADT_BOOT_NO_VGA (1u << 2)

/* Bits of the PM1 registers ("PM1 Status Registers", "PM1 Control Registers") and ports that a
 * guest of this VMM finds them at. */
#define PM1_TIMER        (1u << 0)
#define PM1_GLOBAL       (1u << 5)
#define PM1_POWER_BUTTON (1u << 8)
#define PM1_RTC          (1u << 10)
#define PM1_SCI_ENABLED  (1u << 0) /* of the control register: ACPI mode */
#define PM1_SLEEP_ENABLE (1u << 13)
#define PM_TIMER_HZ      3579545

/* ---- MCFG: PCI Firmware Specification, "MCFG Table Description" ---- */

struct AcpiMcfg {
    struct AcpiHeader header;
    uint64_t reserved;
    /* One range of configuration space in memory. */
    uint64_t base; /* of bus 0 */
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved2;
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiMcfg) == 60, "MCFG");

/* "Firmware ACPI Control Structure", which has no checksum. */
struct AcpiFacs {
    char signature[4];
    uint32_t length, hardware, waking, lock, flags;
    uint64_t x_waking;
    uint8_t version, reserved[3];
    uint32_t ospm_flags;
    uint8_t reserved2[24];
} __attribute__((packed));
_Static_assert(sizeof(struct AcpiFacs) == 64, "FACS");

#endif
