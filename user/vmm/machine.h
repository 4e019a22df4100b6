/*
 * The machine that a guest finds: the bus with its devices, and memory.
 */
#ifndef JOS_USER_VMM_MACHINE_H
#define JOS_USER_VMM_MACHINE_H

#include <inc/vmm.h>
#include <user/vmm/cards.h>
#include <user/vmm/dev/bus.h>
#include <user/vmm/dev/debugexit.h>
#include <user/vmm/dev/power.h>
#include <user/vmm/dev/rtc.h>
#include <user/vmm/dev/uart.h>

struct Machine {
    envid_t guest;
    uint64_t memsize; /* bytes of RAM */
    struct Bus bus;
    struct Uart com1;
    struct Rtc rtc;
    struct Power power;
    struct DebugExit debug_exit;
    struct Cards cards;
    bool told_unknown; /* of an instruction that is not known */
};

/* Connect a PC's devices, and the cards. shared: the page of sys_guest_share. 0 or -E_*. */
int machine_init(struct Machine *m, envid_t guest, uint64_t memsize, const struct GuestExit *shared,
                 const struct CardOptions *cards);
/* Carry out the I/O instruction, or the access to memory, that the guest is stopped at; the answer
 * is in *x. */
void machine_io(struct Machine *m, struct GuestExit *x);
void machine_mmio(struct Machine *m, struct GuestExit *x);

#endif
