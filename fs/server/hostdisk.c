/*
 * gOS's disk: blocks of an image file, asked for at hOS's file server by hypercall, one page a
 * request.
 */
#include <inc/lib.h>
#include <fs/core/disk.h>
#include <fs/server/hostdisk.h>

#define PAGE_PERM (PTE_P | PTE_U | PTE_W)

/* Send one request and wait for the answer. */
static int64_t ask(uint64_t value, void *page)
{
    /* LAB 7 begin: ask */
    int r = ipc_host_send(value, page, PAGE_PERM);

    return r < 0 ? r : ipc_host_recv((void *)UTOP);
    /* LAB 7 end */
}

/* A run of GDISK_READ or GDISK_WRITE requests. */
static int transfer(struct Disk *d, int req, uint32_t block, uint32_t n, void *const page[])
{
    /* LAB 7 begin: transfer */
    for (uint32_t i = 0; i < n; i++) {
        int r = ask(GDISK_VALUE(req, block + i), page[i]);
        if (r < 0) {
            const char *what = req == GDISK_READ ? "read" : "write";
            os_say("fs: %s: cannot %s block %u: %s", d->name, what, block + i, strerror(r));
            return -E_IO;
        }
    }
    return 0;
    /* LAB 7 end */
}

static int host_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    return transfer(d, GDISK_READ, block, n, page);
}

/* Blocks that the host has promised to take, as far as is known here: each that was written since
 * then may have been one of them. */
static uint32_t promised;

static int host_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    promised -= MIN(promised, n);
    return transfer(d, GDISK_WRITE, block, n, page);
}

static uint32_t host_room(struct Disk *d, uint32_t want)
{
    static bool said;

    if (promised >= want)
        return promised;
    promised = MAX(ask(GDISK_VALUE(GDISK_ROOM, 0), (void *)UTOP), 0l);
    if (promised < MIN(want, (uint32_t)GDISK_ROOM_MAX) && !said) {
        os_say("fs: %s: the host has hardly any space left for it (limit of vmm -D, or its own "
               "disk): changes that need more are refused",
               d->name);
        said = true;
    }
    return promised;
}

static void host_discard(struct Disk *d, uint32_t block, uint32_t n)
{
    (void)d;
    for (uint32_t k; n > 0; block += k, n -= k) {
        k = MIN(n, (uint32_t)GDISK_DISCARD_MAX);
        ask(GDISK_DISCARD_VALUE(block, k), (void *)UTOP);
    }
}

static int host_flush(struct Disk *d)
{
    int r = ask(GDISK_VALUE(GDISK_FLUSH, 0), (void *)UTOP);

    if (r < 0)
        os_say("fs: %s: cannot flush: %s", d->name, strerror(r));
    return MIN(r, 0);
}

struct Disk *host_disk(void)
{
    static struct Disk disk = {
        .name = "guest disk",
        .max_run = 1, /* reading ahead would only cost hypercalls: the host does it */
        .read = host_read,
        .write = host_write,
        .flush = host_flush,
        .room = host_room,
        .discard = host_discard,
    };
    int64_t n = ask(GDISK_VALUE(GDISK_INFO, 0), (void *)UTOP);

    if (n <= 0) {
        os_say("fs: no disk: the monitor gave this guest none (%s)", strerror(n));
        return NULL;
    }
    disk.nblocks = n;
    return &disk;
}
