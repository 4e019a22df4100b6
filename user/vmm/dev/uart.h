/*
 * A 16550, all registers.
 */
#ifndef JOS_USER_VMM_DEV_UART_H
#define JOS_USER_VMM_DEV_UART_H

#include <inc/uart.h>
#include <inc/vmm.h>
#include <user/vmm/dev/bus.h>

/* The other end of its line. */
struct UartPeer {
    /* The next byte for the UART, -1: none. With ask, the guest waits for it. */
    int (*next)(bool ask);
    void (*put)(const char *s, size_t n);
    /* The guest looks whether something has come: show what it has sent. */
    void (*flush)(void);
};

/* What a save keeps. */
struct UartState {
    uint8_t ier, lcr, mcr, scr;
    uint8_t divisor[2]; /* DLL, DLM: kept, without effect */
    uint8_t fifo_on;
    uint8_t thr_empty_event; /* THR became empty; reading IIR or writing THR clears it */
    uint8_t overrun;
    uint8_t rx_seen; /* the guest has read from LSR or IIR that there is something in rx */
    uint8_t rx_count;
    uint8_t rx[UART_FIFO];
};

struct Uart {
    struct Device device;
    const struct UartPeer *peer;
    struct IrqLine irq;
    struct UartState s;
    uint16_t port;
    struct GuestSerial *shared; /* output that is collected for it; NULL: none is */
    bool irq_level;
    unsigned polls; /* reads of LSR and IIR since the last write */
};

/* From now on this collects its output, for as long as it lives; port: that of its first register.
 */
void uart_share(struct Uart *u, struct GuestSerial *shared, uint16_t port);
/* Send what was collected. */
void uart_output(struct Uart *u);
/* The other end may have something to send: the guest gets an interrupt if it has enabled that. */
void uart_input(struct Uart *u);
/* A fresh one, with its interrupt line, at COM_NPORTS ports from `port` on. 0 or -E_*. */
int uart_add(struct Uart *u, struct BusSpace *ports, uint16_t port, const struct UartPeer *peer,
             struct IrqLine irq);

#endif
