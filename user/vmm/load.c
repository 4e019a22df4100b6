/*
 * Loading: file contents into guest memory, a page at a time. A page is read into a fresh page at
 * UTEMP, given to the guest, and taken out of the monitor's own address space, so that it has one
 * owner.
 */
#include "monitor.h"

#define SCRATCH ((void *)UTEMP)

/* readn that takes the end of the file for an error: sizes were checked, but files can shrink. */
static int read_all(int fd, void *buf, size_t n)
{
    ssize_t r = readn(fd, buf, n);
    if (r < 0)
        return r;
    return (size_t)r == n ? 0 : -E_EOF;
}

/* LAB 3 cut */
/* A new page with n bytes of the file, then zeroes, becomes the guest's page at gpa (page aligned).
 */
static int give_page(envid_t guest, gpa_t gpa, int fd, size_t n)
{
    int r = sys_page_alloc(0, SCRATCH, PTE_P | PTE_U | PTE_W);
    if (r < 0)
        return r;
    r = read_all(fd, SCRATCH, n);
    if (r == 0)
        r = sys_ept_map(0, SCRATCH, guest, gpa, PTE_P | PTE_U | PTE_W);
    sys_page_unmap(0, SCRATCH);
    return r;
}
/* LAB 3 end */

/* n bytes of the file into a part of a page that may hold something already. */
static int copy_part(envid_t guest, gpa_t gpa, int fd, size_t n)
{
    int r = sys_page_alloc(0, SCRATCH, PTE_P | PTE_U | PTE_W);
    if (r < 0)
        return r;
    r = read_all(fd, SCRATCH, n);
    if (r == 0)
        r = sys_guest_mem(guest, gpa, SCRATCH, n, true);
    sys_page_unmap(0, SCRATCH);
    return r;
}

int map_in_guest(envid_t guest, gpa_t gpa, size_t memsz, int fd, size_t filesz, off_t fileoffset)
{
    /* LAB 3 begin: map_in_guest */
    if (filesz > memsz)
        return -E_INVAL;
    int r = seek(fd, fileoffset);
    size_t n;
    for (size_t done = 0; r >= 0 && done < filesz; done += n) {
        gpa_t at = gpa + done;
        n = MIN(filesz - done, PGSIZE - PGOFF(at));
        r = PGOFF(at) == 0 ? give_page(guest, at, fd, n) : copy_part(guest, at, fd, n);
    }
    return r < 0 ? r : 0;
    /* LAB 3 end */
}

int copy_guest_kern_gpa(envid_t guest, const struct Image *im)
{
    /* LAB 3 begin: copy_guest_kern_gpa */
    for (unsigned i = 0; i < im->nsegs; i++) {
        const struct Segment *s = &im->segs[i];
        int r = map_in_guest(guest, s->gpa, s->memsz, im->fd, s->filesz, s->offset);
        if (r < 0)
            return r;
    }
    return 0;
    /* LAB 3 end */
}

int modules_load(envid_t guest, const struct Boot *b)
{
    for (unsigned i = 0; i < b->nmods; i++) {
        const struct Module *m = &b->mods[i];
        int r = map_in_guest(guest, m->gpa, m->size, m->fd, m->size, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

/* End of the kernel below 4 GiB, where modules can follow. */
static gpa_t kernel_end(const struct Image *im)
{
    gpa_t end = EXTMEM;
    for (unsigned i = 0; i < im->nsegs; i++)
        if (im->segs[i].gpa < GUEST_HOLE_START)
            end = MAX(end, im->segs[i].gpa + im->segs[i].memsz);
    return end;
}

/* The file's name is the first word of the module's string. */
static int module_path(struct Module *m)
{
    size_t n = strfind(m->string, ' ') - m->string;
    if (n >= sizeof(m->path)) {
        complain("-i: the name of the module is too long");
        return -E_BAD_PATH;
    }
    memcpy(m->path, m->string, n);
    m->path[n] = '\0';
    return 0;
}

int modules_open(struct Boot *b)
{
    gpa_t at = ROUNDUP(kernel_end(&b->kernel), PGSIZE);

    for (unsigned i = 0; i < b->nmods; i++) {
        struct Module *m = &b->mods[i];
        int r = module_path(m);
        if (r < 0)
            return r;
        m->fd = open_regular(m->path, &m->size);
        if (m->fd < 0)
            return m->fd;
        if (!gpa_is_ram(at, m->size, ram_below_hole(b->memsize))) {
            complain("%s: does not fit: needs %lu KiB at gpa 0x%lx, guest has %lu KiB", m->path,
                     (m->size + KIB - 1) / KIB, at, b->memsize / KIB);
            return -E_TOO_BIG;
        }
        m->gpa = at;
        at = ROUNDUP(at + m->size, PGSIZE);
    }
    return 0;
}

static void close_once(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void boot_close(struct Boot *b)
{
    close_once(&b->kernel.fd);
    for (unsigned i = 0; i < b->nmods; i++)
        close_once(&b->mods[i].fd);
}
