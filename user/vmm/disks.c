/*
 * virtio-blk's connection to the file server: what is quick the monitor asks for itself, the rest
 * goes to its worker.
 */
#include <user/vmm/dev/virtio/blk.h>
#include <user/vmm/disks.h>
#include <user/vmm/diskwork.h>

#define BOUNCE  ((void *)(UTEMP + 0x78000)) /* for data that goes to and from parts of pages */
#define PERM_RW (PTE_P | PTE_U | PTE_W | PTE_NX)

/* Those that the guest has through devices. */
static struct {
    struct Disk {
        int handle;
        struct BlkSetup setup;
        struct BlkPeer peer;
        struct Blk *device; /* NULL: not plugged yet */
    } disk[DISKS_MAX];
    unsigned n;
} disks;

int disks_add(int handle, uint64_t size, bool read_only, const char *serial)
{
    if (disks.n == DISKS_MAX)
        return -E_NO_MEM;
    struct Disk *d = &disks.disk[disks.n++];
    *d = (struct Disk){ .handle = handle };
    d->setup.sectors = size / DISK_SECTOR;
    d->setup.read_only = read_only;
    memcpy(d->setup.serial, serial, MIN(strlen(serial), sizeof(d->setup.serial)));
    return disks.n == 1 ? work_start() : 0;
}

/* ---- What devices are connected to ---- */

static int now(void *to, enum BlkOp op, uint64_t sector, unsigned n, void *pages)
{
    const struct Disk *d = to;
    unsigned req = op == BLK_READ ? FSREQ_DISK_READ : FSREQ_DISK_WRITE;
    return guest_disk_ask(FSREQ_DISK_VALUE(req, d->handle, DISK_QUICK, sector, n), pages,
                          (n * DISK_SECTOR + PGSIZE - 1) / PGSIZE);
}

static void *page(void *to)
{
    (void)to;
    return work_page();
}

static void later(void *to, enum BlkOp op, uint64_t sector, unsigned n, struct BlkRequest *r)
{
    static const uint8_t requests[] = {
        [BLK_READ] = FSREQ_DISK_READ,   [BLK_WRITE] = FSREQ_DISK_WRITE,
        [BLK_FLUSH] = FSREQ_DISK_FLUSH, [BLK_DISCARD_OP] = FSREQ_DISK_DISCARD,
        [BLK_ZERO] = FSREQ_DISK_ZERO,   [BLK_ZERO_UNMAP] = FSREQ_DISK_ZERO,
    };
    const struct Disk *d = to;
    unsigned hint = op == BLK_ZERO_UNMAP ? DISK_UNMAP : 0;
    work_post(FSREQ_DISK_VALUE(requests[op], d->handle, hint, sector, n), r);
}

/* A request for nothing, unless there are others, whose answers will do. */
static void nudge(void *to)
{
    const struct Disk *d = to;
    if (work_page())
        work_post(FSREQ_DISK_VALUE(FSREQ_DISK_READ, d->handle, 0, 0, 0), NULL);
}

static int plug(struct Disk *d, const struct VirtioPeer *peer)
{
    struct Blk *b = malloc(sizeof(*b));
    if (!b)
        return -E_NO_MEM;
    d->peer = (struct BlkPeer){
        .now = now, .page = page, .later = later, .nudge = nudge, .to = d, .bounce = BOUNCE
    };
    d->device = b;
    return blk_add(b, &d->setup, &d->peer, peer);
}

int disks_plug(const struct VirtioPeer *peer)
{
    int r = disks.n > 0 ? sys_page_alloc(0, BOUNCE, PERM_RW) : 0;
    for (unsigned i = 0; i < disks.n && r == 0; i++)
        r = plug(&disks.disk[i], peer);
    return r;
}

void disks_end(void)
{
    work_end();
    for (unsigned i = 0; i < disks.n; i++)
        free(disks.disk[i].device);
    memset(&disks, 0, sizeof(disks));
    sys_page_unmap(0, BOUNCE);
}

bool disks_message(envid_t from)
{
    void *request, *data;
    int answer;
    if (!work_message(from))
        return false;
    while (work_done(&request, &data, &answer))
        if (request)
            blk_answer(request, answer, data);
    for (unsigned i = 0; i < disks.n; i++)
        if (disks.disk[i].device)
            blk_run(disks.disk[i].device);
    return true;
}
