/*
 * The end of the machine or the guest.
 */
#ifndef JOS_KERN_DEV_POWEROFF_H
#define JOS_KERN_DEV_POWEROFF_H

#include <inc/types.h>

/* gOS: from now on the power button raises T_HVPOWER. */
void power_button_init(void);
/* End the machine or the guest, with a status of 0 to 255. */
void platform_poweroff(int status) __attribute__((noreturn));

#endif
