/*
 * A virtio-blk disk (Virtual I/O Device specification, "Block Device"), driven from here: the
 * kernel maps its registers, and page tables tell physical addresses. A long run is several
 * requests with one doorbell, since a device may work on them at the same time. Many devices have
 * done all of it when the doorbell returns; so only then are interrupts asked for.
 */
#include <inc/lib.h>
#include <fs/core/disk.h>
#include <fs/server/vblk.h>
#include <inc/virtio.h>

#define REQUEST_BLOCKS    8
#define NREQUESTS         (DISK_MAX_RUN / REQUEST_BLOCKS)
#define REQUEST_DESCS     (REQUEST_BLOCKS + 2) /* header, data, status */
#define SECTOR_SIZE       512
#define SECTORS_PER_BLOCK (BLKSIZE / SECTOR_SIZE)
#define VECTOR            0   /* entry of the MSI-X table */
#define WAIT_MS           100 /* at most, in case an interrupt is lost */
#define TIMEOUT_MS        30000

_Static_assert(NREQUESTS *REQUEST_DESCS <= VQ_SIZE, "the ring holds a run");

/* "Feature bits" */
#define F_FLUSH   (1ul << 9)
#define F_DISCARD (1ul << 13)

/* "Device configuration layout" */
#define CONFIG_CAPACITY     0
#define CONFIG_DISCARD_MOST 36 /* sectors */

/* "Device Operation" */
enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_DISCARD = 11
};
enum {
    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
    S_NONE = 255
};
struct Header {
    uint32_t type, unused;
    uint64_t sector;
};
struct DiscardSegment {
    uint64_t sector;
    uint32_t count, flags;
};

/* What the device reads and writes besides blocks, a page. */
struct Shared {
    struct Vring ring;
    struct Header header[NREQUESTS];
    struct DiscardSegment segment;
    uint8_t status[NREQUESTS];
};
_Static_assert(sizeof(struct Shared) <= PGSIZE, "a page");

static struct Vdev dev;
static struct Vqueue queue;
static struct Shared *shared;
static int irq;
static uint32_t discard_most; /* blocks; 0: it cannot discard */
static bool dead;             /* it did not answer in time: it is never asked again */

static uint64_t address_of(const volatile void *p)
{
    return PTE_ADDR(uvpt_entry((uintptr_t)p)) + PGOFF(p);
}

/* ---- Requests ---- */

/* Request i of a round: its data is what descriptors from data(i) on say. */
static uint16_t data(unsigned i)
{
    return i * REQUEST_DESCS + 1;
}

/* Offer it. */
static void put(unsigned i, uint32_t type, uint64_t sector, unsigned ndata)
{
    shared->header[i] = (struct Header){ .type = type, .sector = sector };
    shared->status[i] = S_NONE;
    vq_desc(&queue, data(i) - 1, address_of(&shared->header[i]), sizeof(struct Header), VQ_NEXT);
    vq_desc(&queue, data(i) + ndata, address_of(&shared->status[i]), 1, VQ_WRITE);
    vq_offer(&queue, data(i) - 1);
}

/* Take used requests, until `left` of them have come or there are no more now. Returns how many
 * have not come. */
static unsigned collect(unsigned left)
{
    uint32_t len;

    while (left > 0 && vq_take(&queue, &len) >= 0)
        left--;
    return left;
}

/* The same, asleep. */
static unsigned sleep_for(unsigned left)
{
    uint64_t deadline = sys_time_msec() + TIMEOUT_MS;

    vq_interrupts(&queue, true);
    while ((left = collect(left)) > 0 && sys_time_msec() < deadline)
        sys_irq_wait(irq, WAIT_MS);
    vq_interrupts(&queue, false);
    return left;
}

/* Let the device do the n requests that were put. The worst status of them, S_NONE: it does not
 * answer. */
static uint8_t run(unsigned n)
{
    uint8_t worst = S_OK;

    vq_kick(&queue);
    unsigned left = collect(n);
    if (left > 0 && sleep_for(left) > 0) {
        vdev_fail(&dev);
        dead = true;
    }
    for (unsigned i = 0; i < n; i++)
        worst = MAX(worst, *(volatile uint8_t *)&shared->status[i]);
    return worst;
}

static const char *status_words(uint8_t status)
{
    if (dead)
        return "the device does not answer";
    return status == S_UNSUPP ? "the device does not know the request" : "input/output error";
}

/* ---- The disk ---- */

static int transfer(struct Disk *d, bool write, uint32_t block, uint32_t n, void *const page[])
{
    uint8_t status = S_NONE;
    unsigned nrequests = 0;

    for (uint32_t at = 0, k; !dead && at < n; at += k) {
        k = MIN(n - at, (uint32_t)REQUEST_BLOCKS);
        for (uint32_t i = 0; i < k; i++)
            vq_desc(&queue, data(nrequests) + i, address_of(page[at + i]), BLKSIZE,
                    VQ_NEXT | (write ? 0 : VQ_WRITE));
        put(nrequests++, write ? T_OUT : T_IN, (uint64_t)(block + at) * SECTORS_PER_BLOCK, k);
    }
    if (!dead && (status = run(nrequests)) == S_OK)
        return 0;
    os_say("fs: %s: cannot %s blocks %u to %u: %s", d->name, write ? "write" : "read", block,
           block + n - 1, status_words(status));
    return -E_IO;
}

static int vblk_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    return transfer(d, false, block, n, page);
}

static int vblk_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    return transfer(d, true, block, n, page);
}

/* Without the feature, what is written is safe. */
static int vblk_flush(struct Disk *d)
{
    uint8_t status = S_NONE;

    if (!(dev.features & F_FLUSH))
        return 0;
    if (!dead) {
        put(0, T_FLUSH, 0, 0);
        status = run(1);
    }
    if (status == S_OK)
        return 0;
    os_say("fs: %s: cannot flush: %s", d->name, status_words(status));
    return -E_IO;
}

static void vblk_discard(struct Disk *d, uint32_t block, uint32_t n)
{
    (void)d;
    for (uint32_t k; !dead && discard_most > 0 && n > 0; block += k, n -= k) {
        k = MIN(n, discard_most);
        shared->segment = (struct DiscardSegment){ .sector = (uint64_t)block * SECTORS_PER_BLOCK,
                                                   .count = k * SECTORS_PER_BLOCK };
        vq_desc(&queue, data(0), address_of(&shared->segment), sizeof(shared->segment), VQ_NEXT);
        put(0, T_DISCARD, 0, 1);
        run(1);
    }
}

/* ---- Start ---- */

static uint32_t config_word(unsigned offset)
{
    return *(volatile uint32_t *)(dev.config + offset);
}

static uint64_t capacity(void)
{
    return config_word(CONFIG_CAPACITY) | (uint64_t)config_word(CONFIG_CAPACITY + 4) << 32;
}

static int set_up(int handle, const struct PciDevice *d)
{
    void *bar[PCI_NBARS];
    struct PciMessage message;
    int r;

    for (unsigned n = 0; n < PCI_NBARS; n++)
        bar[n] = d->bars[n].size > 0 && !d->bars[n].is_io ? sys_pci_map(handle, n) : NULL;
    if ((r = vdev_find(&dev, d, bar)) < 0 || (r = vdev_negotiate(&dev, F_FLUSH | F_DISCARD)) < 0)
        return r;
    if (!dev.config)
        return -E_NOT_SUPP;
    shared = os_reserve(PGSIZE);
    if (!shared || os_commit(shared, PGSIZE) < 0)
        return -E_NO_MEM;
    if ((irq = sys_pci_irq(handle, &message)) < 0)
        return irq;
    vdev_message(&dev, VECTOR, &message);
    if ((r = vq_init(&queue, &dev, 0, &shared->ring, address_of(&shared->ring), VECTOR)) < 0)
        return r;
    vq_interrupts(&queue, false);
    vdev_ready(&dev);
    return 0;
}

struct Disk *vblk_disk(void)
{
    static struct Disk disk = {
        .name = "virtio disk",
        .max_run = DISK_MAX_RUN,
        .read = vblk_read,
        .write = vblk_write,
        .flush = vblk_flush,
        .discard = vblk_discard,
    };
    struct PciDevice d;
    int handle = sys_pci_open(VIRTIO_DEVICE_ID(VIRTIO_TYPE_BLK), 0, &d);

    if (handle == -E_NOT_FOUND)
        return NULL;
    int r = handle < 0 ? handle : set_up(handle, &d);
    if (r < 0) {
        os_say("fs: %s: cannot be set up: %s", disk.name, strerror(r));
        return NULL;
    }
    if (dev.features & F_DISCARD)
        discard_most = config_word(CONFIG_DISCARD_MOST) / SECTORS_PER_BLOCK;
    disk.nblocks = MIN(capacity() / SECTORS_PER_BLOCK, (uint64_t)UINT32_MAX);
    return &disk;
}
