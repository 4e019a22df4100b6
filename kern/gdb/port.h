/*
 * The gdb stub's line, COM2. Called by the CPU that holds the stub, while all others stand still,
 * unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_PORT_H
#define JOS_KERN_GDB_PORT_H

#include <inc/types.h>

/* false: there is no COM2. */
bool gdb_port_init(void);
void gdb_port_intr_enable(void);
/* Is there a byte that nobody has read? */
bool gdb_port_has_byte(void);
/* What came in is a reason to stop: Ctrl-C, or the beginning of the first packet of a new gdb
 * ('$'), which gdb_receive then reads on. 0: none. */
int gdb_port_look(void);
/* The next packet: its length, and the text with a NUL at its end in *text, valid until the next
 * call. */
size_t gdb_receive(char **text);

#endif
