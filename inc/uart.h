/*
 * Registers of the 16550 ("PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs"), for
 * those who drive it (loader, kernel, test guests) and for the monitor, which plays it.
 */
#ifndef JOS_INC_UART_H
#define JOS_INC_UART_H

#define COM1       0x3f8
#define COM2       0x2f8
#define COM3       0x3e8 /* shares interrupt line 4 with COM1 */
#define COM_NPORTS 8

/* Offsets from COM1 and its like. The first two are the divisor while LCR_DLAB is set. */
#define COM_DATA 0 /* RBR, THR */
#define COM_DLL  0
#define COM_IER  1
#define COM_DLM  1
#define COM_IIR  2 /* when read */
#define COM_FCR  2 /* when written */
#define COM_LCR  3
#define COM_MCR  4
#define COM_LSR  5
#define COM_MSR  6
#define COM_SCR  7

#define IER_RX   0x01
#define IER_THRE 0x02 /* the transmit FIFO is empty, which it soon is */
#define IER_LINE 0x04
#define IER_ALL  0x0f

#define IIR_NONE 0x01
#define IIR_THRE 0x02
#define IIR_RX   0x04
#define IIR_LINE 0x06
#define IIR_FIFO 0xc0 /* both bits: the FIFOs work */

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR    0x06 /* both FIFOs */

#define LCR_8N1  0x03
#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* connects the interrupt line on a PC */
#define MCR_LOOP 0x10
#define MCR_ALL  0x1f

#define LSR_DR        0x01 /* a byte has come */
#define LSR_OE        0x02
#define LSR_THRE      0x20 /* the transmit FIFO is empty, */
#define LSR_TEMT      0x40 /* and so is the shift register */
#define LSR_NO_DEVICE 0xff

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI  0x40
#define MSR_DCD 0x80

#define DIVISOR_115200 1  /* baud */
#define UART_FIFO      16 /* bytes of each FIFO */

#endif
