/*
 * Pipes: a ring of bytes in a page that both ends map. An end is closed when nobody maps a
 * descriptor of it any more, and reference counts of pages tell: the data page has one reference
 * for each descriptor, of either end.
 */
#include "internal.h"

#define RING_SIZE 4032
/* Writes up to this size are not mixed with those of others. */
#define ATOMIC_SIZE 512

/* Positions count all bytes ever; readers move one, writers the other. Envs that share an end take
 * turns: the lock holds the id of the one whose turn it is, 0: nobody's. */
struct Pipe {
    volatile uint64_t rpos, wpos;
    volatile envid_t read_lock, write_lock;
    uint64_t pad[5];
    char buf[RING_SIZE];
};
_Static_assert(sizeof(struct Pipe) <= PGSIZE, "a pipe's data is one page");

/* Yields before a wait starts to sleep, and the longest sleep. */
#define WAIT_YIELDS   8
#define WAIT_MAX_MSEC 8

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

static bool is_gone(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];
    return e->env_id != id || e->env_status == ENV_FREE || e->env_status == ENV_ZOMBIE;
}

/* A holder that is gone left nothing half done: a position moves only after the bytes are there. */
static void lock_end(volatile envid_t *lock)
{
    for (unsigned round = 0;; round++) {
        envid_t holder = *lock;
        if ((holder == 0 || is_gone(holder)) &&
            __atomic_compare_exchange_n(lock, &holder, thisenv->env_id, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
        wait_turn(round);
    }
}

static void unlock_end(volatile envid_t *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static struct Fd *new_end(uint32_t omode)
{
    struct Fd *fd;
    if (fd_alloc(&fd) < 0 || sys_page_alloc(0, fd, PERM_RW | PTE_SHARE) < 0)
        return NULL;
    fd->fd_dev_id = devpipe.dev_id;
    fd->fd_omode = omode;
    return fd;
}

int pipe(int fds[2])
{
    struct Fd *rfd = new_end(O_RDONLY);
    if (rfd == NULL)
        return -E_MAX_OPEN;
    struct Fd *wfd = new_end(O_WRONLY);
    int r = wfd ? sys_page_alloc(0, fd_data(rfd), PERM_RW | PTE_SHARE) : -E_MAX_OPEN;
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

bool pipeisclosed(int fdnum)
{
    struct Fd *fd;
    return fd_lookup(fdnum, &fd) < 0 || fd->fd_dev_id != devpipe.dev_id || other_end_closed(fd);
}

bool pipe_at_end(int fdnum)
{
    struct Fd *fd;
    return fd_lookup(fdnum, &fd) == 0 && fd->fd_dev_id == devpipe.dev_id && other_end_closed(fd) &&
           pipe_of(fd)->rpos == pipe_of(fd)->wpos;
}

/* Copy between the ring, from position pos on, and buf. */
static void ring_copy(struct Pipe *p, uint64_t pos, void *buf, size_t n, bool to_ring)
{
    size_t at = pos % RING_SIZE, first = MIN(n, RING_SIZE - at);
    char *b = buf;

    memcpy(to_ring ? p->buf + at : b, to_ring ? b : p->buf + at, first);
    memcpy(to_ring ? p->buf : b + first, to_ring ? b + first : p->buf, n - first);
}

/* Take up to n bytes that are there. */
static size_t take_bytes(struct Pipe *p, void *buf, size_t n)
{
    lock_end(&p->read_lock);
    uint64_t rpos = p->rpos;
    size_t len = MIN(n, p->wpos - rpos);
    ring_copy(p, rpos, buf, len, false);
    __atomic_store_n(&p->rpos, rpos + len, __ATOMIC_RELEASE);
    unlock_end(&p->read_lock);
    return len;
}

/* Put as many of n bytes as there is room for; few bytes all or none. */
static size_t put_bytes(struct Pipe *p, const void *buf, size_t n)
{
    lock_end(&p->write_lock);
    uint64_t wpos = p->wpos;
    size_t room = RING_SIZE - (wpos - p->rpos);
    size_t len = n <= room ? n : n <= ATOMIC_SIZE ? 0 : room;
    ring_copy(p, wpos, (void *)buf, len, true);
    __atomic_store_n(&p->wpos, wpos + len, __ATOMIC_RELEASE);
    unlock_end(&p->write_lock);
    return len;
}

/* Waits for the first byte only. 0: the writers are gone and the ring is empty. */
static ssize_t pipe_read(struct Fd *fd, void *buf, size_t n)
{
    struct Pipe *p = pipe_of(fd);

    for (unsigned round = 0; n > 0; round++) {
        /* What the last writer wrote is there before it is seen gone. */
        bool closed = p->rpos == p->wpos && other_end_closed(fd);
        size_t len = take_bytes(p, buf, n);
        if (len > 0 || closed)
            return len;
        wait_turn(round);
    }
    return 0;
}

/* Writes all n bytes, or what fitted before the readers went away: -E_EOF if that is nothing. */
static ssize_t pipe_write(struct Fd *fd, const void *buf, size_t n)
{
    struct Pipe *p = pipe_of(fd);
    size_t done = 0;

    for (unsigned round = 0; done < n; round++) {
        if (other_end_closed(fd))
            return done ? (ssize_t)done : -E_EOF;
        size_t len = put_bytes(p, (const char *)buf + done, n - done);
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
    struct Pipe *p = pipe_of(fd);
    st->st_size = p->wpos - p->rpos;
    return 0;
}

const struct Dev devpipe = {
    .dev_id = 'p',
    .dev_name = "pipe",
    .dev_read = pipe_read,
    .dev_write = pipe_write,
    .dev_stat = pipe_stat,
};
