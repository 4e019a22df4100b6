/*
 * The serial port as gdb's line. lib/gdbpacket.c makes packets of the bytes.
 */
#include "gdb.h"

#define QUIET_MS 2 /* many bytes' time */

static struct {
    char raw[256]; /* from the port, not looked at yet */
    size_t have, at;
} rx;

static void send(const char *s, size_t n)
{
    sys_serial_write(s, n); /* a port that does not send is noticed by gdb */
}

static bool has_byte(void)
{
    if (rx.at == rx.have) {
        ssize_t n = sys_serial_read(rx.raw, sizeof(rx.raw));
        rx.at = 0;
        rx.have = n > 0 ? n : 0;
    }
    return rx.at < rx.have;
}

static bool more_follows(void)
{
    if (!has_byte())
        sys_sleep_msec(QUIET_MS);
    return has_byte();
}

void port_setup(void)
{
    static const struct GdbLine serial = { send, more_follows };

    gdb_use_line(&serial);
}

enum GdbInput port_next(void)
{
    enum GdbInput got = GDB_NOTHING;

    while ((got == GDB_NOTHING || got == GDB_BEGINS) && has_byte())
        got = gdb_take(rx.raw[rx.at++]);
    return got == GDB_BEGINS ? GDB_NOTHING : got;
}
