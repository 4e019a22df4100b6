/*
 * uart: the registers of the 16550 at COM1 behave as its data sheet has it: divisor latch, scratch,
 * loop back with modem lines and FIFO, overrun, and what the interrupt identification says. With
 * the word "typed", it starts as Linux' driver does, and then prints the line that was typed
 * before.
 */
#include <inc/uart.h>
#include "rt.h"

const char guest_name[] = "uart";

static uint8_t in(int reg)
{
    return inb(COM1 + reg);
}

static void out(int reg, uint8_t v)
{
    outb(COM1 + reg, v);
}

/* Wait until everything is sent. Returns all LSR bits seen, since reading clears errors. */
static uint8_t drain(void)
{
    uint8_t seen = 0;
    while (!(seen & LSR_TEMT))
        seen |= in(COM_LSR);
    return seen;
}

static void try_latch(void)
{
    trying("the divisor latch and the scratch register");
    drain();
    uint8_t lcr = in(COM_LCR);
    out(COM_LCR, lcr | LCR_DLAB);
    uint8_t low = in(COM_DATA), high = in(COM_IER);
    out(COM_DATA, 3);
    out(COM_IER, 2);
    uint8_t new_low = in(COM_DATA), new_high = in(COM_IER);
    out(COM_DATA, low);
    out(COM_IER, high);
    out(COM_LCR, lcr);
    check(new_low == 3 && new_high == 2, "the divisor reads 0x%x%02x", new_high, new_low);
    check(in(COM_IER) == 0, "IER is 0x%x", in(COM_IER));
    out(COM_SCR, 0xa5);
    check(in(COM_SCR) == 0xa5, "SCR reads 0x%x", in(COM_SCR));
}

/* Send a byte into the loop and wait until it has gone round. */
static uint8_t loop_byte(uint8_t c)
{
    out(COM_DATA, c);
    return drain();
}

/* Nothing can be printed while the line is cut, so results are kept. */
static void try_loop(void)
{
    uint8_t lines[4], got[UART_FIFO], lsr = 0, later;
    unsigned n = 0;

    trying("loop back: modem lines, FIFO, overrun");
    drain();
    out(COM_IIR, FCR_ENABLE | FCR_CLEAR_RX);
    uint8_t mcr = in(COM_MCR);
    for (int i = 0; i < 4; i++) {
        out(COM_MCR, MCR_LOOP | 1 << i);
        lines[i] = in(COM_MSR)&0xf0;
    }
    for (int i = 0; i < UART_FIFO + 1; i++)
        lsr = loop_byte('A' + i);
    later = in(COM_LSR);
    while ((in(COM_LSR)&LSR_DR) && n < UART_FIFO)
        got[n++] = in(COM_DATA);
    uint8_t rest = in(COM_LSR);
    out(COM_MCR, mcr);

    check(lines[0] == MSR_DSR && lines[1] == MSR_CTS && lines[2] == MSR_RI && lines[3] == MSR_DCD,
          "modem lines 0x%x 0x%x 0x%x 0x%x", lines[0], lines[1], lines[2], lines[3]);
    check((lsr & LSR_DR) && (lsr & LSR_OE), "LSR 0x%x after 17 bytes", lsr);
    check(!(later & LSR_OE), "the overrun stays");
    check(n == UART_FIFO && !(rest & LSR_DR), "%u bytes in the FIFO", n);
    for (unsigned i = 0; i < n; i++)
        check(got[i] == 'A' + i, "byte %u is 0x%x", i, got[i]);
}

static void try_interrupt_id(void)
{
    uint8_t idle, empty, again, data;

    trying("interrupt identification");
    drain();
    uint8_t mcr = in(COM_MCR);
    idle = in(COM_IIR);
    out(COM_IER, IER_THRE);
    empty = in(COM_IIR);
    again = in(COM_IIR);
    out(COM_MCR, MCR_LOOP);
    out(COM_IER, IER_RX);
    out(COM_IIR, FCR_ENABLE | FCR_CLEAR_RX);
    loop_byte('x');
    data = in(COM_IIR);
    in(COM_DATA);
    out(COM_IER, 0);
    out(COM_MCR, mcr);

    check(idle == (IIR_FIFO | IIR_NONE), "IIR 0x%x without a cause", idle);
    check(empty == (IIR_FIFO | IIR_THRE), "IIR 0x%x with THR empty", empty);
    check(again == (IIR_FIFO | IIR_NONE), "IIR 0x%x when read again", again);
    check(data == (IIR_FIFO | IIR_RX), "IIR 0x%x with a byte received", data);
}

static void read_all(void)
{
    in(COM_LSR);
    in(COM_DATA);
    in(COM_IIR);
    in(COM_MSR);
}

/* Empties the FIFO more than once, reads what may be left, and turns it on in the end. */
static void start_driver(void)
{
    out(COM_IIR, FCR_ENABLE);
    out(COM_IIR, FCR_ENABLE | FCR_CLEAR_RX);
    out(COM_IIR, 0);
    read_all();
    out(COM_LCR, in(COM_LCR));
    out(COM_IER, IER_THRE);
    in(COM_LSR);
    in(COM_IIR);
    out(COM_IER, 0);
    read_all();
    out(COM_IER, IER_RX);
    out(COM_IIR, FCR_ENABLE);
}

static int print_line(void)
{
    char line[80];
    unsigned n = 0;

    start_driver();
    while (n < sizeof(line) - 1 && (n == 0 || line[n - 1] != '\n')) {
        while (!(in(COM_LSR)&LSR_DR))
            ;
        line[n++] = in(COM_DATA);
    }
    line[n] = '\0';
    out(COM_IER, 0);
    print("%s", line);
    return 0;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    out(COM_IER, 0);
    if (cmdline_has("typed"))
        return print_line();
    try_latch();
    try_loop();
    try_interrupt_id();
    return check_result();
}
