/*
 * The console: serial line COM1, VGA text screen and PS/2 keyboard on hOS; hypercalls on gOS.
 */
#ifndef JOS_KERN_CONSOLE_H
#define JOS_KERN_CONSOLE_H

#include <inc/types.h>

/* Choose and set up the back end. Usable right after the kernel's entry, before mem_init. */
void cons_init(void);
/* Enable input interrupts; after the interrupt controllers are set up. */
void cons_intr_enable(void);
/* Write text; a newline becomes CR LF on the serial line. Takes cons_lock for the whole text. */
void cons_write(const char *s, size_t len);
/* From now on the kernel's formatted output goes to fn, or (NULL) to the console again. Only while
 * all other CPUs stand still. */
void cprintf_to(void (*fn)(const char *s, size_t len));
/* Next input character, 0 if there is none. Polls the devices as well. */
int cons_getc(void);
/* Has a key ever come, on any device? */
bool cons_was_typed_at(void);
/* Is there input? */
bool cons_has_input(void);
/* Interrupt handlers: take what the devices have, then wake envs that wait for input. */
void cons_intr(void);
/* Wait until every character has left the machine (before power-off). */
void cons_flush(void);
/* From now on no lock is taken: a panic prints whatever happens. */
void cons_panic_mode(void);
/* Blocking for single characters, for the kernel monitor; polls. */
int getchar(void);
void cputchar(int c);

#endif
