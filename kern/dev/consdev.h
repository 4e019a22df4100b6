/*
 * The devices that make up the console. kern/dev/console.c chooses among them, holds cons_lock
 * around every call and keeps the input ring; a device knows only its own registers.
 */
#ifndef JOS_KERN_DEV_CONSDEV_H
#define JOS_KERN_DEV_CONSDEV_H

#include <inc/types.h>

/* All members but name and init may be NULL. */
struct ConsDev {
    const char *name;
    /* Set the device up, polled. Returns false if the machine has none. */
    bool (*init)(void);
    /* Put out text and return when the device has taken all of it. */
    void (*write)(const char *s, size_t len);
    /* Hand over what has come in, by cons_input. Without force, a device whose polling is expensive
     * may rely on its interrupt. */
    void (*poll)(bool force);
    /* Let the device interrupt when input comes. */
    void (*intr_enable)(void);
    /* Wait until everything written has left the device. */
    void (*flush)(void);
};

#endif
