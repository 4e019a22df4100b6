/*
 * Files: the client side of the file-system server's protocol (inc/fs.h). Each request goes out in
 * one page of this env, and the answer comes back in the same page; what is read in whole pages
 * comes right into the caller's memory.
 */
#include "internal.h"

static envid_t fs_env;
static bool page_ready;

/* The request page, to be filled in. It is written to here, so that after a fork it is no longer a
 * copy-on-write page, which could not be sent. NULL: no memory. */
static union Fsipc *request(void)
{
    if (!page_ready) {
        if (sys_page_alloc(0, FSIPC_PAGE, PERM_RW) < 0)
            return NULL;
        page_ready = true;
    }
    *(volatile char *)FSIPC_PAGE->page = 0;
    return FSIPC_PAGE;
}

/* Send this value with what is at req (a page, or PERM_PAGES in perm) and wait for the answer; a
 * page that comes with it is mapped at dstva. Without a server the error is -E_IO. */
static inline int fsipc_pages(uint64_t value, void *req, uint64_t perm, void *dstva)
{
    if (fs_env == 0)
        fs_env = ipc_find_env(ENV_TYPE_FS);
    if (fs_env == 0)
        return -E_IO;
    struct IpcMessage answer;
    int r = receiving_call(SYS_ipc_call, fs_env, value, (uintptr_t)req, perm,
                           dstva ? (uintptr_t)dstva : UTOP, &answer);
    if (r != 0)
        return r == -E_BAD_ENV ? -E_IO : r;
    return (int)answer.value;
}

static int fsipc(int type, void *dstva)
{
    return fsipc_pages(type, FSIPC_PAGE, PERM_RW, dstva);
}

static int path_request(int type, const char *path)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    if (strlcpy(req->path.path, path, MAXPATHLEN) >= MAXPATHLEN)
        return -E_BAD_PATH;
    return fsipc(type, NULL);
}

int open(const char *path, int mode)
{
    struct Fd *fd;
    int r = fd_alloc(&fd);
    if (r < 0)
        return r;
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    if (strlcpy(req->open.path, path, MAXPATHLEN) >= MAXPATHLEN)
        return -E_BAD_PATH;
    req->open.mode = mode;
    r = fsipc(FSREQ_OPEN, fd);
    if (r < 0)
        return r;
    if (!is_mapped((uintptr_t)fd))
        return -E_NO_MEM;
    return fd_number(fd);
}

int open_image(const char *path, int mode, envid_t *holder)
{
    int fd = open(path, mode);
    *holder = fd == -E_BUSY ? FSIPC_PAGE->open_ret.holder : 0;
    return fd;
}

int remove(const char *path)
{
    return path_request(FSREQ_REMOVE, path);
}

int mkdir(const char *path)
{
    return path_request(FSREQ_MKDIR, path);
}

int sync(void)
{
    return request() ? fsipc(FSREQ_SYNC, NULL) : -E_NO_MEM;
}

int statfs(uint64_t *blocks_total, uint64_t *blocks_free)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    int r = fsipc(FSREQ_STATFS, NULL);
    if (r < 0)
        return r;
    *blocks_total = req->statfs_ret.blocks_total;
    *blocks_free = req->statfs_ret.blocks_free;
    return 0;
}

int guest_attach(struct GuestAttach *a)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    if (strlcpy(req->guest_attach.path, a->path, MAXPATHLEN) >= MAXPATHLEN ||
        strlcpy(req->guest_attach.base, a->base ? a->base : "", MAXPATHLEN) >= MAXPATHLEN)
        return -E_BAD_PATH;
    req->guest_attach.guest = a->guest;
    req->guest_attach.use = a->use;
    req->guest_attach.limit = a->limit;
    int r = fsipc(FSREQ_GUEST_ATTACH, NULL);
    a->holder = r == -E_BUSY ? req->guest_attach_ret.holder : 0;
    a->size = r >= 0 ? req->guest_attach_ret.size : 0;
    return r;
}

int guest_disk_ask(uint64_t value, void *pages, unsigned n)
{
    return fsipc_pages(value, pages, PERM_RW | PERM_PAGES(n), NULL);
}

int guest_disk(envid_t guest, uint32_t number, struct GuestDiskInfo *info)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    req->guest_disk.guest = guest;
    req->guest_disk.number = number;
    int r = fsipc(FSREQ_GUEST_DISK, NULL);
    if (r == 0)
        *info = req->guest_disk_ret;
    return r;
}

/* What requests call an open file: the frame of its page, as this env has it mapped. */
static inline uint32_t file_id(const struct Fd *fd)
{
    return low_entry((uintptr_t)fd) >> PGSHIFT;
}

/* The server does not know that this env has the file, which it has got from somebody else: show it
 * the page. */
static int __attribute__((noinline)) show(struct Fd *fd)
{
    return fsipc_pages(FSREQ_SHOW, fd, PERM_RW, NULL);
}

/* Send a request about an open file, for which the pages at req are ready; a second time if the
 * server had forgotten this env, for which others who have the file must have come in between. */
static inline int ask_pages(struct Fd *fd, uint64_t value, void *req, uint64_t perm)
{
    int r = fsipc_pages(value, req, perm, NULL);

    while (__builtin_expect(r == -E_NOT_OPEN, 0) && (r = show(fd)) == 0)
        r = fsipc_pages(value, req, perm, NULL);
    return r;
}

static inline int ask(struct Fd *fd, uint64_t value, union Fsipc *req)
{
    return ask_pages(fd, value, req, PERM_RW);
}

/* Pages of the caller's take the data themselves; they are written to first, for the reason given
 * at request(). */
static inline ssize_t read_pages(struct Fd *fd, char *buf, size_t n)
{
    for (volatile char *page = buf; page < buf + n * PGSIZE_FS; page += PGSIZE_FS)
        *page = *page;
    return ask_pages(fd, FSREQ_READ_VALUE(file_id(fd), n * PGSIZE_FS), buf,
                     PERM_RW | PERM_PAGES(n));
}

static ssize_t __attribute__((noinline)) read_many_pages(struct Fd *fd, char *buf, size_t n)
{
    return read_pages(fd, buf, MIN(n, (size_t)PERM_PAGES_MAX));
}

/* From the file's offset on, which the server moves: whole pages if the buffer has some, else at
 * most as many bytes as the request page holds. */
static ssize_t read_piece(struct Fd *fd, char *buf, size_t n)
{
    size_t most = MIN(n, (size_t)PGSIZE_FS);

    if ((uintptr_t)buf % PGSIZE_FS == 0 && n >= PGSIZE_FS)
        return n < 2 * PGSIZE_FS ? read_pages(fd, buf, 1) : read_many_pages(fd, buf, n / PGSIZE_FS);
    union Fsipc *page = request();
    if (!page)
        return -E_NO_MEM;
    ssize_t got = ask(fd, FSREQ_READ_VALUE(file_id(fd), most), page);
    if (got <= 0)
        return got;
    if ((size_t)got > most)
        return -E_IO;
    memcpy(buf, page->read_ret.buf, got);
    return got;
}

static ssize_t file_read(struct Fd *fd, void *buf, size_t n)
{
    size_t done = 0;
    if (n == PGSIZE_FS && (uintptr_t)buf % PGSIZE_FS == 0) /* the shortest way for the usual case */
        return read_pages(fd, buf, 1);
    while (done < n) {
        ssize_t got = read_piece(fd, (char *)buf + done, n - done);
        if (got <= 0)
            return done ? (ssize_t)done : got;
        done += got;
        if (got % PGSIZE_FS != 0)
            break;
    }
    return done;
}

/* The offset is common to all who have the descriptor: this env takes its part of the file first,
 * so that another's write follows it. It gives back what could not be written, unless the
 * offset has moved on since: then it leaves a gap, since others have taken what follows. */
static ssize_t write_piece(struct Fd *fd, const char *buf, size_t n)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    n = MIN(n, (size_t)FSWRITE_MAX);
    req->write.fileid = file_id(fd);
    req->write.n = n;
    off_t offset = __atomic_fetch_add(&fd->fd_offset, n, __ATOMIC_SEQ_CST);
    req->write.offset = offset;
    memcpy(req->write.buf, buf, n);
    ssize_t put = ask(fd, FSREQ_WRITE, req);
    off_t end = offset + n;
    if (put < (ssize_t)n)
        __atomic_compare_exchange_n(&fd->fd_offset, &end, offset + MAX(put, 0l), false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return put;
}

/* Returns what was written before an error, if that is more than nothing. */
static ssize_t file_write(struct Fd *fd, const void *buf, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = write_piece(fd, (const char *)buf + done, n - done);
        if (put <= 0)
            return done ? (ssize_t)done : put;
        done += put;
    }
    return done;
}

static int file_stat(struct Fd *fd, struct Stat *st)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    req->stat.fileid = file_id(fd);
    int r = ask(fd, FSREQ_STAT, req);
    if (r < 0)
        return r;
    st->st_size = req->stat_ret.size;
    st->st_isdir = req->stat_ret.type == FTYPE_DIR;
    st->st_blocks = req->stat_ret.blocks;
    return 0;
}

static int file_trunc(struct Fd *fd, off_t size)
{
    union Fsipc *req = request();
    if (!req)
        return -E_NO_MEM;
    req->set_size.fileid = file_id(fd);
    req->set_size.size = size;
    return ask(fd, FSREQ_SET_SIZE, req);
}

const struct Dev devfile = {
    .dev_id = 'f',
    .dev_name = "file",
    .dev_read = file_read,
    .dev_write = file_write,
    .dev_stat = file_stat,
    .dev_trunc = file_trunc,
    .dev_seekable = true,
};
