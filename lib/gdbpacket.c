/*
 * Packets of gdb's protocol, byte by byte as they come, and answers. Nothing here waits but the
 * line's more_follows. It is compiled into the kernel, too, where the gdb stub calls it before
 * gdb's breakpoints are out of memory: no breakpoint may be set here (kern/gdb/break.c).
 */
#include <inc/gdbpacket.h>
#include <inc/stdio.h>
#include <inc/string.h>

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define OUT_MAX    4096 /* twice a packet: every byte may need an escape */

static const struct GdbLine *line;
static bool acks = true;

static struct {
    enum {
        RX_IDLE,
        RX_BODY,
        RX_SUM1,
        RX_SUM2,
    } state;
    char packet[GDB_PACKET_MAX + 1];
    size_t len;
    uint8_t sum;
    int claimed; /* the first digit of the checksum, -1: it is none */
    bool too_long;
} rx;

static struct {
    char frame[OUT_MAX + 8];
    size_t len;       /* with the leading $ */
    bool unconfirmed; /* sent, and no + has come */
} tx;

static const char digits[] = "0123456789abcdef";

void gdb_use_line(const struct GdbLine *l)
{
    line = l;
}

void gdb_set_acks(bool on)
{
    acks = on;
}

char *gdb_packet(size_t *len)
{
    *len = rx.len;
    return rx.packet;
}

/* ---- Numbers ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' - 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool gdb_parse_hex(const char **s, uint64_t *value)
{
    const char *start = *s;

    *value = 0;
    for (int d; (d = hex_digit(**s)) >= 0; (*s)++)
        *value = *value << 4 | (unsigned)d;
    return *s != start;
}

bool gdb_parse_bytes(const char **s, void *bytes, size_t n)
{
    uint8_t *out = bytes;

    for (size_t i = 0; i < n; i++, *s += 2) {
        int high = hex_digit((*s)[0]), low = high < 0 ? -1 : hex_digit((*s)[1]);
        if (low < 0)
            return false;
        out[i] = high << 4 | low;
    }
    return true;
}

/* ---- Input ---- */

static enum GdbInput begin_packet(void)
{
    rx.state = RX_BODY;
    rx.len = 0;
    rx.sum = 0;
    rx.too_long = false;
    return GDB_BEGINS;
}

static void body_byte(char c)
{
    rx.sum += c;
    if (rx.len < GDB_PACKET_MAX)
        rx.packet[rx.len++] = c;
    else
        rx.too_long = true;
}

static void unescape(void)
{
    size_t n = 0;

    for (size_t i = 0; i < rx.len; i++)
        if (rx.packet[i] == ESCAPE && i + 1 < rx.len)
            rx.packet[n++] = rx.packet[++i] ^ ESCAPE_XOR;
        else
            rx.packet[n++] = rx.packet[i];
    rx.len = n;
    rx.packet[n] = '\0';
}

static bool begins_dialogue(void)
{
    static const char first[] = "qSupported";

    return rx.len >= sizeof(first) - 1 && memcmp(rx.packet, first, sizeof(first) - 1) == 0;
}

/* The checksum is complete. gdb waits for its acknowledgement before it says more; so if more
 * follows, nobody waits for the answer to this packet, and a gdb that has just come would take that
 * for its own. */
static bool end_packet(char digit)
{
    int low = hex_digit(digit);
    bool good = !rx.too_long && rx.claimed >= 0 && low >= 0 && rx.claimed * 16 + low == rx.sum;

    rx.state = RX_IDLE;
    if (good && begins_dialogue())
        acks = true;
    if (acks && line->more_follows())
        return false;
    if (acks)
        line->send(good ? "+" : "-", 1);
    if (good)
        unescape();
    return good;
}

/* Between packets: + and - are about the last answer, and what is noise is dropped. */
static enum GdbInput idle_byte(char c)
{
    if (c == '+')
        tx.unconfirmed = false;
    else if (c == '-' && acks && tx.unconfirmed)
        line->send(tx.frame, tx.len);
    return c == GDB_CTRL_C ? GDB_INTERRUPT : GDB_NOTHING;
}

enum GdbInput gdb_take(char c)
{
    if (c == '$')
        return begin_packet(); /* where one is not at its end, the rest was lost */
    switch (rx.state) {
    case RX_IDLE:
        return idle_byte(c);
    case RX_BODY:
        if (c == '#')
            rx.state = RX_SUM1;
        else
            body_byte(c);
        return GDB_NOTHING;
    case RX_SUM1:
        rx.claimed = hex_digit(c);
        rx.state = RX_SUM2;
        return GDB_NOTHING;
    case RX_SUM2:
        return end_packet(c) ? GDB_PACKET : GDB_NOTHING;
    }
    return GDB_NOTHING;
}

/* ---- Output ---- */

void gdb_begin(void)
{
    tx.frame[0] = '$';
    tx.len = 1;
}

static void put(int c, void *arg)
{
    (void)arg;
    if (tx.len <= OUT_MAX)
        tx.frame[tx.len++] = c;
}

void gdb_put_binary(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool special = s[i] == '$' || s[i] == '#' || s[i] == ESCAPE || s[i] == '*';
        if (special)
            put(ESCAPE, NULL);
        put(special ? s[i] ^ ESCAPE_XOR : s[i], NULL);
    }
}

static void put_byte_in_hex(uint8_t b)
{
    put(digits[b >> 4], NULL);
    put(digits[b & 0xf], NULL);
}

void gdb_put_hex(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;

    for (size_t i = 0; i < n; i++)
        put_byte_in_hex(b[i]);
}

void gdb_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintfmt(put, NULL, fmt, ap);
    va_end(ap);
}

void gdb_end(void)
{
    uint8_t sum = 0;

    for (size_t i = 1; i < tx.len; i++)
        sum += tx.frame[i];
    tx.frame[tx.len++] = '#';
    tx.frame[tx.len++] = digits[sum >> 4];
    tx.frame[tx.len++] = digits[sum & 0xf];
    tx.unconfirmed = true;
    line->send(tx.frame, tx.len);
}

void gdb_reply(const char *fmt, ...)
{
    va_list ap;

    gdb_begin();
    va_start(ap, fmt);
    vprintfmt(put, NULL, fmt, ap);
    va_end(ap);
    gdb_end();
}

void gdb_reply_nothing(void)
{
    gdb_begin();
    gdb_end();
}

void gdb_error(int number)
{
    gdb_reply("E%02x", number);
}
