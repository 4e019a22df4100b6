/*
 * The guest's console.
 */
#ifndef JOS_USER_VMM_CONSOLE_H
#define JOS_USER_VMM_CONSOLE_H

#include <user/vmm/common.h>

/* Where input comes from and output goes to is decided here: the console, or a file or pipe. */
void cons_setup(void);
/* Was vmm started in the background? The shell gives such programs an input that has ended. */
bool cons_in_background(void);
/* A guest starts: the keyboard is COM1's. */
void cons_begin(void);
/* Is console input an event for the monitor? */
bool cons_wanted(void);
/* Update the answer of cons_wanted. Call this after anything that may have changed which env has
 * the console. */
void cons_look(void);
/* Take what the console has. Returns false if the user wants the console back. */
bool cons_take(void);
/* Next input byte, -1: none. With ask, a file or pipe is read (and a pipe waited for). */
int cons_next(bool ask);
/* Input into buf, asked for: n bytes, fewer only if there is no more. Returns how many. (A guest
 * takes a full buffer as a sign to come back when it wants more; that is what paces a file.) */
size_t cons_read(char *buf, size_t n);
/* A guest has more than one device for its console. The keyboard is that one's on which it has last
 * left a line unfinished, a prompt or what it echoes; COM1's at the start. */
enum ConsDevice {
    CONS_COM1,
    CONS_VIRTIO,
};
/* cons_put by this device. */
void cons_put_by(enum ConsDevice d, const char *s, size_t n);
/* cons_next for this device; -1 also if the keyboard is another one's. */
int cons_next_for(enum ConsDevice d, bool ask);
/* Has input that the guest did not take yet. */
bool cons_pending(void);
/* Output, collected into lines. */
void cons_put(const char *s, size_t n);
void cons_flush(void);
/* Formatted output of the monitor's own, in between the guest's. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The output so far does not end with a newline. */
bool cons_mid_line(void);
/* Flush, and begin a new line unless the guest's output ended with one. */
void cons_fresh_line(void);

#endif
