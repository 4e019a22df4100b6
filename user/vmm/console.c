/*
 * The guest's console as the monitor sees it: a ring of input that waits for the guest, and output
 * that leaves in lines, since every write is a system call. attach.c knows whether the host's
 * console belongs to this guest now; only then is it touched. Input comes from it when it is fd 0.
 * Otherwise input comes from that file or pipe, read when the guest asks; once it has given
 * something, the console is listened to as well, and goes on after its end.
 */
#include <user/vmm/attach.h>
#include <user/vmm/console.h>
#include <user/vmm/run.h>

#define CTRL_RBRACKET 0x1d /* gives the console back */
#define RING_SIZE     1024 /* a power of two */
#define TEXT_SIZE     VMX_CONS_MAX

static struct {
    char buf[RING_SIZE];
    uint32_t head, tail; /* written at head, read at tail; both only grow */
} ring;

static struct {
    char buf[TEXT_SIZE];
    size_t used;
    bool mid_line; /* the guest's output does not end with a newline */
} text;

#define PIPE_PATIENCE_MS 500

static bool wanted; /* console input is an event for the monitor */
static bool from_console;
static bool file_ended; /* fd 0 is a file or pipe that has no more */
static bool file_given; /* it had something */
static bool to_console; /* output is for the console, and not for a file or pipe that is fd 1 */

void cons_setup(void)
{
    from_console = iscons(0);
    to_console = iscons(1);
}

/*
 * The shell gives a background job a pipe without a writer as fd 0. While the shell, on another CPU
 * or in the run queue, still closes its own ends, the pipe looks open for a moment; so an empty
 * pipe gets some time to show its end, or a first byte.
 */
bool cons_in_background(void)
{
    struct Stat st;

    if (fstat(0, &st) < 0)
        return true;
    for (int ms = 0; !iscons(0) && st.st_size == 0 && ms < PIPE_PATIENCE_MS; ms += 5) {
        if (pipe_at_end(0))
            return true;
        sys_sleep_msec(5);
        fstat(0, &st);
    }
    return false;
}

void cons_look(void)
{
    wanted = attached() && (from_console || file_given || attached_on_request());
}

bool cons_wanted(void)
{
    return wanted;
}

bool cons_pending(void)
{
    return ring.head != ring.tail;
}

/* When the ring is full, what comes is dropped, as an overrun serial port does it. */
static void ring_put(char c)
{
    if (ring.head - ring.tail < RING_SIZE)
        ring.buf[ring.head++ % RING_SIZE] = c;
}

bool cons_take(void)
{
    int c;
    while ((c = sys_cgetc(false)) > 0) {
        if (c == CTRL_RBRACKET)
            return false;
        ring_put(c);
    }
    return true;
}

/* Read on in fd 0, which may sleep. */
static void refill(void)
{
    char buf[128];

    ssize_t n = read(0, buf, sizeof(buf));
    if (n <= 0) {
        file_ended = true;
        from_console = file_given;
        return;
    }
    file_given = true;
    cons_look();
    for (ssize_t i = 0; i < n; i++)
        ring_put(buf[i]);
}

int cons_next(bool ask)
{
    if (ask && !from_console && !file_ended && !cons_pending())
        refill();
    return cons_pending() ? (uint8_t)ring.buf[ring.tail++ % RING_SIZE] : -1;
}

size_t cons_read(char *buf, size_t n)
{
    size_t got = 0;
    int c;
    while (got < n && (c = cons_next(true)) >= 0)
        buf[got++] = c;
    return got;
}

void cons_flush(void)
{
    if (text.used == 0)
        return;
    if (!to_console) {
        ssize_t r = write(1, text.buf, text.used);
        if (r < 0)
            end_guest(1, "its output cannot be written: %s", strerror(r));
    }
    attach_output(text.buf, text.used, to_console);
    text.used = 0;
}

/* n > 0 bytes of a line, or its end. */
static void put(const char *s, size_t n)
{
    text.mid_line = s[n - 1] != '\n';
    while (n > 0) {
        size_t now = MIN(n, sizeof(text.buf) - text.used);
        memcpy(text.buf + text.used, s, now);
        text.used += now;
        s += now;
        n -= now;
        if (text.used == sizeof(text.buf))
            cons_flush();
    }
}

/* The host's console adds its own carriage return to a newline. */
static void end_line(void)
{
    if (text.used > 0 && text.buf[text.used - 1] == '\r')
        text.used--;
    put("\n", 1);
}

void cons_put(const char *s, size_t n)
{
    const char *end = s + n, *newline;
    bool lines = false;
    for (; (newline = memchr(s, '\n', end - s)); s = newline + 1) {
        lines = true;
        if (newline > s)
            put(s, newline - s);
        end_line();
    }
    if (end > s)
        put(s, end - s);
    if (lines)
        cons_flush();
}

static enum ConsDevice writer, keyboard;

void cons_begin(void)
{
    writer = keyboard = CONS_COM1;
}

void cons_put_by(enum ConsDevice d, const char *s, size_t n)
{
    writer = d;
    cons_put(s, n);
}

int cons_next_for(enum ConsDevice d, bool ask)
{
    if (text.mid_line)
        keyboard = writer;
    return keyboard == d ? cons_next(ask) : -1;
}

void say(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    cons_put(line, strlen(line));
    cons_flush();
}

bool cons_mid_line(void)
{
    return text.mid_line;
}

void cons_fresh_line(void)
{
    if (text.mid_line)
        put("\n", 1);
    cons_flush();
}
