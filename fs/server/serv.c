/*
 * The file server: takes requests by IPC (inc/fs.h) and answers them. It never
 * waits for a client: an answer that nobody receives is dropped, and what a dead client had open is
 * found later by reference counts.
 */
#include <inc/lib.h>
#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/recover.h>
#include <fs/core/sync.h>
#include <fs/server/gdisk.h>
#include <fs/server/hostdisk.h>
#include <fs/server/ide.h>
#include <fs/server/open.h>
#include <fs/server/serv.h>
#include <fs/server/vblk.h>
#include <inc/once.h>

#define REQVA       UL(0x0fff0000) /* the pages of the present request */
#define REQ_ROOM    IPC_ROOM(REQVA, PERM_PAGES_MAX)
#define NO_PAGE     ((void *)UTOP)
#define POOL        UL(0x40000000) /* memory of cache and tables, from here up */
#define CACHE_LIMIT 16384          /* blocks */
#define CACHE_SHARE 8              /* at most one part in so many of the free memory */

struct Fs fs;
static bool ready; /* there is a disk with a file system */

/* ---- fs/core/disk.h: memory and messages ---- */

void *os_reserve(size_t size)
{
    static uintptr_t next = POOL;
    void *p = (void *)next;

    if (size > UTOP - next - PGSIZE)
        return NULL;
    next += ROUNDUP(size, PGSIZE);
    return p;
}

int os_commit(void *p, size_t size)
{
    size_t n;

    for (size_t off = 0; off < size; off += n * PGSIZE) {
        n = MIN((size - off + PGSIZE - 1) / PGSIZE, (size_t)PERM_PAGES_MAX);
        int r = sys_page_alloc(0, (char *)p + off, PTE_P | PTE_U | PTE_W | PTE_NX | PERM_PAGES(n));
        if (r < 0)
            return r;
    }
    return 0;
}

void os_say(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cprintf("%s\n", text);
}

/* ---- Requests ---- */

/* A request. Its pages belong to the client, which may change them at any time, and a descriptor's
 * page may be changed by everybody who has the file open: each field is read once, checked, and
 * then used. */
struct Request {
    envid_t from;
    uint64_t value;
    uint64_t perm; /* of the pages, and how many there are (PERM_PAGES_IN) */
    union Fsipc *page;
    char path[MAXPATHLEN]; /* copy, for requests with a path */
    void *answer_page;     /* page to send with the answer, or NO_PAGE */
};

/* Copy a path from the request page. -E_BAD_PATH: it is not terminated. */
static int take_path(struct Request *rq, const char *path)
{
    size_t len = strnlen(path, MAXPATHLEN);

    if (len == MAXPATHLEN)
        return -E_BAD_PATH;
    memcpy(rq->path, path, len);
    rq->path[len] = '\0';
    return 0;
}

/* Find, or with O_CREAT make, the file of an open request. */
static int open_inode(const char *path, uint32_t mode, uint32_t *inum)
{
    int r = fs_lookup(&fs, path, inum);

    if (r == -E_NOT_FOUND && (mode & O_CREAT)) {
        r = fs_may_change(&fs, true);
        return r < 0 ? r : fs_create(&fs, path, FS_FILE, inum);
    }
    return r == 0 && (mode & O_CREAT) && (mode & O_EXCL) ? -E_FILE_EXISTS : r;
}

/* May this file be opened in this mode? */
static int check_mode(uint32_t inum, uint32_t mode, struct FsStat *st)
{
    bool writes = (mode & O_ACCMODE) != O_RDONLY;
    int r = fs_stat(&fs, inum, st);

    if (r < 0)
        return r;
    if (st->type == FTYPE_DIR && writes)
        return -E_IS_DIR;
    return writes && gdisk_has(inum) ? -E_BUSY : 0;
}

static int64_t serve_open(struct Request *rq)
{
    const uint32_t known = O_ACCMODE | O_CREAT | O_TRUNC | O_EXCL | O_APPEND;
    uint32_t mode = READ_ONCE(rq->page->open.mode), inum;
    struct OpenFile *of;
    struct FsStat st;
    int r;

    if ((mode & ~known) || (mode & O_ACCMODE) == O_ACCMODE)
        return -E_INVAL;
    if ((mode & O_TRUNC) && (mode & O_ACCMODE) == O_RDONLY)
        return -E_INVAL;
    /* The slot first: without one, nothing is created or truncated. */
    if ((r = take_path(rq, rq->page->open.path)) < 0 || (r = open_alloc(rq->from, mode, &of)) < 0 ||
        (r = open_inode(rq->path, mode, &inum)) < 0)
        return r;
    if ((r = check_mode(inum, mode, &st)) < 0) {
        rq->page->open_ret.holder = r == -E_BUSY ? gdisk_user(inum) : 0;
        return r;
    }
    if ((mode & O_TRUNC) && st.size > 0) {
        if ((r = fs_may_change(&fs, false)) < 0 || (r = fs_truncate(&fs, inum, 0)) < 0)
            return r;
        st.size = 0;
    }
    of->inum = inum;
    of->holder[0] = rq->from;
    of->fd->fd_offset = mode & O_APPEND ? st.size : 0;
    rq->answer_page = of->fd;
    return 0;
}

static int64_t serve_read(struct Request *rq)
{
    struct OpenFile *of = open_find(FSREQ_READ_FILE(rq->value), rq->from);
    uint32_t n = FSREQ_READ_N(rq->value);
    off_t offset;
    ssize_t got;

    if (!of)
        return -E_NOT_OPEN;
    if ((n > PGSIZE_FS && n > PERM_PAGES_IN(rq->perm) * PGSIZE_FS) ||
        (offset = READ_ONCE(of->fd->fd_offset)) < 0)
        return -E_INVAL;
    if (of->mode == O_WRONLY)
        return -E_PERM;
    got = fs_read(&fs, of->inum, rq->page->read_ret.buf, n, offset);
    if (got > 0)
        __atomic_fetch_add(&of->fd->fd_offset, got, __ATOMIC_SEQ_CST);
    return got;
}

static int64_t serve_write(struct Request *rq)
{
    struct OpenFile *of = open_find(READ_ONCE(rq->page->write.fileid), rq->from);
    uint32_t n = READ_ONCE(rq->page->write.n);
    off_t offset = READ_ONCE(rq->page->write.offset);
    struct FsStat st;
    int r;

    if (!of)
        return -E_NOT_OPEN;
    if (n > FSWRITE_MAX || offset < 0)
        return -E_INVAL;
    if (of->mode == O_RDONLY)
        return -E_PERM;
    if ((r = fs_stat(&fs, of->inum, &st)) < 0 || (r = fs_may_change(&fs, true)) < 0)
        return r;
    if (st.type == FTYPE_DIR)
        return -E_IS_DIR;
    return fs_write(&fs, of->inum, rq->page->write.buf, n, offset);
}

static int64_t serve_set_size(struct Request *rq)
{
    struct OpenFile *of = open_find(READ_ONCE(rq->page->set_size.fileid), rq->from);
    off_t size = READ_ONCE(rq->page->set_size.size);

    if (!of)
        return -E_NOT_OPEN;
    if (size < 0)
        return -E_INVAL;
    if (of->mode == O_RDONLY)
        return -E_PERM;
    int r = fs_may_change(&fs, false);
    return r < 0 ? r : fs_truncate(&fs, of->inum, size);
}

static int64_t serve_stat(struct Request *rq)
{
    struct OpenFile *of = open_find(READ_ONCE(rq->page->stat.fileid), rq->from);
    struct FsStat st;
    int r = of ? fs_stat(&fs, of->inum, &st) : -E_NOT_OPEN;

    if (r < 0)
        return r;
    rq->page->stat_ret.size = st.size;
    rq->page->stat_ret.type = st.type;
    rq->page->stat_ret.blocks = st.blocks;
    return 0;
}

static int64_t serve_show(struct Request *rq)
{
    return open_show((uintptr_t)rq->page, rq->from);
}

static int64_t serve_remove(struct Request *rq)
{
    int r = take_path(rq, rq->page->path.path);

    if (r < 0 || (r = fs_may_change(&fs, false)) < 0)
        return r;
    open_sweep(); /* no slot may outlive the inode */
    return fs_remove(&fs, rq->path);
}

static int64_t serve_mkdir(struct Request *rq)
{
    uint32_t inum;
    int r = take_path(rq, rq->page->path.path);

    if (r < 0 || (r = fs_may_change(&fs, true)) < 0)
        return r;
    return fs_create(&fs, rq->path, FS_DIR, &inum);
}

/* Find out what has been closed; removed files that nobody uses any more go away. Returns how much.
 */
static int sweep(void)
{
    return open_sweep() + gdisk_sweep();
}

static int64_t serve_sync(struct Request *rq)
{
    (void)rq;
    sweep();
    return fs_sync(&fs);
}

static int64_t serve_statfs(struct Request *rq)
{
    sweep();
    rq->page->statfs_ret.blocks_total = fs.super.nblocks;
    rq->page->statfs_ret.blocks_free = fs_free_blocks(&fs) - MIN(fs_free_blocks(&fs), fs.kept);
    return 0;
}

/* The images of an attach request: its own, which is created over a base if it is missing, and the
 * base (0: none). */
static int find_images(struct Request *rq, struct GdiskAttach *a, bool *created)
{
    int r;

    if ((r = take_path(rq, rq->page->guest_attach.base)) < 0 ||
        (rq->path[0] && (r = fs_lookup(&fs, rq->path, &a->base)) < 0) ||
        (r = take_path(rq, rq->page->guest_attach.path)) < 0)
        return r;
    r = fs_lookup(&fs, rq->path, &a->inum);
    if (r != -E_NOT_FOUND || !a->base)
        return r;
    r = gdisk_create(rq->path, a->base, &a->inum);
    *created = r == 0;
    return r;
}

static int64_t serve_guest_attach(struct Request *rq)
{
    struct GdiskAttach a = {
        .guest = READ_ONCE(rq->page->guest_attach.guest),
        .monitor = rq->from,
        .use = READ_ONCE(rq->page->guest_attach.use),
        .limit = READ_ONCE(rq->page->guest_attach.limit),
    };
    const volatile struct Env *e = &envs[ENVX(a.guest)];
    bool created = false;
    envid_t holder = 0;
    int r;

    if (a.guest <= 0 || e->env_id != a.guest || e->env_type != ENV_TYPE_GUEST)
        return -E_BAD_ENV;
    if (e->env_parent_id != rq->from)
        return -E_PERM;
    if ((r = find_images(rq, &a, &created)) == 0)
        r = gdisk_attach(&a, &holder);
    if (r < 0 && created)
        fs_remove(&fs, rq->path);
    if (r >= 0)
        rq->page->guest_attach_ret.size = gdisk_size(r);
    else if (r == -E_BUSY)
        rq->page->guest_attach_ret.holder = holder;
    return r;
}

static int64_t serve_guest_disk(struct Request *rq)
{
    struct GuestDiskInfo info;
    int r = gdisk_info(READ_ONCE(rq->page->guest_disk.guest),
                       READ_ONCE(rq->page->guest_disk.number), &info);

    if (r == 0)
        rq->page->guest_disk_ret = info;
    return r;
}

static int64_t serve_disk(struct Request *rq)
{
    return gdisk_serve(rq->from, rq->value, rq->page, PERM_PAGES_IN(rq->perm) * PGSIZE_FS);
}

static int64_t (*const handlers[])(struct Request *rq) = {
    [FSREQ_OPEN] = serve_open,       [FSREQ_READ] = serve_read,
    [FSREQ_WRITE] = serve_write,     [FSREQ_SET_SIZE] = serve_set_size,
    [FSREQ_STAT] = serve_stat,       [FSREQ_REMOVE] = serve_remove,
    [FSREQ_MKDIR] = serve_mkdir,     [FSREQ_SYNC] = serve_sync,
    [FSREQ_STATFS] = serve_statfs,   [FSREQ_GUEST_ATTACH] = serve_guest_attach,
    [FSREQ_SHOW] = serve_show,       [FSREQ_GUEST_DISK] = serve_guest_disk,
    [FSREQ_DISK_READ] = serve_disk,  [FSREQ_DISK_WRITE] = serve_disk,
    [FSREQ_DISK_FLUSH] = serve_disk, [FSREQ_DISK_DISCARD] = serve_disk,
    [FSREQ_DISK_ZERO] = serve_disk,
};

/* Serve a client's request; returns the answer's value. */
static int64_t serve(struct Request *rq)
{
    size_t nr = FSREQ_NUMBER(rq->value);

    if (nr >= ARRAY_SIZE(handlers) || !handlers[nr] || !(rq->perm & PTE_W))
        return -E_INVAL;
    int64_t r = handlers[nr](rq);
    /* Perhaps removed files that nobody has open any more still take space. */
    if (r == -E_NO_DISK && sweep() > 0)
        r = handlers[nr](rq);
    return r;
}

/* Serve the message in the request page. A guest's is told from a client's by the sender's type,
 * which is certain only while the sender exists; if it is gone, nothing is done for it. */
static int64_t dispatch(struct Request *rq)
{
    const volatile struct Env *e = &envs[ENVX(rq->from)];
    uint32_t type = e->env_type;

    if (!ready)
        return -E_IO;
    if (e->env_id != rq->from)
        return -E_BAD_ENV;
    if (type == ENV_TYPE_GUEST)
        return gdisk_request(rq->from, rq->value, rq->perm & PTE_P ? rq->page : NULL,
                             rq->perm & PTE_W);
    return serve(rq);
}

/* Do what the message that has come asks for. Returns the answer's value. */
static int64_t serve_one(struct Request *rq, const struct IpcMessage *m)
{
    rq->from = m->from;
    rq->value = m->value;
    rq->perm = m->perm;
    rq->page = (union Fsipc *)REQVA;
    rq->answer_page = NO_PAGE;
    return dispatch(rq);
}

/* Answer the last request and take the next one, for ever. */
static void __attribute__((noreturn)) serve_all(void)
{
    static struct Request rq;
    struct IpcMessage m;
    int r = sys_ipc_recv(REQ_ROOM, 0, &m);

    for (;;) {
        if (r < 0) {
            r = sys_ipc_recv(REQ_ROOM, 0, &m);
            continue;
        }
        int64_t answer = serve_one(&rq, &m);
        r = sys_ipc_reply_recv(rq.from, answer, rq.answer_page,
                               PTE_P | PTE_U | PTE_W | PTE_SHARE | PTE_NX, REQ_ROOM, &m);
    }
}

static bool inode_in_use(uint32_t inum)
{
    return open_has(inum, 0) || gdisk_has(inum);
}

/* Is this word in the kernel's command line, before the words for a program? */
static bool told(const char *name)
{
    char line[512];
    size_t len = strlen(name);

    sys_cmdline(line, sizeof(line));
    for (const char *word = line, *end; *word; word = *end ? end + 1 : end) {
        end = strfind(word, ' ');
        if (strncmp(word, "--", end - word) == 0 && end - word == 2)
            return false;
        if ((size_t)(end - word) == len && strncmp(word, name, len) == 0)
            return true;
    }
    return false;
}

/* With the word `virtio`, a disk of that kind comes first. */
static struct Disk *find_disk(bool is_guest)
{
    struct Disk *d = told("virtio") ? vblk_disk() : NULL;

    if (d)
        return d;
    return is_guest ? host_disk() : ide_disk();
}

/* Find the disk and mount it. */
static bool start(void)
{
    struct SysInfo info;

    sys_sysinfo(&info);
    struct Disk *disk = find_disk(info.is_guest);
    if (!disk)
        return false;
    fs.in_use = inode_in_use;
    int r = fs_mount(&fs, disk, MIN(info.pages_free / CACHE_SHARE, (uint64_t)CACHE_LIMIT));
    if (r < 0) {
        cprintf("fs: cannot mount %s: %e\n", disk->name, r);
        return false;
    }
    if (!fs.super.clean && (r = fs_recover(&fs)) > 0)
        cprintf("fs: the disk was not shut down cleanly; recovered %d lost blocks\n", r);
    if (r < 0)
        cprintf("fs: the disk was not shut down cleanly, and %s needs fsck: %e; it is read-only\n",
                disk->name, r);
    cprintf("fs: %u blocks, %u free\n", fs.super.nblocks, fs_free_blocks(&fs));
    return true;
}

int umain(int argc, char **argv)
{
    (void)argc, (void)argv;
    sys_env_set_name(0, "fs");
    ready = start();
    serve_all();
}
