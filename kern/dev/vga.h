/*
 * The text screen.
 */
#ifndef JOS_KERN_VGA_H
#define JOS_KERN_VGA_H

#include <kern/dev/consdev.h>

extern const struct ConsDev vga_dev;

#endif
