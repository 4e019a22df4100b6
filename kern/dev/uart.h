/*
 * The 16550 or 8250 UART of a PC (National Semiconductor PC16550D data sheet, "Registers"), for the
 * console on COM1 and the port that user programs may have.
 */
#ifndef JOS_KERN_UART_H
#define JOS_KERN_UART_H

#include <inc/x86.h>

#define COM1 0x3f8
#define COM3 0x3e8 /* shares interrupt line 4 with COM1 */

/* Register offsets; the first two are the divisor while LCR_DLAB is set. */
#define UART_DATA 0
#define UART_DLL  0
#define UART_IER  1
#define UART_DLM  1
#define UART_IIR  2
#define UART_FCR  2
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5

#define IER_RX        0x01
#define IER_THRE      0x02 /* the transmit FIFO is empty, which it soon is */
#define IIR_FIFOS     0xc0 /* both bits: the FIFOs work */
#define FCR_ENABLE    0x01
#define FCR_CLEAR     0x06 /* both FIFOs */
#define LCR_8N1       0x03
#define LCR_DLAB      0x80
#define MCR_DTR       0x01
#define MCR_RTS       0x02
#define MCR_OUT2      0x08 /* connects the interrupt line on a PC */
#define LSR_DATA      0x01
#define LSR_THRE      0x20 /* transmit FIFO empty */
#define LSR_TEMT      0x40 /* and the shift register, too */
#define LSR_NO_DEVICE 0xff

#define DIVISOR_115200 1
#define FIFO_DEPTH     16

/* Set the UART at this port to 115200 baud, 8N1, without interrupts. Returns how many characters
 * its transmitter takes once LSR_THRE is set; 0: there is none. */
static inline uint32_t uart_init(uint16_t base)
{
    if (inb(base + UART_LSR) == LSR_NO_DEVICE)
        return 0;
    outb(base + UART_IER, 0);
    outb(base + UART_LCR, LCR_DLAB);
    outb(base + UART_DLL, DIVISOR_115200);
    outb(base + UART_DLM, 0);
    outb(base + UART_LCR, LCR_8N1);
    outb(base + UART_FCR, FCR_ENABLE | FCR_CLEAR);
    outb(base + UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    return (inb(base + UART_IIR) & IIR_FIFOS) == IIR_FIFOS ? FIFO_DEPTH : 1;
}

#endif
