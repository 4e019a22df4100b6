/*
 * The PS/2 keyboard.
 */
#ifndef JOS_KERN_DEV_KBD_H
#define JOS_KERN_DEV_KBD_H

#include <kern/dev/consdev.h>

extern const struct ConsDev kbd_dev;

#endif
