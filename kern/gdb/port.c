/*
 * The gdb stub's line, COM2. Everything is polled; only a kernel that runs lets the line interrupt
 * it. lib/gdbpacket.c makes packets of the bytes.
 */
#include <inc/gdbpacket.h>
#include <inc/x86.h>
#include <kern/dev/pic.h>
#include <kern/dev/uart.h>
#include <kern/flush.h>
#include <kern/gdb/port.h>

#define MAX_POLLS   400000
#define QUIET_POLLS 2000 /* several bytes' time */

static uint32_t tx_depth, tx_room;

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

static void send(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_byte(s[i]);
}

static bool more_follows(void)
{
    for (int i = 0; i < QUIET_POLLS; i++) {
        if (gdb_port_has_byte())
            return true;
        cpu_pause();
    }
    return false;
}

/* ---- The line ---- */

bool gdb_port_init(void)
{
    static const struct GdbLine com2 = { send, more_follows };

    gdb_use_line(&com2);
    tx_depth = uart_init(COM2);
    return tx_depth != 0;
}

void gdb_port_intr_enable(void)
{
    outb(COM2 + COM_IER, IER_RX);
    pic_enable(IRQ_SERIAL2);
}

int gdb_port_look(void)
{
    enum GdbInput in = GDB_NOTHING;

    while (in != GDB_INTERRUPT && in != GDB_BEGINS && gdb_port_has_byte())
        in = gdb_take(inb(COM2 + COM_DATA));
    if (in == GDB_BEGINS)
        gdb_set_acks(true); /* whoever opens a dialogue begins with them */
    return in == GDB_INTERRUPT ? GDB_CTRL_C : in == GDB_BEGINS ? '$' : 0;
}

size_t gdb_receive(char **text)
{
    size_t n;

    while (gdb_take(get_byte()) != GDB_PACKET)
        ;
    *text = gdb_packet(&n);
    return n;
}
