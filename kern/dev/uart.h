/*
 * Starting a 16550 or 8250 UART: for the console on COM1, the gdb stub on COM2, and the port that
 * user programs may have.
 */
#ifndef JOS_KERN_DEV_UART_H
#define JOS_KERN_DEV_UART_H

#include <inc/uart.h>
#include <inc/x86.h>

/* Set the UART at this port to 115200 baud, 8N1, without interrupts. Returns how many characters
 * its transmitter takes once LSR_THRE is set; 0: there is none. */
static inline uint32_t uart_init(uint16_t base)
{
    if (inb(base + COM_LSR) == LSR_NO_DEVICE)
        return 0;
    outb(base + COM_IER, 0);
    outb(base + COM_LCR, LCR_DLAB);
    outb(base + COM_DLL, DIVISOR_115200);
    outb(base + COM_DLM, 0);
    outb(base + COM_LCR, LCR_8N1);
    outb(base + COM_FCR, FCR_ENABLE | FCR_CLEAR);
    outb(base + COM_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    return (inb(base + COM_IIR) & IIR_FIFO) == IIR_FIFO ? UART_FIFO : 1;
}

#endif
