/*
 * virtio-console (Virtual I/O Device specification, "Console Device"): text leaves a page at a time
 * with one doorbell each, and input comes with T_HVCONS into buffers that wait for it. The device
 * is set up when interrupts are, since its registers cannot be mapped before.
 */
#include <inc/msi.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <inc/virtio.h>
#include <inc/x86.h>
#include <kern/cmdline.h>
#include <kern/dev/console.h>
#include <kern/dev/hvcons.h>
#include <kern/dev/lapic.h>
#include <kern/dev/pci.h>
#include <kern/dev/vcons.h>
#include <kern/frame.h>

#define RECEIVE    0
#define TRANSMIT   1
#define NBUFS      8
#define BUF_SIZE   64
#define INPUT      0         /* entry of the MSI-X table */
#define POLLS_MOST 100000000 /* for the device to take text; then it is given up */

/* What the device reads and writes, a page. */
struct Shared {
    struct Vring in_ring, out_ring;
    char in[NBUFS][BUF_SIZE];
};
_Static_assert(sizeof(struct Shared) <= PGSIZE, "a page");

static int device; /* on the PCI bus */
static struct Vdev dev;
static struct Vqueue in, out;
static struct Shared *shared;
static char *text; /* a page; NULL: the device does not work yet, or no more */
static struct {
    int buf;          /* number of the buffer that is being read; -1: none */
    uint32_t at, len; /* what is read of it, and what is in it */
} now = { .buf = -1 };

static bool vcons_init(void)
{
    if (!cmdline_word("virtio", NULL, 0))
        return false;
    device = pci_find(VIRTIO_DEVICE_ID(VIRTIO_TYPE_CONSOLE), 0);
    return device >= 0 && pci_claim(device, PCI_KERNEL);
}

/* ---- Output ---- */

static bool send(const char *s, size_t len)
{
    uint32_t used;

    memcpy(text, s, len);
    vq_desc(&out, 0, PADDR(text), len, 0);
    vq_offer(&out, 0);
    vq_kick(&out);
    for (unsigned i = 0; i < POLLS_MOST; i++, cpu_pause())
        if (vq_take(&out, &used) >= 0)
            return true;
    return false;
}

static void vcons_write(const char *s, size_t len)
{
    for (size_t n; text && len > 0; s += n, len -= n) {
        n = MIN(len, (size_t)PGSIZE);
        if (!send(s, n))
            text = NULL;
    }
    if (len > 0)
        hv_dev.write(s, len);
}

/* ---- Input ---- */

static void offer_buffer(unsigned i)
{
    vq_desc(&in, i, PADDR(shared->in[i]), BUF_SIZE, VQ_WRITE);
    vq_offer(&in, i);
}

/* Is there a buffer with input? Those that have been read go back. */
static bool next_buffer(bool *gave_back)
{
    while (now.buf < 0 || now.at >= now.len) {
        if (now.buf >= 0) {
            offer_buffer(now.buf);
            *gave_back = true;
        }
        now.at = 0;
        now.buf = vq_take(&in, &now.len);
        if (now.buf < 0)
            return false;
        now.buf %= NBUFS;
        now.len = MIN(now.len, (uint32_t)BUF_SIZE);
    }
    return true;
}

/* To look costs nothing but the look. The doorbell says that there is room, which the monitor takes
 * as a sign to read on in a file. */
static void vcons_poll(bool force)
{
    bool gave_back = false;

    if (!text) {
        hv_dev.poll(force);
        return;
    }
    while (cons_input_room() > 0 && next_buffer(&gave_back))
        cons_input((unsigned char)shared->in[now.buf][now.at++]);
    if (gave_back)
        vq_kick(&in);
}

/* ---- Start ---- */

static int start(void)
{
    const struct PciMessage message = {
        .address = MSI_ADDRESS | (lapic_id() & MSI_DEST_MASK) << MSI_DEST_SHIFT,
        .data = T_HVCONS,
    };
    void *bar[PCI_NBARS];
    struct PciDevice d;

    pci_start(device, &d);
    for (unsigned n = 0; n < PCI_NBARS; n++)
        bar[n] = pci_boot_map(&d.bars[n]);
    int r = vdev_find(&dev, &d, bar);
    if (r < 0 || (r = vdev_negotiate(&dev, 0)) < 0)
        return r;
    vdev_message(&dev, INPUT, &message);
    r = vq_init(&in, &dev, RECEIVE, &shared->in_ring, PADDR(&shared->in_ring), INPUT);
    if (r == 0)
        r = vq_init(&out, &dev, TRANSMIT, &shared->out_ring, PADDR(&shared->out_ring),
                    VQ_NO_VECTOR);
    return r;
}

static void vcons_intr_enable(void)
{
    shared = page_new();
    char *page = page_new();

    if (!shared || !page || start() < 0) {
        page_drop(page);
        hv_dev.intr_enable();
        return;
    }
    vq_interrupts(&out, false);
    vdev_ready(&dev);
    for (unsigned i = 0; i < NBUFS; i++)
        offer_buffer(i);
    vq_kick(&in);
    text = page;
}

const struct ConsDev vcons_dev = {
    .name = "virtio-console",
    .init = vcons_init,
    .write = vcons_write,
    .poll = vcons_poll,
    .intr_enable = vcons_intr_enable,
};
