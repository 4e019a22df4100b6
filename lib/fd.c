/*
 * File descriptors. Descriptor n is the page at FDTABLE + n pages, mapped PTE_SHARE so that
 * children have it too; the file offset in it is common to all who hold it, as in Unix. A file is
 * open for as long as somebody maps the page, so there is nothing to close when a program dies.
 * Whoever else has the page may mean harm: what a descriptor is, is read from pages that nobody can
 * write to, and from this env's own page table.
 */
#include "internal.h"

#define PERM_SHARED_RO (PTE_P | PTE_U | PTE_NX | PTE_SHARE)

/* The kinds of read-only pages. */
static const struct Dev *const devs[] = { &devpipe, &devcons };

int fd_alloc(struct Fd **store)
{
    for (int i = 0; i < MAXFD; i++) {
        if (is_mapped_low((uintptr_t)fd_page(i)))
            continue;
        *store = fd_page(i);
        return 0;
    }
    return -E_MAX_OPEN;
}

int fd_lookup(int fdnum, struct Fd **store)
{
    if (fdnum < 0 || fdnum >= MAXFD || !is_mapped_low((uintptr_t)fd_page(fdnum)))
        return -E_INVAL;
    *store = fd_page(fdnum);
    return 0;
}

void fd_release(struct Fd *fd)
{
    sys_page_unmap(0, fd);
    if (is_mapped((uintptr_t)fd_data(fd)))
        sys_page_unmap(0, fd_data(fd));
}

static int add_perm(void *page, uint64_t perm)
{
    uint64_t pte = uvpt_entry((uintptr_t)page);
    return pte & PTE_P ? sys_page_map(0, page, 0, page, (pte & PTE_SYSCALL) | perm) : 0;
}

int fd_keep(int fdnum)
{
    struct Fd *fd;
    int r = fd_lookup(fdnum, &fd);
    if (r == 0)
        r = add_perm(fd_data(fd), PTE_KEEP);
    return r < 0 ? r : add_perm(fd, PTE_KEEP);
}

int fd_make(const struct Dev *dev, uint32_t omode, struct Fd **store)
{
    struct Fd *fd;
    int r = fd_alloc(&fd);

    if (r < 0 || (r = sys_page_alloc(0, fd, PERM_RW)) < 0)
        return r;
    fd->fd_dev_id = dev->dev_id;
    fd->fd_omode = omode;
    if ((r = sys_page_map(0, fd, 0, fd, PERM_SHARED_RO)) < 0) {
        sys_page_unmap(0, fd);
        return r;
    }
    *store = fd;
    return 0;
}

/* The same as fd_dev, for a descriptor whose page is read-only. */
static int sealed_dev(const struct Fd *fd, uint32_t but, const struct Dev **dev)
{
    if (but != O_ACCMODE && (fd->fd_omode & O_ACCMODE) == but)
        return -E_PERM;
    for (size_t i = 0; i < ARRAY_SIZE(devs); i++) {
        if (devs[i]->dev_id != fd->fd_dev_id)
            continue;
        *dev = devs[i];
        return 0;
    }
    return -E_INVAL;
}

int fd_dev(int fdnum, uint32_t but, struct Fd **fd, const struct Dev **dev)
{
    if (fdnum < 0 || fdnum >= MAXFD)
        return -E_INVAL;
    uint64_t pte = low_entry((uintptr_t)fd_page(fdnum));
    if (!(pte & PTE_P))
        return -E_INVAL;
    *fd = fd_page(fdnum);
    if (!(pte & PTE_W))
        return sealed_dev(*fd, but, dev);
    *dev = &devfile;
    return 0;
}

int close(int fdnum)
{
    struct Fd *fd;
    int r = fd_lookup(fdnum, &fd);
    if (r == 0)
        fd_release(fd);
    return r;
}

void close_all(void)
{
    for (int i = 0; i < MAXFD; i++)
        close(i);
}

/* The data page goes first, for the reason given at copy_shared_pages. The new descriptor is one
 * that programs inherit, whatever the old one was. */
int dup(int oldfdnum, int newfdnum)
{
    struct Fd *old, *new;
    int r = fd_lookup(oldfdnum, &old);
    if (r < 0)
        return r;
    if (newfdnum < 0 || newfdnum >= MAXFD)
        return -E_INVAL;
    if (newfdnum == oldfdnum)
        return newfdnum;
    close(newfdnum);
    new = fd_page(newfdnum);

    uint64_t pte = uvpt_entry((uintptr_t)fd_data(old));
    if (pte & PTE_P)
        if ((r = sys_page_map(0, fd_data(old), 0, fd_data(new), pte & PTE_SYSCALL & ~PTE_KEEP)) < 0)
            return r;
    pte = uvpt_entry((uintptr_t)old);
    r = sys_page_map(0, old, 0, new, pte & PTE_SYSCALL & ~PTE_KEEP);
    if (r < 0) {
        sys_page_unmap(0, fd_data(new));
        return r;
    }
    return newfdnum;
}

ssize_t read(int fdnum, void *buf, size_t n)
{
    const struct Dev *dev;
    struct Fd *fd;
    int r = fd_dev(fdnum, O_WRONLY, &fd, &dev);
    if (r < 0)
        return r;
    return dev->dev_read(fd, buf, n);
}

ssize_t readn(int fdnum, void *buf, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fdnum, (char *)buf + done, n - done);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

ssize_t write(int fdnum, const void *buf, size_t n)
{
    const struct Dev *dev;
    struct Fd *fd;
    int r = fd_dev(fdnum, O_RDONLY, &fd, &dev);
    if (r < 0)
        return r;
    return dev->dev_write(fd, buf, n);
}

int writen(int fdnum, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(fdnum, (const char *)buf + done, n - done);
        if (put <= 0)
            return put < 0 ? (int)put : -E_IO;
        done += put;
    }
    return 0;
}

int seek(int fdnum, off_t offset)
{
    const struct Dev *dev;
    struct Fd *fd;
    int r = fd_dev(fdnum, O_ACCMODE, &fd, &dev);
    if (r < 0)
        return r;
    if (offset < 0)
        return -E_INVAL;
    if (!dev->dev_seekable)
        return -E_NOT_SUPP;
    fd->fd_offset = offset;
    return 0;
}

int fstat(int fdnum, struct Stat *st)
{
    const struct Dev *dev;
    struct Fd *fd;
    int r = fd_dev(fdnum, O_ACCMODE, &fd, &dev);
    if (r < 0)
        return r;
    memset(st, 0, sizeof(*st));
    st->st_dev = dev;
    return dev->dev_stat(fd, st);
}

int stat(const char *path, struct Stat *st)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return fd;
    int r = fstat(fd, st);
    close(fd);
    return r;
}

int ftruncate(int fdnum, off_t size)
{
    const struct Dev *dev;
    struct Fd *fd;
    int r = fd_dev(fdnum, O_RDONLY, &fd, &dev);
    if (r < 0)
        return r;
    return dev->dev_trunc ? dev->dev_trunc(fd, size) : -E_NOT_SUPP;
}
