/*
 * The console in front of its devices: output goes to all that are there, input from all of them
 * ends up in one ring. hOS has the serial line, the screen and the keyboard; gOS has the hypercall
 * console or, with the word `virtio`, virtio-console.
 */
#include <inc/once.h>
#include <inc/stdio.h>
#include <kern/cmdline.h>
#include <kern/dev/consdev.h>
#include <kern/dev/console.h>
#include <kern/dev/hvcons.h>
#include <kern/dev/kbd.h>
#include <kern/dev/serial.h>
#include <kern/dev/vcons.h>
#include <kern/dev/vga.h>
#include <kern/platform.h>
#include <kern/spinlock.h>

#define RING_SIZE 512
#define BREAK_KEY 0x1c /* Ctrl-\ */
#define INTR_KEY  0x03 /* Ctrl-C */

static const struct ConsDev *const machine_devs[] = { &serial_dev, &vga_dev, &kbd_dev };
static const struct ConsDev *const guest_devs[] = { &vcons_dev, &hv_dev }; /* the first one */

/* Protects the ring, the devices and everything below. */
static struct spinlock cons_lock = SPINLOCK_INIT("console");
static const struct ConsDev *devs[ARRAY_SIZE(machine_devs)]; /* those that are there */
static size_t ndevs;
static bool panic_mode;
static bool intr_enabled;  /* devices tell by interrupt when they have input */
static bool break_enabled; /* command-line word `kdb` */
static bool break_seen, intr_seen;
static bool kernel_reads; /* the kernel itself waits for a key: none is an interrupt */
static bool typed_at;
/* Set before devices interrupt: */
static void (*on_news)(void), (*on_stop)(void), (*on_intr)(void);
static bool (*intr_wanted)(void);

static struct {
    char buf[RING_SIZE];
    uint32_t rpos, wpos; /* count for ever; the index is modulo RING_SIZE */
    uint32_t announced;  /* wpos when waiting envs were last woken */
} ring;

static void lock_console(void)
{
    if (!panic_mode)
        spin_lock(&cons_lock);
}

static void unlock_console(void)
{
    if (!panic_mode)
        spin_unlock(&cons_lock);
}

void cons_init(void)
{
    const struct ConsDev *const *all = is_guest ? guest_devs : machine_devs;
    size_t n = is_guest ? ARRAY_SIZE(guest_devs) : ARRAY_SIZE(machine_devs);

    break_enabled = cmdline_word("kdb", NULL, 0);
    for (size_t i = 0; i < n; i++)
        if (all[i]->init() && (!is_guest || ndevs == 0))
            devs[ndevs++] = all[i];
}

void cons_intr_enable(void)
{
    lock_console();
    for (size_t i = 0; i < ndevs; i++)
        if (devs[i]->intr_enable)
            devs[i]->intr_enable();
    intr_enabled = true;
    unlock_console();
}

void cons_write(const char *s, size_t len)
{
    lock_console();
    for (size_t i = 0; i < ndevs; i++)
        if (devs[i]->write)
            devs[i]->write(s, len);
    unlock_console();
}

void cons_flush(void)
{
    lock_console();
    for (size_t i = 0; i < ndevs; i++)
        if (devs[i]->flush)
            devs[i]->flush();
    unlock_console();
}

void cons_panic_mode(void)
{
    panic_mode = true;
}

size_t cons_input_room(void)
{
    return RING_SIZE - (ring.wpos - ring.rpos);
}

bool cons_was_typed_at(void)
{
    return typed_at;
}

void cons_input(int c)
{
    typed_at = true;
    if (c == BREAK_KEY && break_enabled) {
        break_seen = true;
        return;
    }
    if (c == INTR_KEY && intr_wanted && !kernel_reads && intr_wanted()) {
        intr_seen = true;
        WRITE_ONCE(ring.rpos, ring.wpos);
        return;
    }
    /* 0 means "no character" to everybody who reads. */
    if (c == 0 || cons_input_room() == 0)
        return;
    ring.buf[ring.wpos % RING_SIZE] = (char)c;
    WRITE_ONCE(ring.wpos, ring.wpos + 1);
}

static void poll_devs(bool force)
{
    for (size_t i = 0; i < ndevs; i++)
        if (devs[i]->poll)
            devs[i]->poll(force);
}

/* Is there input, after a look at the devices if need be? cons_lock is held. */
static bool input_ready(bool force)
{
    if (ring.rpos == ring.wpos)
        poll_devs(force);
    return ring.rpos != ring.wpos;
}

/* Read a flag, and reset it. */
static bool take(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

static int next_char(bool for_kernel)
{
    int c = 0;

    lock_console();
    kernel_reads = for_kernel;
    if (input_ready(for_kernel)) {
        c = (unsigned char)ring.buf[ring.rpos % RING_SIZE];
        WRITE_ONCE(ring.rpos, ring.rpos + 1);
    }
    kernel_reads = false;
    bool intr = !for_kernel && take(&intr_seen);
    unlock_console();

    if (intr)
        on_intr();
    return c;
}

int cons_getc(void)
{
    return next_char(false);
}

/* Ask the devices, which do not interrupt yet. */
static bool __attribute__((noinline, cold)) devs_have_input(void)
{
    lock_console();
    bool ready = input_ready(false);
    unlock_console();
    return ready;
}

/* Without the lock: whoever adds to the ring wakes those who wait for it afterwards. */
bool cons_has_input(void)
{
    if (!intr_enabled)
        return devs_have_input();
    return READ_ONCE(ring.rpos) != READ_ONCE(ring.wpos);
}

void cons_on_input(void (*news)(void), void (*stop)(void))
{
    on_news = news;
    on_stop = stop;
}

void cons_on_interrupt(bool (*wanted)(void), void (*pressed)(void))
{
    intr_wanted = wanted;
    on_intr = pressed;
}

void cons_intr(void)
{
    lock_console();
    poll_devs(true);
    bool news = ring.wpos != ring.announced;
    ring.announced = ring.wpos;
    bool stop = take(&break_seen), intr = take(&intr_seen);
    unlock_console();

    if (stop)
        on_stop();
    if (intr)
        on_intr();
    if (news)
        on_news();
}

int term_key(bool wait)
{
    int c;

    if (!wait)
        return cons_has_input() ? cons_getc() : 0;
    while ((c = next_char(true)) == 0)
        cpu_pause();
    return c;
}

void term_write(const char *s, size_t len)
{
    cons_write(s, len);
}
