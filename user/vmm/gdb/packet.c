/*
 * Packets of gdb's protocol on the serial port: $ contents # checksum, acknowledged by + or asked
 * for again by -.
 */
#include "gdb.h"

#define CTRL_C     0x03
#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define OUT_MAX    4096
#define QUIET_MS   2 /* many bytes' time */

static struct {
    char raw[256]; /* from the port, not looked at yet */
    size_t have, at;
    enum {
        RX_IDLE,
        RX_BODY,
        RX_SUM1,
        RX_SUM2
    } state;
    char packet[GDB_PACKET_MAX + 1];
    size_t len;
    uint8_t sum;
    int claimed; /* the first digit of the checksum, -1: it is none */
    bool too_long;
} rx;

static struct {
    char frame[OUT_MAX + 8];
    size_t len; /* with the leading $ */
    bool confirmed;
} tx = { .confirmed = true };

static bool acks = true;

void gdb_set_acks(bool on)
{
    acks = on;
}

char *gdb_packet(size_t *len)
{
    *len = rx.len;
    return rx.packet;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool parse_hex(const char **s, uint64_t *value)
{
    const char *start = *s;
    *value = 0;
    for (; hex_digit(**s) >= 0; (*s)++)
        *value = *value << 4 | (uint64_t)hex_digit(**s);
    return *s != start;
}

bool parse_bytes(const char **s, void *bytes, size_t n)
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

static void send(const char *s, size_t n)
{
    sys_serial_write(s, n); /* a port that does not send is noticed by gdb */
}

/* ---- Input ---- */

static bool has_byte(void)
{
    if (rx.at == rx.have) {
        ssize_t n = sys_serial_read(rx.raw, sizeof(rx.raw));
        rx.at = 0;
        rx.have = n > 0 ? n : 0;
    }
    return rx.at < rx.have;
}

/* Does more come in right now? gdb waits for its acknowledgement before it says more. So nobody
 * waits for the answer to a packet before that, and a gdb that has just come would take it for its
 * own. */
static bool more_follows(void)
{
    if (!has_byte())
        sys_sleep_msec(QUIET_MS);
    return has_byte();
}

/* The next byte from the port, -1: none now. */
static int next_byte(void)
{
    return has_byte() ? (uint8_t)rx.raw[rx.at++] : -1;
}

static void begin_packet(void)
{
    rx.state = RX_BODY;
    rx.len = 0;
    rx.sum = 0;
    rx.too_long = false;
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

/* The checksum is complete. */
static bool end_packet(char digit)
{
    int low = hex_digit(digit);
    bool good = !rx.too_long && rx.claimed >= 0 && low >= 0 && rx.claimed * 16 + low == rx.sum;
    rx.state = RX_IDLE;
    if (good && begins_dialogue())
        acks = true;
    if (acks && more_follows())
        return false;
    if (acks)
        send(good ? "+" : "-", 1);
    if (good)
        unescape();
    return good;
}

/* Between packets: + and - are about the last answer, and what is noise is dropped. */
static enum GdbInput idle_byte(char c)
{
    if (c == '+')
        tx.confirmed = true;
    else if (c == '-' && acks && !tx.confirmed)
        send(tx.frame, tx.len);
    return c == CTRL_C ? GDB_INTERRUPT : GDB_NOTHING;
}

static enum GdbInput take_byte(char c)
{
    if (c == '$') {
        begin_packet(); /* where one is not at its end, that was lost */
        return GDB_NOTHING;
    }
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

enum GdbInput gdb_next(void)
{
    enum GdbInput got = GDB_NOTHING;
    int c;
    while (got == GDB_NOTHING && (c = next_byte()) >= 0)
        got = take_byte(c);
    return got;
}

/* ---- Output ---- */

void reply_begin(void)
{
    tx.frame[0] = '$';
    tx.len = 1;
}

/* What does not fit is cut: all answers are bounded by what was asked for. */
static void put(char c)
{
    if (tx.len <= OUT_MAX)
        tx.frame[tx.len++] = c;
}

void reply_raw(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool special = strchr("#$}*", bytes[i]) && bytes[i];
        if (special)
            put(ESCAPE);
        put(special ? bytes[i] ^ ESCAPE_XOR : bytes[i]);
    }
}

void reply_hex(const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        put(digits[b[i] >> 4]);
        put(digits[b[i] & 0xf]);
    }
}

static void put_formatted(const char *fmt, va_list ap)
{
    char text[128];
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    for (int i = 0; i < n; i++)
        put(text[i]);
}

void reply_text(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_formatted(fmt, ap);
    va_end(ap);
}

void reply_send(void)
{
    uint8_t sum = 0;
    for (size_t i = 1; i < tx.len; i++)
        sum += tx.frame[i];
    tx.frame[tx.len++] = '#';
    tx.len += snprintf(tx.frame + tx.len, 3, "%02x", sum);
    tx.confirmed = false;
    send(tx.frame, tx.len);
}

void reply(const char *fmt, ...)
{
    va_list ap;
    reply_begin();
    va_start(ap, fmt);
    put_formatted(fmt, ap);
    va_end(ap);
    reply_send();
}

void reply_nothing(void)
{
    reply_begin();
    reply_send();
}

void reply_error(int number)
{
    reply("E%02x", number);
}
