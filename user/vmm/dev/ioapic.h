/*
 * An I/O APIC with 24 inputs, at its usual address ("82093AA I/O Advanced Programmable Interrupt
 * Controller"). An input that rises sends the message that its entry says.
 */
#ifndef JOS_USER_VMM_DEV_IOAPIC_H
#define JOS_USER_VMM_DEV_IOAPIC_H

#include <user/vmm/dev/bus.h>

#define IOAPIC_ADDRESS 0xfec00000ul
#define IOAPIC_BYTES   0x1000ul
#define IOAPIC_INPUTS  24

/* The way to the local APICs: an interrupt message, as devices of PCI send them. */
struct MessagePeer {
    void (*send)(void *to, uint64_t address, uint32_t data);
    void *to;
};

struct IoapicState {
    uint32_t index, id;
    uint32_t levels; /* one bit an input */
    uint32_t pad;
    uint64_t entries[IOAPIC_INPUTS];
};

struct Ioapic {
    struct Device device;
    struct IoapicState state;
    struct MessagePeer peer;
    struct IoapicInput {
        struct Ioapic *ioapic;
        unsigned n;
    } inputs[IOAPIC_INPUTS];
};

/* Add it to the bus, all inputs masked. 0 or -E_*. */
int ioapic_add(struct Ioapic *a, struct BusSpace *memory, struct MessagePeer peer);
/* The line to input n, which is below IOAPIC_INPUTS. */
struct IrqLine ioapic_line(struct Ioapic *a, unsigned n);

#endif
