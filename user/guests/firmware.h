/*
 * What a PC's firmware tells of the machine, for test guests: ACPI's tables, and the I/O APIC and
 * fixed hardware that they describe. It relies on nothing that a bare machine does not have.
 */
#ifndef JOS_USER_GUESTS_FIRMWARE_H
#define JOS_USER_GUESTS_FIRMWARE_H

#include <inc/acpi.h>
#include "rt.h"

/* Do these bytes add up to 0? */
bool acpi_sums_up(const void *p, size_t n);
/* The root pointer, NULL if there is none, and the nth table of its list; NULL: there are fewer. */
const struct AcpiRsdp *acpi_rsdp(void);
const struct AcpiHeader *acpi_root(const struct AcpiRsdp *r);
const struct AcpiHeader *acpi_nth(const struct AcpiRsdp *r, unsigned n);
/* The table with this signature. NULL, after saying so: there is none. */
const void *acpi_table(const char *signature);

/* The FADT, with the machine in ACPI mode. NULL, after saying so: it is not to be had. */
const struct AcpiFadt *acpi_enter(void);
/* The sleep type of \_S5 in the DSDT, for the PM1 control register; -1: it has none. */
int acpi_sleep_off(const struct AcpiFadt *f);

/* ---- The I/O APIC ---- */
#define IOAPIC_ID      0x00
#define IOAPIC_VERSION 0x01
#define IOAPIC_TABLE   0x10
#define IOAPIC_LOW     (1u << 13) /* active low */
#define IOAPIC_LEVEL   (1u << 15)
#define IOAPIC_MASKED  (1u << 16)

/* Find the one that has ISA's interrupts, map it and enable the local APIC. false, after saying so:
 * there is none. */
bool ioapic_find(void);
uint32_t ioapic_read(uint32_t reg);
void ioapic_write(uint32_t reg, uint32_t value);
/* The input of this interrupt of the ISA bus, and its polarity and trigger mode as bits of an entry
 * (MADT, "Interrupt Source Override Structure"). */
unsigned ioapic_input(uint8_t isa, uint32_t *bits);
/* Let the input send this to this CPU; IOAPIC_MASKED: nothing. */
void ioapic_route(unsigned input, uint32_t entry);

#endif
