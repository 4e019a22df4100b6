/*
 * COM2, and the frames of the remote serial protocol. Called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_PACKET_H
#define JOS_KERN_GDB_PACKET_H

#include <inc/types.h>

#define GDB_PACKET_MAX 2048

/* errno values in `E` answers, as gdb prints them. */
#define GDB_EPERM  1
#define GDB_EACCES 13
#define GDB_EFAULT 14
#define GDB_EINVAL 22
#define GDB_ENOSPC 28

/* false: there is no COM2. */
bool gdb_port_init(void);
void gdb_port_intr_enable(void);
/* Is there a byte that nobody has read? */
bool gdb_port_has_byte(void);
/* What came in is a reason to stop: Ctrl-C, or the begin of the first packet of a new gdb, which
 * gdb_receive then reads on. 0: none. */
int gdb_port_look(void);
/* The next packet: its length, and the text with a NUL behind it in *text, valid until the next
 * call. Acknowledges it. The first packet of a gdb turns acknowledgements on. */
size_t gdb_receive(char **text);
/* No more acknowledgements, from the next packet on. */
void gdb_no_ack(void);
/* A packet is put together: begin, any of the others, end. */
void gdb_begin(void);
void gdb_printf(const char *fmt, ...);
void gdb_put_hex(const void *bytes, size_t n);
/* Text with the protocol's escapes. */
void gdb_put_binary(const char *s, size_t n);
void gdb_end(void);
/* Whole answers. */
void gdb_reply(const char *text);
void gdb_error(int number);
/* A hexadecimal number; *p is left behind it. */
uint64_t gdb_number(const char **p);
/* n bytes from 2 * n digits. false: they are not there. */
bool gdb_hex_bytes(const char *s, void *bytes, size_t n);

#endif
