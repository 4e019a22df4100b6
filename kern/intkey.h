/*
 * Who gets the interrupt key, Ctrl-C.
 */
#ifndef JOS_KERN_INTKEY_H
#define JOS_KERN_INTKEY_H

#include <inc/types.h>

/* Is the key an interrupt now, rather than a character? Takes no locks. */
bool intkey_interrupts(void);
/* It was pressed: the present or next sys_env_wait of the env that has claimed it says so. Takes
 * that env's lock. */
void intkey_pressed(void);
/* Has the current env been interrupted since it was last told? */
bool intkey_take(void);

int64_t sys_cons_claim(uint32_t claim);

#endif
