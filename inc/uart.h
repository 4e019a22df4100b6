/*
 * Registers of the 16550 ("PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs"), used
 * by the monitor that plays it and by the test guests that drive it.
 */
#ifndef JOS_INC_UART_H
#define JOS_INC_UART_H

#define COM1       0x3f8
#define COM_NPORTS 8

/* Offsets from COM1 */
#define COM_DATA 0 /* RBR, THR; DLL with LCR_DLAB */
#define COM_IER  1 /* IER; DLM with LCR_DLAB */
#define COM_IIR  2 /* IIR; FCR when written */
#define COM_LCR  3
#define COM_MCR  4
#define COM_LSR  5
#define COM_MSR  6
#define COM_SCR  7

#define IER_RX   0x01
#define IER_THRE 0x02
#define IER_LINE 0x04
#define IER_ALL  0x0f

#define IIR_NONE 0x01
#define IIR_THRE 0x02
#define IIR_RX   0x04
#define IIR_LINE 0x06
#define IIR_FIFO 0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02

#define LCR_8N1  0x03
#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL  0x1f

#define LSR_DR   0x01
#define LSR_OE   0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI  0x40
#define MSR_DCD 0x80

#endif
