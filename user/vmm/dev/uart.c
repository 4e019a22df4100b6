/*
 * A 16550, all registers, for guests that poll it (data sheet: "PC16550D Universal Asynchronous
 * Receiver/Transmitter with FIFOs"). The transmitter is always ready. The interrupt registers say
 * what is pending, and so does the interrupt line, if one is connected.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/uart.h>

#define HANDLER_READS 8 /* of LSR and IIR, by a guest that does not wait for input */

static unsigned rx_depth(const struct Uart *u)
{
    return u->s.fifo_on ? UART_FIFO : 1;
}

static void rx_push(struct Uart *u, uint8_t c)
{
    if (u->s.rx_count >= rx_depth(u)) {
        u->s.overrun = true;
        return;
    }
    u->s.rx[u->s.rx_count++] = c;
}

static uint8_t rx_pop(struct Uart *u)
{
    if (u->s.rx_count == 0)
        return 0;
    uint8_t c = u->s.rx[0];
    memmove(u->s.rx, u->s.rx + 1, --u->s.rx_count);
    u->s.rx_seen &= u->s.rx_count > 0;
    return c;
}

/* Drivers empty the FIFO when they start. What the guest does not know of yet stays, as if it came
 * after that, so that what was typed ahead is not lost. */
static void rx_clear(struct Uart *u)
{
    if (u->s.rx_seen)
        u->s.rx_count = 0;
    u->s.rx_seen = false;
}

/* Move input from the console to the receiver. A loop back cuts the line. */
static void rx_fill(struct Uart *u, bool ask)
{
    int c;
    if (u->s.mcr & MCR_LOOP)
        return;
    while (u->s.rx_count < rx_depth(u) && (c = u->peer->next(ask && u->s.rx_count == 0)) >= 0)
        rx_push(u, c);
}

/* Does an interrupt tell the guest of input? A PC's board lets it through with OUT2. */
static bool listens(const struct Uart *u)
{
    return (u->s.ier & IER_RX) && (u->s.mcr & MCR_OUT2);
}

/* It has begun to listen: show what it has sent, and ask for input. */
static void rx_begin(struct Uart *u)
{
    u->peer->flush();
    rx_fill(u, true);
}

static uint8_t read_rbr(struct Uart *u)
{
    if (u->s.lcr & LCR_DLAB)
        return u->s.divisor[0];
    if (u->s.rx_count == 0) /* a driver that starts: nothing has come as far as it knows */
        return 0;
    uint8_t c = rx_pop(u);
    if (u->s.rx_count == 0)
        rx_fill(u, listens(u));
    return c;
}

static void loop_back(struct Uart *u, uint8_t v)
{
    rx_push(u, v);
    u->s.rx_seen = true; /* it knows what it has sent */
}

static void write_thr(struct Uart *u, uint8_t v)
{
    if (u->s.lcr & LCR_DLAB) {
        u->s.divisor[0] = v;
        return;
    }
    u->s.thr_empty_event = true;
    if (u->s.mcr & MCR_LOOP)
        loop_back(u, v);
    else
        u->peer->put((const char *)&v, 1);
}

static uint8_t read_ier(struct Uart *u)
{
    return u->s.lcr & LCR_DLAB ? u->s.divisor[1] : u->s.ier;
}

static void write_ier(struct Uart *u, uint8_t v)
{
    if (u->s.lcr & LCR_DLAB) {
        u->s.divisor[1] = v;
        return;
    }
    if (!(u->s.ier & IER_THRE) && (v & IER_THRE))
        u->s.thr_empty_event = true;
    if ((u->s.ier & IER_THRE) && !(v & IER_THRE)) /* it has nothing more to send */
        u->peer->flush();
    bool before = listens(u);
    u->s.ier = v & IER_ALL;
    if (!before && listens(u))
        rx_begin(u);
}

/* What is pending among what IER allows, the most urgent first. */
static uint8_t pending(const struct Uart *u)
{
    if ((u->s.ier & IER_LINE) && u->s.overrun)
        return IIR_LINE;
    if ((u->s.ier & IER_RX) && u->s.rx_count > 0)
        return IIR_RX;
    if ((u->s.ier & IER_THRE) && u->s.thr_empty_event)
        return IIR_THRE;
    return IIR_NONE;
}

/* Reading LSR or IIR again and again without having written anything: the guest waits for input, so
 * that it is time to show an unfinished line and to ask for input. An interrupt handler reads them
 * some times, too, before it goes on sending, and so does a driver that starts, which drops what
 * there is: without interrupts for it, input stays where it is until the guest surely waits. */
static void rx_look(struct Uart *u)
{
    bool waits = ++u->polls > HANDLER_READS;
    if (waits || (u->polls > 1 && !(u->s.ier & IER_THRE)))
        u->peer->flush();
    if (waits || listens(u))
        rx_fill(u, waits);
}

static uint8_t read_iir(struct Uart *u)
{
    rx_look(u);
    uint8_t iir = pending(u);
    if (iir == IIR_THRE)
        u->s.thr_empty_event = false;
    if (iir == IIR_RX)
        u->s.rx_seen = true;
    return (u->s.fifo_on ? IIR_FIFO : 0) | iir;
}

static void write_fcr(struct Uart *u, uint8_t v)
{
    bool on = v & FCR_ENABLE;
    if (on != u->s.fifo_on || (v & FCR_CLEAR_RX))
        rx_clear(u);
    u->s.fifo_on = on;
}

static uint8_t read_lcr(struct Uart *u)
{
    return u->s.lcr;
}

static void write_lcr(struct Uart *u, uint8_t v)
{
    u->s.lcr = v;
}

static uint8_t read_mcr(struct Uart *u)
{
    return u->s.mcr;
}

static void write_mcr(struct Uart *u, uint8_t v)
{
    bool before = listens(u);
    u->s.mcr = v & MCR_ALL;
    if (!before && listens(u))
        rx_begin(u);
}

static uint8_t line_status(const struct Uart *u)
{
    return LSR_THRE | LSR_TEMT | (u->s.rx_count > 0 ? LSR_DR : 0) | (u->s.overrun ? LSR_OE : 0);
}

static uint8_t read_lsr(struct Uart *u)
{
    rx_look(u);
    uint8_t v = line_status(u);
    u->s.overrun = false;
    u->s.rx_seen = u->s.rx_count > 0;
    return v;
}

/* Data sheet "Modem Status Register": in loop back, the outputs of MCR appear as inputs. */
static uint8_t read_msr(struct Uart *u)
{
    if (!(u->s.mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (u->s.mcr & MCR_DTR ? MSR_DSR : 0) | (u->s.mcr & MCR_RTS ? MSR_CTS : 0) |
           (u->s.mcr & MCR_OUT1 ? MSR_RI : 0) | (u->s.mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static uint8_t read_scr(struct Uart *u)
{
    return u->s.scr;
}

static void write_scr(struct Uart *u, uint8_t v)
{
    u->s.scr = v;
}

static const struct {
    uint8_t (*read)(struct Uart *u);
    void (*write)(struct Uart *u, uint8_t v); /* NULL: read-only */
} registers[COM_NPORTS] = {
    [COM_DATA] = { read_rbr, write_thr }, [COM_IER] = { read_ier, write_ier },
    [COM_IIR] = { read_iir, write_fcr },  [COM_LCR] = { read_lcr, write_lcr },
    [COM_MCR] = { read_mcr, write_mcr },  [COM_LSR] = { read_lsr, NULL },
    [COM_MSR] = { read_msr, NULL },       [COM_SCR] = { read_scr, write_scr },
};

/* Any access may change what is pending. */
static void drive_irq(struct Uart *u)
{
    if (u->s.ier != 0 || u->irq_level) {
        u->irq_level = pending(u) != IIR_NONE && (u->s.mcr & MCR_OUT2) && !(u->s.mcr & MCR_LOOP);
        irq_set(&u->irq, u->irq_level);
    }
}

/* ---- Output that was collected ---- */

/* Whoever collects it knows just the data register, and a line status without errors. */
static void publish(struct Uart *u)
{
    if (!u->shared)
        return;
    u->shared->lsr = line_status(u);
    bool plain = !(u->s.lcr & LCR_DLAB) && !(u->s.mcr & MCR_LOOP) && !u->s.overrun;
    u->shared->port = plain ? u->port : GUEST_NO_SERIAL;
}

/* It was written before the access that is about to be served, and while there was no loop. */
static void send_collected(struct Uart *u, uint32_t head)
{
    struct GuestSerial *s = u->shared;
    uint32_t tail = s->tail;
    while (tail != head) {
        uint32_t at = tail % GUEST_SERIAL_RING, n = MIN(head - tail, GUEST_SERIAL_RING - at);
        u->peer->put((const char *)&s->ring[at], n);
        tail += n;
        __atomic_store_n(&s->tail, tail, __ATOMIC_RELEASE);
    }
    u->polls = 0;
    u->s.thr_empty_event = true;
}

static inline void take_output(struct Uart *u)
{
    if (!u->shared)
        return;
    uint32_t head = __atomic_load_n(&u->shared->head, __ATOMIC_ACQUIRE);
    if (head != u->shared->tail)
        send_collected(u, head);
}

void uart_output(struct Uart *u)
{
    take_output(u);
    drive_irq(u);
}

void uart_share(struct Uart *u, struct GuestSerial *shared, uint16_t port)
{
    u->shared = shared;
    u->port = port;
    shared->tail = shared->head;
    publish(u);
}

void uart_input(struct Uart *u)
{
    take_output(u);
    if (listens(u))
        rx_fill(u, false);
    publish(u);
    drive_irq(u);
}

static uint64_t uart_read(struct Device *d, uint64_t offset, unsigned size)
{
    struct Uart *u = (struct Uart *)d;
    (void)size;
    take_output(u);
    uint8_t v = registers[offset].read(u);
    publish(u);
    drive_irq(u);
    return v;
}

static void uart_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct Uart *u = (struct Uart *)d;
    (void)size;
    take_output(u);
    u->polls = 0;
    if (registers[offset].write)
        registers[offset].write(u, value);
    publish(u);
    drive_irq(u);
}

static void uart_save(const struct Device *d, void *state)
{
    memcpy(state, &((const struct Uart *)d)->s, sizeof(struct UartState));
}

static int uart_load(struct Device *d, const void *state)
{
    struct Uart *u = (struct Uart *)d;
    struct UartState s;
    memcpy(&s, state, sizeof(s));
    if (s.rx_count > UART_FIFO || s.fifo_on > 1 || s.thr_empty_event > 1 || s.overrun > 1 ||
        s.rx_seen > (s.rx_count > 0) || (s.ier & ~IER_ALL) || (s.mcr & ~MCR_ALL))
        return -E_INVAL;
    u->s = s;
    u->polls = 0;
    publish(u);
    drive_irq(u);
    return 0;
}

static const struct DeviceKind uart_kind = {
    .name = "uart",
    .bytes = true,
    .read = uart_read,
    .write = uart_write,
    .save = uart_save,
    .load = uart_load,
    .version = 2,
    .size = sizeof(struct UartState),
};

int uart_add(struct Uart *u, struct BusSpace *ports, uint16_t port, const struct UartPeer *peer,
             struct IrqLine irq)
{
    *u = (struct Uart){ .device.kind = &uart_kind, .peer = peer, .irq = irq, .s.divisor = { 1 } };
    return bus_add(ports, port, COM_NPORTS, &u->device, 0);
}
