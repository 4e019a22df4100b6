/*
 * Disks from the command line to the file server. Without -d, gOS gets the usual disk, and what it
 * writes there is kept in a file of its own.
 */
#include <user/vmm/console.h>
#include <user/vmm/diskfiles.h>
#include <user/vmm/disks.h>

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
    return disks_add(r, a->size, a->use & GUEST_DISK_READ_ONLY, serial);
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
    return r;
}
