/*
 * Disks from the command line to the file server. Without -d, gOS gets the usual disk, and what it
 * writes there is kept in a file of its own.
 */
#include <user/vmm/console.h>
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
    } disk[MAX_DISKS];
    unsigned n;
} disks;

/* ---- Before there is a guest ---- */

static int check_disk(const char *path)
{
    struct Stat st;
    int r = stat(path, &st);
    if (r == 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r < 0)
        complain("disk image %s: %e", path, r);
    return r;
}

/* The usual kernel needs the usual disk. */
static bool needs_usual(const struct Options *o)
{
    return o->ndisks == 0 && !o->kernel;
}

int disks_check(const struct Options *o)
{
    int r = needs_usual(o) ? check_disk(GUEST_DISK) : 0;
    for (unsigned i = 0; i < o->ndisks && r == 0; i++)
        r = check_disk(o->disks[i].path);
    return r;
}

/* ---- Attaching ---- */

static void complain_disk(const struct GuestAttach *a, int r)
{
    char name[ENV_NAME_LEN];

    if (r == -E_BUSY && a->holder == a->guest) {
        complain("%s is one of this guest's disks already", a->path);
    } else if (r == -E_BUSY && a->holder) {
        env_get_name(a->holder, name);
        complain("%s is in use by guest %s", a->path, name);
    } else if (r == -E_INVAL && (a->use & GUEST_DISK_MONITOR)) {
        complain("disk image %s: a disk has whole sectors of %u bytes, at least one; its size is "
                 "none of a disk",
                 a->path, DISK_SECTOR);
    } else if (r == -E_INVAL) {
        complain("disk image %s: a guest's first disk has at least %u bytes", a->path, BLKSIZE);
    } else {
        complain("disk image %s: %e", a->path, r);
    }
}

/* Say what the guest may write if that is less than its disk. */
static void tell_limit(envid_t guest, unsigned number)
{
    struct GuestDiskInfo info;

    if (guest_disk(guest, number, &info) < 0)
        return;
    uint64_t most = MIN(info.limit, (uint64_t)info.used + info.left);
    if (most < info.blocks)
        say("vmm: the disk has %lu KiB; what is written to it may take %lu KiB of the host's\n",
            info.blocks * (BLKSIZE / KIB), most * (BLKSIZE / KIB));
}

/* Attach one; what is for a device is noted. */
static int attach(struct GuestAttach *a, unsigned number, const char *serial)
{
    int r = guest_attach(a);
    if (r < 0)
        return r;
    if (!(a->use & GUEST_DISK_READ_ONLY))
        tell_limit(a->guest, number);
    if (!(a->use & GUEST_DISK_MONITOR))
        return 0;
    struct Disk *d = &disks.disk[disks.n++];
    d->handle = r;
    d->setup.sectors = a->size / DISK_SECTOR;
    d->setup.read_only = a->use & GUEST_DISK_READ_ONLY;
    memcpy(d->setup.serial, serial, MIN(strlen(serial), sizeof(d->setup.serial)));
    return 0;
}

/* Another kernel than the usual one gets the usual disk, if that is there and free. */
static int attach_usual(envid_t guest, const struct Options *o, uint32_t use)
{
    struct GuestAttach a = {
        .path = o->image, .base = GUEST_DISK, .guest = guest, .use = use, .limit = o->limit
    };
    int r = attach(&a, 0, o->name);
    if (r == 0 || (!needs_usual(o) && (r == -E_NOT_FOUND || r == -E_BUSY)))
        return 0;
    complain_disk(&a, r);
    return r;
}

static int attach_file(envid_t guest, const struct Options *o, unsigned i, bool device)
{
    const struct DiskOption *d = &o->disks[i];
    struct GuestAttach a = {
        .path = d->path,
        .guest = guest,
        .use = (device ? GUEST_DISK_MONITOR : GUEST_DISK_CALLS) |
               (d->read_only ? GUEST_DISK_READ_ONLY : 0),
        .limit = o->limit,
    };
    int r = attach(&a, i, d->serial);
    if (r < 0)
        complain_disk(&a, r);
    return r;
}

int disks_attach(envid_t guest, const struct Options *o, bool is_linux)
{
    bool devices = o->virtio || is_linux;
    int r = 0;
    if (o->ndisks == 0 && !is_linux)
        r = attach_usual(guest, o, devices ? GUEST_DISK_MONITOR : GUEST_DISK_CALLS);
    for (unsigned i = 0; i < o->ndisks && r == 0; i++)
        r = attach_file(guest, o, i, devices || i > 0);
    if (r == 0 && disks.n > 0 && (r = work_start()) < 0)
        complain("cannot start the worker for the guest's disks: %e", r);
    return r;
}

/* ---- What devices are connected to ---- */

static int now(void *to, enum BlkOp op, uint64_t sector, unsigned n, void *page)
{
    const struct Disk *d = to;
    unsigned req = op == BLK_READ ? FSREQ_DISK_READ : FSREQ_DISK_WRITE;
    return guest_disk_ask(FSREQ_DISK_VALUE(req, d->handle, DISK_QUICK, sector, n), page);
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
