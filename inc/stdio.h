/*
 * Formatted output. Conversions: %d %i %u %x %X %o %p %s %c %% with flags - 0 + # space, width,
 * precision, * for either, length modifiers hh h l ll z t j; %e takes an int error (negative or
 * positive) and prints its words.
 */
#ifndef JOS_INC_STDIO_H
#define JOS_INC_STDIO_H

#include "types.h"

#ifndef NULL
#define NULL ((void *)0)
#endif

/* lib/printfmt.c */
void printfmt(void (*putch)(int c, void *arg), void *arg, const char *fmt, ...);
void vprintfmt(void (*putch)(int c, void *arg), void *arg, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
/* Words for an error code of either sign. */
const char *strerror(int err);

/* To the console: kern/printf.c in the kernel, lib/printf.c in user programs. */
int cprintf(const char *fmt, ...);
int vcprintf(const char *fmt, va_list ap);

/* lib/readline.c: read a line with editing and history from the console; NULL at end of file. The
 * result is valid until the next call. */
char *readline(const char *prompt);
/* Line n of readline's history, 0 the oldest; NULL: there is none. */
const char *readline_history(int n);
/* What readline works with: kern/dev/console.c in the kernel, lib/console.c in user programs. The
 * next key; 0: there is none, and it was not to wait. */
int term_key(bool wait);
void term_write(const char *s, size_t len);

#endif
