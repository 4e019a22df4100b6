/*
 * Modules for the guest's kernel: files that are loaded above it, page by page.
 */
#include <user/vmm.h>
#include <user/vmm/boot.h>

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
        if (b->kernel.is_linux) /* they are an initrd, whose place linux_plan chooses */
            continue;
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
