/*
 * The machine that a guest finds: the bus with its devices, and memory.
 */
#ifndef JOS_USER_VMM_MACHINE_H
#define JOS_USER_VMM_MACHINE_H

#include <inc/vmm.h>
#include <user/vmm/cards.h>
#include <user/vmm/dev/bus.h>
#include <user/vmm/dev/debugexit.h>
#include <user/vmm/dev/ioapic.h>
#include <user/vmm/dev/pm.h>
#include <user/vmm/dev/power.h>
#include <user/vmm/dev/rtc.h>
#include <user/vmm/dev/uart.h>

/* Inputs of the I/O APIC, where a PC's ISA bus has them */
#define COM1_INPUT 4
#define RTC_INPUT  8

struct Machine {
    envid_t guest;
    uint64_t memsize; /* bytes of RAM */
    struct Bus bus;
    struct Ioapic ioapic;
    struct Uart com1;
    struct Rtc rtc;
    struct Pm pm;
    struct Power power;
    struct DebugExit debug_exit;
    struct Cards cards;
};

/* Connect a PC's devices, and the cards. shared: the page of sys_guest_share. 0 or -E_*. */
int machine_init(struct Machine *m, envid_t guest, uint64_t memsize, const struct GuestExit *shared,
                 const struct CardOptions *cards);
/* The guest has ended: give back what machine_init and the devices have taken of its memory. */
void machine_end(struct Machine *m);
/* Press the power button. false: the guest does not look at it. */
bool machine_press_power(struct Machine *m);
/* The console has input for the guest. */
void machine_input(struct Machine *m);
/* Carry out the I/O instruction, or the access to memory, that the guest is stopped at; the answer
 * is in *x. */
void machine_io(struct Machine *m, struct GuestExit *x);
void machine_mmio(struct Machine *m, struct GuestExit *x);

#endif
