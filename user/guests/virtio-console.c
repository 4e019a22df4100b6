/*
 * virtio-console: what the driver sends is shown, and what the user types comes into its buffers.
 * It says who it is, asks for a line, and repeats it. COM1, which listens meanwhile, gets none of
 * it.
 */
#include <inc/uart.h>
#include "virtio.h"

const char guest_name[] = "virtio-console";

#define RECEIVE  0
#define TRANSMIT 1
#define LINE     80
#define BUFFERS  4
#define ROOM     8

static struct Vdev dev;
static struct Vq rx, tx;
static unsigned com1_got;
static char room[BUFFERS][ROOM];

/* In two pieces. */
static void show(const char *s)
{
    size_t n = strlen(s), half = n / 2;
    vq_desc(&tx, 0, s, half, DESC_NEXT, 1);
    vq_desc(&tx, 1, s + half, n - half, 0, 0);
    vq_offer(&tx, 0);
    vq_kick(&tx);
    check(vq_wait(&tx) >= 0, "it does not take output");
}

static void offer(unsigned i)
{
    vq_desc(&rx, i, room[i], ROOM, DESC_WRITE, 0);
    vq_offer(&rx, i);
}

/* Read up to the end of a line, as long as that takes the user. */
static void get_line(char *line)
{
    size_t n = 0;
    for (bool ended = false; !ended;) {
        while (!vq_has_used(&rx))
            com1_got += inb(COM1 + COM_LSR) & LSR_DR;
        unsigned i = rx.used.ring[rx.seen % rx.size].id, len = rx.used.ring[rx.seen % rx.size].len;
        rx.seen++;
        check(len > 0 && len <= ROOM, "%u bytes in a buffer of %u", len, ROOM);
        for (unsigned k = 0; k < len && !ended; k++) {
            ended = room[i][k] == '\r' || room[i][k] == '\n';
            if (!ended && n + 1 < LINE)
                line[n++] = room[i][k];
        }
        offer(i);
        vq_kick(&rx);
    }
    line[n] = '\0';
}

int guest_main(const struct MultibootInfo *info)
{
    char line[LINE], answer[LINE + 32];
    (void)info;
    if (!dev_find(&dev, VIRTIO_CONSOLE))
        return check_result();
    dev_negotiate(&dev, 0);
    vq_init(&rx, &dev, RECEIVE, NO_VECTOR);
    vq_init(&tx, &dev, TRANSMIT, NO_VECTOR);
    dev_ready(&dev);
    for (unsigned i = 0; i < BUFFERS; i++)
        offer(i);
    vq_kick(&rx);
    show("virtio-console: these words come through a queue\n");
    show("type a line: ");
    get_line(line);
    snprintf(answer, sizeof(answer), "you typed \"%s\"\n", line);
    show(answer);
    check(com1_got == 0, "COM1 has got input");
    return check_result();
}
