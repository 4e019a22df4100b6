/*
 * Packets of gdb's remote serial protocol (GDB manual, "Overview" of the remote protocol), for the
 * kernel's stub and the monitor's: $ contents # checksum, acknowledged by + or asked for again by
 * -. Each has one line to one gdb.
 */
#ifndef JOS_INC_GDBPACKET_H
#define JOS_INC_GDBPACKET_H

#include "types.h"

/* Longest packet that gdb may send, bytes without frame. */
#define GDB_PACKET_MAX 2048
#define GDB_CTRL_C     0x03

struct GdbLine {
    void (*send)(const char *s, size_t n);
    /* Does more come in right now? Waits for as long as several bytes take. */
    bool (*more_follows)(void);
};

/* Before anything else. */
void gdb_use_line(const struct GdbLine *line);

enum GdbInput {
    GDB_NOTHING,
    GDB_INTERRUPT, /* Ctrl-C between packets */
    GDB_BEGINS,    /* a packet begins */
    GDB_PACKET,    /* gdb_packet has it */
};
/* Process the next byte received from the line. A packet whose checksum is right is acknowledged.
 */
enum GdbInput gdb_take(char c);
/* The last packet, terminated, and its length; escapes are undone. Valid until the next byte. */
char *gdb_packet(size_t *len);
/* Whether packets are acknowledged. They are at first, and gdb's first packet turns it on again. */
void gdb_set_acks(bool on);

/* An answer: begun, put together, and sent. What is beyond a bound that no answer reaches is cut.
 */
void gdb_begin(void);
void gdb_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void gdb_put_hex(const void *bytes, size_t n);
/* With the protocol's escapes. */
void gdb_put_binary(const char *s, size_t n);
void gdb_end(void);
/* The whole of a short answer. */
void gdb_reply(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void gdb_error(int number);
/* The answer to what is not known here. */
void gdb_reply_nothing(void);

/* A hexadecimal number at *s, which is moved past it. false: there is none, and *value is 0. */
bool gdb_parse_hex(const char **s, uint64_t *value);
/* n bytes as 2 * n hexadecimal digits at *s, which is moved past them. false: there are fewer. */
bool gdb_parse_bytes(const char **s, void *bytes, size_t n);
/* The number at *s where one is expected; 0 if there is none. */
static inline uint64_t gdb_number(const char **s)
{
    uint64_t n;

    gdb_parse_hex(s, &n);
    return n;
}

#endif
