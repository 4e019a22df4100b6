/*
 * The text screen.
 */
#ifndef JOS_KERN_DEV_VGA_H
#define JOS_KERN_DEV_VGA_H

#include <kern/dev/consdev.h>

extern const struct ConsDev vga_dev;

#endif
