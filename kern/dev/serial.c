/*
 * The serial line COM1, a 16550 or 8250 UART at 115200 baud, 8N1 (National Semiconductor PC16550D
 * data sheet, "Registers"). Output is polled, a FIFO's worth at a time; input comes by interrupt.
 */
#include <inc/trap.h>
#include <inc/x86.h>
#include <kern/dev/consdev.h>
#include <kern/dev/console.h>
#include <kern/dev/pic.h>
#include <kern/dev/serial.h>
#include <kern/dev/uart.h>

/* Reads of LSR, each about a microsecond on a real machine, before a UART counts as stuck; 16
 * characters take 1.4 ms. From then on it gets one look a character, until it moves again. */
#define MAX_POLLS 400000

/* Characters read at once: a UART that always claims to have one must not hold the kernel. */
#define MAX_INPUT 512

static bool intr_on;
static bool taken;               /* input was taken while writing, and its interrupt with it */
static int patience = MAX_POLLS; /* polls that the next wait may take */
static uint32_t tx_depth;        /* characters that fit once LSR_THRE is set */
static uint32_t tx_room;         /* of these, still free for certain */

static bool serial_init(void)
{
    tx_depth = uart_init(COM1);
    return tx_depth != 0;
}

/* Wait until all these LSR bits are set, or it is clear that they never will be. Input that comes
 * meanwhile is taken, since its FIFO is shorter than what we may be writing. */
static void wait_lsr(uint8_t bits)
{
    for (int i = 0; i < patience; i++) {
        uint8_t lsr = inb(COM1 + COM_LSR);
        if (lsr & LSR_DR) {
            cons_input(inb(COM1 + COM_DATA));
            taken = true;
        }
        if ((lsr & bits) == bits) {
            patience = MAX_POLLS;
            return;
        }
        cpu_pause();
    }
    patience = 1;
}

static void send(char c)
{
    if (tx_room == 0) {
        wait_lsr(LSR_THRE);
        tx_room = tx_depth;
    }
    outb(COM1 + COM_DATA, c);
    tx_room--;
}

static void serial_write(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\n')
            send('\r');
        send(s[i]);
    }
    /* Whoever waits for the input is woken from the interrupt handler: ask for an interrupt. */
    if (taken && intr_on)
        outb(COM1 + COM_IER, IER_RX | IER_THRE);
}

static void serial_poll(bool force)
{
    (void)force;
    if (taken && intr_on)
        outb(COM1 + COM_IER, IER_RX);
    taken = false;
    for (int i = 0; i < MAX_INPUT && (inb(COM1 + COM_LSR) & LSR_DR); i++)
        cons_input(inb(COM1 + COM_DATA));
}

static void serial_intr_enable(void)
{
    intr_on = true;
    outb(COM1 + COM_IER, IER_RX);
    pic_enable(IRQ_SERIAL);
}

static void serial_flush(void)
{
    wait_lsr(LSR_THRE | LSR_TEMT);
}

const struct ConsDev serial_dev = {
    .name = "serial line COM1",
    .init = serial_init,
    .write = serial_write,
    .poll = serial_poll,
    .intr_enable = serial_intr_enable,
    .flush = serial_flush,
};
