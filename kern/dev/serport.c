/*
 * The serial port COM3 as user programs have it: one of them at a time, bytes in and out. Input
 * comes by interrupt into a ring; output is polled, a little a system call. When its owner has
 * ended the port is free again, and what still comes is dropped.
 */
#include <inc/error.h>
#include <inc/trap.h>
#include <kern/cpu.h>
#include <kern/dev/pic.h>
#include <kern/dev/serport.h>
#include <kern/dev/uart.h>
#include <kern/env.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/trapentry.h>
#include <kern/uaccess.h>

#define RING_SIZE   4096 /* a power of two */
#define WRITE_CHUNK 64   /* bytes sent with interrupts off */
/* Reads of LSR, each about a microsecond on a real machine; 16 characters take 1.4 ms. */
#define MAX_POLLS 400000
/* Characters taken at once: a UART that always claims to have one must not hold the kernel. */
#define MAX_INPUT 512

envid_t serport_owner;

static struct {
    struct spinlock lock;
    uint32_t tx_depth;
    uint32_t head, tail; /* of the ring: written at head, read at tail; both only grow */
    char ring[RING_SIZE];
} port = { .lock = SPINLOCK_INIT("serial port") };

/* Does the env that opened the port still live? Nothing is done on its account when it ends. */
static bool is_owned(void)
{
    const struct Env *e = env_slot(serport_owner);

    return serport_owner != 0 && e->env_id == serport_owner && env_is_alive(e);
}

/* The lock is held. */
static void put(char c)
{
    port.ring[port.head % RING_SIZE] = c;
    WRITE_ONCE(port.head, port.head + 1);
}

/* Take what the UART has. The lock is held. */
static bool take_input(void)
{
    bool any = false;

    for (int i = 0; i < MAX_INPUT && (inb(COM3 + COM_LSR) & LSR_DR); i++) {
        char c = inb(COM3 + COM_DATA);
        if (port.head - port.tail < RING_SIZE)
            put(c);
        any = true;
    }
    return any;
}

bool serport_intr(void)
{
    envid_t owner = READ_ONCE(serport_owner);
    struct Env *e = env_slot(owner);

    if (owner == 0)
        return false;
    spin_lock(&port.lock);
    bool any = take_input();
    spin_unlock(&port.lock);
    env_lock(e); /* its next_event looks at the ring with it locked, then waits */
    if (any && e->env_id == owner && e->env_wait == WAIT_GUEST)
        sched_wake_at_once(e);
    env_unlock(e);
    return any;
}

/* Without the lock: whoever adds to the ring wakes the owner afterwards. */
bool serport_has_bytes(void)
{
    return READ_ONCE(port.head) != READ_ONCE(port.tail);
}

int64_t sys_serial_open(void)
{
    int r = 0;

    spin_lock(&port.lock);
    if (is_owned() && serport_owner != curenv->env_id)
        r = -E_BUSY;
    else if ((port.tx_depth = uart_init(COM3)) == 0)
        r = -E_NOT_SUPP;
    if (r == 0) {
        WRITE_ONCE(serport_owner, curenv->env_id);
        port.tail = port.head;
        outb(COM3 + COM_IER, IER_RX);
        pic_enable(IRQ_SERIAL);
    }
    spin_unlock(&port.lock);
    return r;
}

/* The lock is held, and the ring is not empty. */
static char get(void)
{
    char c = port.ring[port.tail % RING_SIZE];

    WRITE_ONCE(port.tail, port.tail + 1);
    return c;
}

int64_t sys_serial_read(uintptr_t buf, size_t size)
{
    char bytes[256];
    size_t n;

    spin_lock(&port.lock);
    bool own = serport_owner == curenv->env_id;
    if (own)
        take_input();
    size = MIN(size, sizeof(bytes));
    for (n = 0; own && n < size && port.tail != port.head; n++)
        bytes[n] = get();
    spin_unlock(&port.lock);
    if (!own)
        return -E_PERM;
    return copyout(buf, bytes, n) < 0 ? -E_FAULT : (int64_t)n;
}

/* Send; -E_IO if the UART is stuck. The lock is held. */
static int transmit(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int polls = 0;
        while (i % port.tx_depth == 0 && !(inb(COM3 + COM_LSR) & LSR_THRE)) {
            if (++polls == MAX_POLLS)
                return -E_IO;
            take_input();
            cpu_pause();
        }
        outb(COM3 + COM_DATA, s[i]);
    }
    return 0;
}

/* A long text is sent in parts, by executing the call again, so that interrupts come in between. */
int64_t sys_serial_write(uintptr_t buf, size_t len)
{
    char bytes[WRITE_CHUNK];
    size_t done = MIN(curenv->env_call_done, len), n = MIN(len - done, sizeof(bytes));

    curenv->env_call_done = 0;
    if (buf >= UTOP || len > UTOP - buf || copyin(bytes, buf + done, n) < 0)
        return -E_FAULT;
    spin_lock(&port.lock);
    int r = serport_owner == curenv->env_id ? transmit(bytes, n) : -E_PERM;
    spin_unlock(&port.lock);
    if (r < 0 || done + n == len)
        return r < 0 ? r : (int64_t)len;
    curenv->env_call_done = done + n;
    sched_restart();
    env_pop_tf(&curenv->env_tf);
}
