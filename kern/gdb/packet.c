/*
 * The gdb stub's line, COM2, and the frames of the remote serial protocol: $text#sum, answered with
 * + or - (GDB manual, "Overview" of the remote protocol). Everything is polled; only a kernel that
 * runs lets the line interrupt it.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/dev/pic.h>
#include <kern/dev/uart.h>
#include <kern/flush.h>
#include <kern/gdb/packet.h>

#define BREAK       0x03 /* Ctrl-C outside of a packet */
#define ESCAPE      '}'
#define ESCAPED     0x20 /* what follows is XORed with it */
#define MAX_POLLS   400000
#define QUIET_POLLS 2000 /* several bytes' time */

static char in[GDB_PACKET_MAX + 1];
static uint32_t tx_depth, tx_room;
static uint8_t sum; /* of the packet that is being sent */
static bool no_ack;
static bool dollar_seen; /* gdb_port_look has read the beginning of a packet */
static const char digits[] = "0123456789abcdef";

bool gdb_port_init(void)
{
    tx_depth = uart_init(COM2);
    return tx_depth != 0;
}

void gdb_port_intr_enable(void)
{
    outb(COM2 + COM_IER, IER_RX);
    pic_enable(IRQ_SERIAL2);
}

/* ---- Bytes ---- */

bool gdb_port_has_byte(void)
{
    return inb(COM2 + COM_LSR) & LSR_DR;
}

static uint8_t get_byte(void)
{
    while (!gdb_port_has_byte()) {
        cpu_flush_poll();
        cpu_pause();
    }
    return inb(COM2 + COM_DATA);
}

static void put_byte(uint8_t b)
{
    if (tx_room == 0) {
        for (int i = 0; i < MAX_POLLS && !(inb(COM2 + COM_LSR) & LSR_THRE); i++)
            cpu_pause();
        tx_room = tx_depth;
    }
    outb(COM2 + COM_DATA, b);
    tx_room--;
}

int gdb_port_look(void)
{
    int why = 0;

    while (why == 0 && gdb_port_has_byte()) {
        uint8_t b = inb(COM2 + COM_DATA);
        if (b == BREAK || b == '$')
            why = b;
    }
    dollar_seen = why == '$';
    /* Whoever opens a dialogue begins with acknowledgements. */
    no_ack = no_ack && why != '$';
    return why;
}

/* ---- Packets ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' - 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The rest of a packet behind its $. -1: it is not what was sent. A $ begins anew: the packet
 * before was cut off. */
static int rest_of_packet(void)
{
    uint8_t seen = 0;
    size_t n = 0;
    int sum_digits[2], have = -1; /* -1: still before the # */

    while (have < 2) {
        char c = get_byte();
        if (c == '$') {
            seen = n = 0;
            have = -1;
        } else if (have >= 0) {
            sum_digits[have++] = digit(c);
        } else if (c == '#') {
            have = 0;
        } else {
            seen += c;
            if (n <= GDB_PACKET_MAX)
                in[n++] = c;
        }
    }
    bool whole = sum_digits[0] >= 0 && sum_digits[1] >= 0 && n <= GDB_PACKET_MAX;
    in[MIN(n, (size_t)GDB_PACKET_MAX)] = '\0';
    return whole && sum_digits[0] * 16 + sum_digits[1] == seen ? (int)n : -1;
}

/* Does more come in right now? gdb waits for its acknowledgement before it says more. So nobody
 * waits for the answer to a packet before that, and a gdb that has just come would take it for its
 * own. */
static bool more_follows(void)
{
    for (int i = 0; i < QUIET_POLLS; i++) {
        if (gdb_port_has_byte())
            return true;
        cpu_pause();
    }
    return false;
}

static bool begins_dialogue(const char *packet)
{
    static const char first[] = "qSupported";

    return strncmp(packet, first, sizeof(first) - 1) == 0;
}

size_t gdb_receive(char **text)
{
    for (;;) {
        bool dollar = dollar_seen;
        dollar_seen = false;
        if (!dollar && get_byte() != '$')
            continue;
        int n = rest_of_packet();
        if (n >= 0 && begins_dialogue(in))
            no_ack = false;
        if (!no_ack && more_follows())
            continue;
        if (!no_ack)
            put_byte(n < 0 ? '-' : '+');
        if (n >= 0) {
            *text = in;
            return n;
        }
    }
}

void gdb_no_ack(void)
{
    no_ack = true;
}

static void put_char(int c, void *arg)
{
    (void)arg;
    sum += c;
    put_byte(c);
}

void gdb_begin(void)
{
    put_byte('$');
    sum = 0;
}

void gdb_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintfmt(put_char, NULL, fmt, ap);
    va_end(ap);
}

void gdb_put_hex(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;

    for (size_t i = 0; i < n; i++) {
        put_char(digits[b[i] >> 4], NULL);
        put_char(digits[b[i] & 0xf], NULL);
    }
}

void gdb_put_binary(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool special = s[i] == '$' || s[i] == '#' || s[i] == ESCAPE || s[i] == '*';
        if (special)
            put_char(ESCAPE, NULL);
        put_char(special ? s[i] ^ ESCAPED : s[i], NULL);
    }
}

/* Acknowledgements are read over: the line is a socket or a good cable. */
void gdb_end(void)
{
    uint8_t s = sum;

    put_byte('#');
    put_byte(digits[s >> 4]);
    put_byte(digits[s & 0xf]);
}

void gdb_reply(const char *text)
{
    gdb_begin();
    gdb_printf("%s", text);
    gdb_end();
}

void gdb_error(int number)
{
    gdb_begin();
    gdb_printf("E%02x", number);
    gdb_end();
}

/* ---- Numbers ---- */

uint64_t gdb_number(const char **p)
{
    uint64_t n = 0;

    for (int d; (d = digit(**p)) >= 0; (*p)++)
        n = n << 4 | (unsigned)d;
    return n;
}

bool gdb_hex_bytes(const char *s, void *bytes, size_t n)
{
    uint8_t *b = bytes;

    for (size_t i = 0; i < n; i++) {
        int high = digit(s[2 * i]);
        int low = high < 0 ? -1 : digit(s[2 * i + 1]);
        if (low < 0)
            return false;
        b[i] = high << 4 | low;
    }
    return true;
}
