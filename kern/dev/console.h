/*
 * The console: serial line COM1, VGA text screen and PS/2 keyboard on hOS; hypercalls on gOS.
 */
#ifndef JOS_KERN_DEV_CONSOLE_H
#define JOS_KERN_DEV_CONSOLE_H

#include <inc/types.h>

/* Choose and set up the back end. Usable right after the kernel's entry, before mem_init. */
void cons_init(void);
/* Enable input interrupts; after the interrupt controllers are set up. */
void cons_intr_enable(void);
/* Write text; a newline becomes CR LF on the serial line. Takes cons_lock for the whole text. */
void cons_write(const char *s, size_t len);
/* Next input character, 0 if there is none. Polls the devices as well. */
int cons_getc(void);
/* Has a key ever come, on any device? */
bool cons_was_typed_at(void);
/* Is there input? */
bool cons_has_input(void);
/* Whom to tell, from an interrupt and without a lock: that there is new input; that somebody has
 * typed the key that stops the kernel. */
void cons_on_input(void (*news)(void), void (*stop)(void));
/* The interrupt key, Ctrl-C: is it to be an interrupt now, rather than input (asked with the
 * console's lock held)? Then whom to tell (without a lock) that it was pressed; what was typed
 * before it and not read is forgotten. */
void cons_on_interrupt(bool (*wanted)(void), void (*pressed)(void));
/* Interrupt handlers: take what the devices have, then tell those. */
void cons_intr(void);
/* For devices: one input character for the ring; only from a poll function. The newest is lost if
 * it is full. */
void cons_input(int c);
/* Characters the ring has room for. */
size_t cons_input_room(void);
/* Wait until every character has left the machine (before power-off). */
void cons_flush(void);
/* From now on no lock is taken: a panic prints whatever happens. */
void cons_panic_mode(void);

#endif
