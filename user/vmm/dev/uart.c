/*
 * A 16550 at COM1, all registers, for guests that poll it (data sheet: "PC16550D Universal
 * Asynchronous Receiver/Transmitter with FIFOs"). The transmitter is always ready. No interrupt
 * line is connected, as a guest has no interrupt controller for it; the interrupt registers still
 * say what is pending.
 */
#include <user/vmm/monitor.h>
#include "uart.h"

#define FIFO_DEPTH 16

static struct {
    uint8_t ier, lcr, mcr, scr;
    uint8_t divisor[2]; /* DLL, DLM: kept, without effect */
    bool fifo_on;
    bool thr_empty_event; /* THR became empty; reading IIR or writing THR clears it */
    bool overrun;
    uint8_t rx[FIFO_DEPTH];
    unsigned rx_count;
    unsigned polls; /* reads of LSR since the last write to THR */
} uart = { .divisor = { 1, 0 } };

static unsigned rx_depth(void)
{
    return uart.fifo_on ? FIFO_DEPTH : 1;
}

static void rx_push(uint8_t c)
{
    if (uart.rx_count == rx_depth()) {
        uart.overrun = true;
        return;
    }
    uart.rx[uart.rx_count++] = c;
}

static uint8_t rx_pop(void)
{
    if (uart.rx_count == 0)
        return 0;
    uint8_t c = uart.rx[0];
    memmove(uart.rx, uart.rx + 1, --uart.rx_count);
    return c;
}

/* Move input from the console to the receiver. A loop back cuts the line. */
static void rx_fill(bool ask)
{
    int c;
    if (uart.mcr & MCR_LOOP)
        return;
    while (uart.rx_count < rx_depth() && (c = cons_next(ask && uart.rx_count == 0)) >= 0)
        rx_push(c);
}

static uint8_t read_rbr(void)
{
    if (uart.lcr & LCR_DLAB)
        return uart.divisor[0];
    rx_fill(true);
    return rx_pop();
}

static void write_thr(uint8_t v)
{
    if (uart.lcr & LCR_DLAB) {
        uart.divisor[0] = v;
        return;
    }
    uart.polls = 0;
    uart.thr_empty_event = true;
    if (uart.mcr & MCR_LOOP)
        rx_push(v);
    else
        cons_put((const char *)&v, 1);
}

static uint8_t read_ier(void)
{
    return uart.lcr & LCR_DLAB ? uart.divisor[1] : uart.ier;
}

static void write_ier(uint8_t v)
{
    if (uart.lcr & LCR_DLAB) {
        uart.divisor[1] = v;
        return;
    }
    if (!(uart.ier & IER_THRE) && (v & IER_THRE))
        uart.thr_empty_event = true;
    uart.ier = v & IER_ALL;
}

static uint8_t read_iir(void)
{
    uint8_t fifo = uart.fifo_on ? IIR_FIFO : 0;

    rx_fill(false);
    if ((uart.ier & IER_LINE) && uart.overrun)
        return fifo | IIR_LINE;
    if ((uart.ier & IER_RX) && uart.rx_count > 0)
        return fifo | IIR_RX;
    if ((uart.ier & IER_THRE) && uart.thr_empty_event) {
        uart.thr_empty_event = false;
        return fifo | IIR_THRE;
    }
    return fifo | IIR_NONE;
}

static void write_fcr(uint8_t v)
{
    bool on = v & FCR_ENABLE;
    if (on != uart.fifo_on || (v & FCR_CLEAR_RX))
        uart.rx_count = 0;
    uart.fifo_on = on;
}

static uint8_t read_lcr(void)
{
    return uart.lcr;
}

static void write_lcr(uint8_t v)
{
    uart.lcr = v;
}

static uint8_t read_mcr(void)
{
    return uart.mcr;
}

static void write_mcr(uint8_t v)
{
    uart.mcr = v & MCR_ALL;
}

/* Reading LSR again without having sent anything: the guest waits for input, so that it is time to
 * show an unfinished line and to ask for input. */
static uint8_t read_lsr(void)
{
    bool waits = ++uart.polls > 1;
    if (waits)
        cons_flush();
    rx_fill(waits);
    uint8_t v = LSR_THRE | LSR_TEMT | (uart.rx_count > 0 ? LSR_DR : 0);
    if (uart.overrun)
        v |= LSR_OE;
    uart.overrun = false;
    return v;
}

/* Data sheet "Modem Status Register": in loop back, the outputs of MCR appear as inputs. */
static uint8_t read_msr(void)
{
    if (!(uart.mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uart.mcr & MCR_DTR ? MSR_DSR : 0) | (uart.mcr & MCR_RTS ? MSR_CTS : 0) |
           (uart.mcr & MCR_OUT1 ? MSR_RI : 0) | (uart.mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static uint8_t read_scr(void)
{
    return uart.scr;
}

static void write_scr(uint8_t v)
{
    uart.scr = v;
}

static const struct {
    uint8_t (*read)(void);
    void (*write)(uint8_t v); /* NULL: read-only */
} registers[COM_NPORTS] = {
    [COM_DATA] = { read_rbr, write_thr }, [COM_IER] = { read_ier, write_ier },
    [COM_IIR] = { read_iir, write_fcr },  [COM_LCR] = { read_lcr, write_lcr },
    [COM_MCR] = { read_mcr, write_mcr },  [COM_LSR] = { read_lsr, NULL },
    [COM_MSR] = { read_msr, NULL },       [COM_SCR] = { read_scr, write_scr },
};

uint8_t uart_in(uint16_t port)
{
    return registers[port - COM1].read();
}

void uart_out(uint16_t port, uint8_t v)
{
    if (registers[port - COM1].write)
        registers[port - COM1].write(v);
}
