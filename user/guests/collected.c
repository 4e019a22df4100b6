/*
 * collected: what a guest sends to COM1 without ever looking at it is shown before long, in order
 * with what it sends to virtio-console, and also if it never stops for its monitor again. Words:
 * `other`: an access to another device follows the output; `both`: output of virtio-console does.
 */
#include <inc/uart.h>
#include "virtio.h"

const char guest_name[] = "collected";

#define LINES 400

static struct Vdev dev;
static struct Vq tx;

static void send(const char *s)
{
    while (*s)
        outb(COM1 + COM_DATA, *s++);
}

/* The first byte may be shown at once, since the monitor may look then; the rest waits for a while.
 */
static void send_lines(void)
{
    char line[32];
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(line, sizeof(line), "line %u\n", i);
        send(line);
    }
}

static void send_both(void)
{
    static const char words[] = "virtio's\n";
    if (!dev_find(&dev, VIRTIO_CONSOLE))
        return;
    dev_negotiate(&dev, 0);
    vq_init(&tx, &dev, 1, NO_VECTOR);
    dev_ready(&dev);
    send("COM1's\n");
    vq_desc(&tx, 0, words, sizeof(words) - 1, 0, 0);
    vq_offer(&tx, 0);
    vq_kick(&tx);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("both"))
        send_both();
    else
        send_lines();
    send("this is the end\n");
    if (cmdline_has("other"))
        inb(0x71);
    for (;;)
        asm volatile("pause");
}
