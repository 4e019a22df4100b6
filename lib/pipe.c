/*
 * Pipes: a ring of bytes in a page that both ends map. An end is closed when nobody maps a
 * descriptor of it any more, and reference counts of pages tell: the data page has one reference
 * for each descriptor, of either end.
 *
 * Everybody at either end can write anything into the data page at any time. So what is read from
 * it is read once and checked before it is used; bytes are copied only between a caller's buffer
 * and the ring; and nobody waits for another's word in the page longer than an honest env could
 * make him. Positions that make no sense are an error, -E_IO, for who meets them.
 */
#include <inc/once.h>
#include "internal.h"

#define RING_SIZE 4032
/* Writes up to this size are not mixed with those of others. */
#define ATOMIC_SIZE 512

/* Positions count all bytes ever; readers move one, writers the other. Readers copy first, and the
 * bytes are theirs if rpos has not moved meanwhile. Writers take turns: the lock holds the id of
 * the one whose turn it is, 0: nobody's. */
struct Pipe {
    uint64_t rpos, wpos;
    envid_t write_lock;
    uint32_t pad;
    uint64_t pad2[5];
    char buf[RING_SIZE];
};
_Static_assert(sizeof(struct Pipe) <= PGSIZE, "a pipe's data is one page");

/* Yields before a wait starts to sleep, and the longest sleep. */
#define WAIT_YIELDS   8
#define WAIT_MAX_MSEC 8

/* An env that has the lock gives it back within so many turns on a CPU, or such a long turn: it has
 * less than a page to copy. A word that names one env after another for such a long time, while
 * nothing is written, is not honest writers' either. */
#define LOCK_RUNS    8
#define LOCK_HOLDERS 8
#define LOCK_MSEC    1000

/* Let others run. The first rounds only yield, since the other end usually needs just a turn; then
 * sleep, longer each time, so that a long wait costs nothing. */
static void wait_turn(unsigned round)
{
    if (round < WAIT_YIELDS)
        return sys_yield();
    sys_sleep_msec(MIN(1ul << MIN(round - WAIT_YIELDS, 8u), (unsigned long)WAIT_MAX_MSEC));
}

static struct Pipe *pipe_of(struct Fd *fd)
{
    return (struct Pipe *)fd_data(fd);
}

/*
 * Is the other end closed? Its descriptors are those references to the data page that this end's do
 * not explain. Everybody maps the data page before the descriptor and unmaps it after, so a change
 * that is under way can only hide a closed end for a moment; and a count that moved is taken again.
 */
static bool other_end_closed(struct Fd *fd)
{
    for (;;) {
        uint32_t runs = thisenv->env_runs;
        uint32_t all = page_refs((uintptr_t)fd_data(fd));
        uint32_t mine = page_refs((uintptr_t)fd);
        if (all == page_refs((uintptr_t)fd_data(fd)) && runs == thisenv->env_runs)
            return all == mine;
    }
}

/* The holder of a lock, since it was first seen there, and how long the wait for the lock has gone
 * on with nothing written. */
struct Holder {
    envid_t id; /* 0: nobody's wait */
    uint32_t runs;
    uint64_t since;
    uint64_t wpos, waiting_since;
    uint32_t holders; /* seen in this wait */
};

/* Does this env have the lock, as far as its word in the page can be believed? An env that is
 * copying exists, runs or could run, and is soon done; one that is gone left nothing half done,
 * since a position moves only after the bytes are there. */
static bool is_believed(struct Holder *h, envid_t id, uint64_t wpos)
{
    const volatile struct Env *e = &envs[ENVX(id)];
    uint32_t status = e->env_status, runs = e->env_runs;

    if (id == thisenv->env_id || e->env_id != id ||
        (status != ENV_RUNNABLE && status != ENV_RUNNING))
        return false;
    if (h->id == 0 || h->wpos != wpos)
        *h = (struct Holder){ .wpos = wpos, .waiting_since = sys_time_msec() };
    if (h->id != id) {
        h->id = id;
        h->runs = runs;
        h->since = sys_time_msec();
        h->holders++;
        return h->holders <= LOCK_HOLDERS || h->since - h->waiting_since < LOCK_MSEC;
    }
    if (runs - h->runs > LOCK_RUNS)
        return false;
    return status == ENV_RUNNABLE || sys_time_msec() - h->since < LOCK_MSEC;
}

/* Take the lock if it is free, or held by an env that cannot have it. */
static bool try_lock(struct Pipe *p, struct Holder *h)
{
    envid_t id = READ_ONCE(p->write_lock);

    if (id != 0 && is_believed(h, id, READ_ONCE(p->wpos)))
        return false;
    if (!__atomic_compare_exchange_n(&p->write_lock, &id, thisenv->env_id, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    h->id = 0;
    return true;
}

static void unlock(struct Pipe *p)
{
    envid_t mine = thisenv->env_id;

    __atomic_compare_exchange_n(&p->write_lock, &mine, 0, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
}

int pipe(int fds[2])
{
    struct Fd *rfd, *wfd = NULL;
    int r = fd_make(&devpipe, O_RDONLY, &rfd);
    if (r < 0)
        return r;
    if ((r = fd_make(&devpipe, O_WRONLY, &wfd)) == 0)
        r = sys_page_alloc(0, fd_data(rfd), PERM_RW | PTE_SHARE);
    if (r == 0)
        r = sys_page_map(0, fd_data(rfd), 0, fd_data(wfd), PERM_RW | PTE_SHARE);
    if (r < 0) {
        if (wfd)
            fd_release(wfd);
        fd_release(rfd);
        return r;
    }
    fds[0] = fd_number(rfd);
    fds[1] = fd_number(wfd);
    return 0;
}

/* The pipe that this descriptor is an end of, NULL if it is none. */
static struct Pipe *pipe_find(int fdnum, struct Fd **fd)
{
    const struct Dev *dev;
    bool found = fd_dev(fdnum, O_ACCMODE, fd, &dev) == 0 && dev == &devpipe;

    return found ? pipe_of(*fd) : NULL;
}

bool pipeisclosed(int fdnum)
{
    struct Fd *fd;
    return !pipe_find(fdnum, &fd) || other_end_closed(fd);
}

bool pipe_at_end(int fdnum)
{
    struct Fd *fd;
    struct Pipe *p = pipe_find(fdnum, &fd);
    return p && other_end_closed(fd) && READ_ONCE(p->rpos) == READ_ONCE(p->wpos);
}

/* Copy n <= RING_SIZE bytes between the ring, from position pos on, and buf. */
static void ring_copy(struct Pipe *p, uint64_t pos, void *buf, size_t n, bool to_ring)
{
    size_t at = pos % RING_SIZE, first = MIN(n, RING_SIZE - at);
    char *b = buf;

    memcpy(to_ring ? p->buf + at : b, to_ring ? b : p->buf + at, first);
    memcpy(to_ring ? p->buf : b + first, to_ring ? b + first : p->buf, n - first);
}

/* Take up to n bytes that are there. 0 also if another reader was faster; -E_IO. */
static ssize_t take_bytes(struct Pipe *p, void *buf, size_t n)
{
    uint64_t rpos = __atomic_load_n(&p->rpos, __ATOMIC_ACQUIRE);
    uint64_t used = __atomic_load_n(&p->wpos, __ATOMIC_ACQUIRE) - rpos;

    if (used > RING_SIZE) /* unless rpos has moved, so that the two do not belong together */
        return READ_ONCE(p->rpos) == rpos ? -E_IO : 0;
    size_t len = MIN(n, used);
    ring_copy(p, rpos, buf, len, false);
    bool ours = __atomic_compare_exchange_n(&p->rpos, &rpos, rpos + len, false, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED);
    return ours ? (ssize_t)len : 0;
}

/* Put as many of n bytes as there is room for; few bytes all or none. 0 also if it is another
 * writer's turn; -E_IO. */
static ssize_t put_bytes(struct Pipe *p, const void *buf, size_t n, struct Holder *holder)
{
    if (!try_lock(p, holder))
        return 0;
    uint64_t wpos = READ_ONCE(p->wpos);
    uint64_t used = wpos - __atomic_load_n(&p->rpos, __ATOMIC_ACQUIRE);
    ssize_t len = -E_IO;
    if (used <= RING_SIZE) {
        size_t room = RING_SIZE - used;
        len = n <= room ? n : n <= ATOMIC_SIZE ? 0 : room;
        ring_copy(p, wpos, (void *)buf, len, true);
        __atomic_store_n(&p->wpos, wpos + len, __ATOMIC_RELEASE);
    }
    unlock(p);
    return len;
}

/* Waits for the first byte only. 0: the writers are gone and the ring is empty. */
static ssize_t pipe_read(struct Fd *fd, void *buf, size_t n)
{
    struct Pipe *p = pipe_of(fd);

    for (unsigned round = 0; n > 0; round++) {
        /* What the last writer wrote is there before it is seen gone. */
        bool closed = READ_ONCE(p->rpos) == READ_ONCE(p->wpos) && other_end_closed(fd);
        ssize_t len = take_bytes(p, buf, n);
        if (len != 0 || closed)
            return len;
        wait_turn(round);
    }
    return 0;
}

/* Writes all n bytes, or what fitted before the readers went away: -E_EOF if that is nothing. */
static ssize_t pipe_write(struct Fd *fd, const void *buf, size_t n)
{
    struct Pipe *p = pipe_of(fd);
    struct Holder holder = { 0 };
    size_t done = 0;

    for (unsigned round = 0; done < n; round++) {
        if (other_end_closed(fd))
            return done ? (ssize_t)done : -E_EOF;
        ssize_t len = put_bytes(p, (const char *)buf + done, n - done, &holder);
        if (len < 0)
            return done ? (ssize_t)done : len;
        done += len;
        if (len > 0)
            round = 0;
        else
            wait_turn(round);
    }
    return done;
}

static int pipe_stat(struct Fd *fd, struct Stat *st)
{
    const struct Pipe *p = pipe_of(fd);
    uint64_t used = READ_ONCE(p->wpos) - READ_ONCE(p->rpos);
    st->st_size = MIN(used, (uint64_t)RING_SIZE);
    return 0;
}

const struct Dev devpipe = {
    .dev_id = 'p',
    .dev_name = "pipe",
    .dev_read = pipe_read,
    .dev_write = pipe_write,
    .dev_stat = pipe_stat,
};
