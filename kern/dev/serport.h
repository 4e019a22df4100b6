/*
 * The serial port COM3, for one user program at a time. System calls: inc/lib.h has the contracts.
 */
#ifndef JOS_KERN_DEV_SERPORT_H
#define JOS_KERN_DEV_SERPORT_H

#include <inc/env.h>
#include <inc/once.h>

/* Interrupt of the line that COM1 and COM3 share: take what has come, and wake the owner if it is a
 * monitor that waits for events. Returns true if there was something, so that COM1, whose request
 * may have come meanwhile on the same line, is to be looked at again. */
bool serport_intr(void);
/* The env that has the port; 0: nobody has asked for it yet. Written under its lock. */
extern envid_t serport_owner;
bool serport_has_bytes(void);
/* Has this env the port, and input there? */
static inline bool serport_has_input(envid_t env)
{
    return READ_ONCE(serport_owner) == env && serport_has_bytes();
}

int64_t sys_serial_open(void);
int64_t sys_serial_read(uintptr_t buf, size_t size);
int64_t sys_serial_write(uintptr_t buf, size_t len);

#endif
