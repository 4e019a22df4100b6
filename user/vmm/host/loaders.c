/*
 * A target: the loaders. The input is a kernel file, with what a guest's user says beside it: the
 * guest's memory, a command line, modules. What vmm would do with them up to the guest's first
 * instruction is done here; of a file that is refused a sentence tells, and what one that is taken
 * puts into guest memory has its own place there.
 */
#include <user/vmm/acpi.h>
#include <user/vmm/boot.h>
#include <user/vmm/host/target.h>
#include <user/vmm/linux.h>
#include <user/vmm/linux_start.h>
#include <user/vmm/mbi.h>
#include <user/vmm/memmap.h>

#define KERNEL      "kernel"
#define MODULE      "module words"
#define MODULES     2
#define CMDLINE_MAX 6000
#define PLACES      64
#define FIRST_FD    3

/* What comes before the file in an input. */
struct Preamble {
    uint64_t memsize; /* of the guest; 0: the usual one */
    uint32_t more;    /* bytes of the file after those of the input; zeroes */
    uint16_t cmdline; /* length */
    uint8_t nmods, pad;
    uint32_t mod_size[MODULES];
};
_Static_assert(sizeof(struct Preamble) == 24, "preamble of inputs");

static struct {
    const uint8_t *data; /* of the file, followed by zeroes */
    size_t ndata;
    uint64_t size;
    const uint32_t *mod_size;
    unsigned nmods; /* that were opened */
    off_t at;
    unsigned open, sentences;
    uint64_t memsize;
} host;

/* ---- The calls that loaders make ---- */

int open(const char *path, int mode)
{
    HOLDS(mode == O_RDONLY, "mode %d", mode);
    host.open++;
    host.at = 0;
    return strcmp(path, KERNEL) == 0 ? FIRST_FD : FIRST_FD + 1 + host.nmods++;
}

int close(int fd)
{
    HOLDS(fd >= FIRST_FD && host.open > 0, "fd %d", fd);
    host.open--;
    return 0;
}

int fstat(int fd, struct Stat *st)
{
    *st = (struct Stat){ .st_size = fd == FIRST_FD ? host.size : host.mod_size[fd - FIRST_FD - 1] };
    return 0;
}

int seek(int fd, off_t offset)
{
    HOLDS(fd == FIRST_FD, "fd %d", fd);
    if (offset < 0)
        return -E_INVAL;
    host.at = offset;
    return 0;
}

ssize_t readn(int fd, void *buf, size_t n)
{
    HOLDS(fd == FIRST_FD, "fd %d", fd);
    uint64_t at = host.at;
    n = at < host.size ? MIN(n, host.size - at) : 0;
    memset(buf, 0, n);
    if (at < host.ndata)
        memcpy(buf, host.data + at, MIN(n, host.ndata - at));
    host.at += n;
    return n;
}

int fprintf(int fd, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    HOLDS(fd == 2 && n > 0, "a text for fd %d", fd);
    host.sentences++;
    return n;
}

char *strfind(const char *s, char c)
{
    while (*s && *s != c)
        s++;
    return (char *)s;
}

int sys_sysinfo(struct SysInfo *info)
{
    *info = (struct SysInfo){ .tsc_khz = 3000000 };
    return 0;
}

/* ---- What lies where in guest memory ---- */

static struct Place {
    gpa_t start, end;
    const char *what;
} places[PLACES];
static unsigned nplaces;

static void take_place(gpa_t start, uint64_t len, const char *what)
{
    gpa_t end = start + len;
    bool low = end <= MIN(host.memsize, GUEST_HOLE_START);
    bool high = start >= GUEST_HOLE_END &&
                end <= GUEST_HOLE_END + (host.memsize - MIN(host.memsize, GUEST_HOLE_START));
    if (len == 0)
        return;
    HOLDS(end > start && (low || high), "%s at 0x%lx, 0x%lx bytes, of 0x%lx", what, start, len,
          host.memsize);
    for (unsigned i = 0; i < nplaces; i++)
        HOLDS(end <= places[i].start || start >= places[i].end, "%s and %s at 0x%lx", what,
              places[i].what, start);
    HOLDS(nplaces < PLACES, "%s", what);
    places[nplaces++] = (struct Place){ start, end, what };
}

int sys_guest_mem(envid_t guest, gpa_t gpa, void *buf, size_t len, bool write)
{
    target_look_at(buf, len);
    HOLDS(guest == 1 && write, "guest %d", guest);
    take_place(gpa, len, "boot information");
    return 0;
}

int map_in_guest(envid_t guest, gpa_t gpa, size_t memsz, int fd, size_t filesz, off_t offset)
{
    HOLDS(guest == 1 && fd > FIRST_FD && memsz == filesz && offset == 0, "fd %d", fd);
    HOLDS(PGOFF(gpa) == 0, "gpa 0x%lx", gpa);
    take_place(gpa, ROUNDUP(memsz, PGSIZE), "a module");
    return 0;
}

static void check_kernel(const struct Image *im)
{
    bool has_entry = false;
    HOLDS(im->nsegs > 0 && im->nsegs <= MAX_SEGMENTS, "%u segments", im->nsegs);
    for (unsigned i = 0; i < im->nsegs; i++) {
        const struct Segment *s = &im->segs[i];
        HOLDS(s->filesz <= s->memsz, "segment %u", i);
        HOLDS(s->offset >= 0 && (uint64_t)s->offset <= host.size &&
                  s->filesz <= host.size - s->offset,
              "segment %u: 0x%lx bytes at 0x%lx", i, s->filesz, s->offset);
        HOLDS(i == 0 || s[-1].gpa <= s->gpa, "segment %u", i);
        take_place(s->gpa, s->memsz, "a segment");
        has_entry |= im->entry >= s->gpa && im->entry - s->gpa < s->memsz;
    }
    HOLDS(has_entry && im->entry <= UINT32_MAX, "entry 0x%lx", im->entry);
}

/* ---- The way to a guest ---- */

static int plan(struct Boot *b)
{
    int r = image_open(&b->kernel, KERNEL, &b->memsize);
    host.memsize = b->memsize;
    if (r < 0)
        return r;
    check_kernel(&b->kernel);
    r = modules_open(b);
    if (r == 0)
        r = b->kernel.is_linux ? linux_plan(b) : mbi_plan(b);
    return r;
}

static void load(const struct Boot *b)
{
    int r = b->kernel.is_linux ? linux_load(1, b) : mbi_load(1, b);
    HOLDS(r == 0, "load: %d", r);
    HOLDS(modules_load(1, b) == 0, "modules");
    struct Trapframe tf = b->kernel.is_linux ? linux_registers(b) : (struct Trapframe){ 0 };
    HOLDS(tf.tf_rip <= UINT32_MAX, "rip 0x%lx", tf.tf_rip);
}

static uint64_t memory_of(const struct Preamble *p)
{
    uint64_t most = GUEST_MEM_MAX - GUEST_MEM_MIN + PGSIZE;
    if (p->memsize == 0)
        return 0;
    return ROUNDDOWN(GUEST_MEM_MIN + (p->memsize - GUEST_MEM_MIN) % most, PGSIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char cmdline[CMDLINE_MAX + 1];
    static struct Boot b;
    struct Preamble p = { 0 };
    size_t n = MIN(size, sizeof(p));
    memcpy(&p, data, n);
    memset(cmdline, 'x', CMDLINE_MAX);
    cmdline[p.cmdline % CMDLINE_MAX] = '\0';

    nplaces = host.open = host.sentences = 0;
    host.nmods = 0;
    host.mod_size = p.mod_size;
    host.data = data + n;
    host.ndata = size - n;
    host.size = host.ndata + p.more;
    b = (struct Boot){ .memsize = memory_of(&p), .cmdline = cmdline, .kernel.fd = -1 };
    b.nmods = p.nmods % (MODULES + 1);
    for (unsigned i = 0; i < b.nmods; i++)
        b.mods[i] = (struct Module){ .string = MODULE, .fd = -1 };

    int r = plan(&b);
    HOLDS(r <= 0, "%d", r);
    HOLDS((r < 0) == (host.sentences > 0), "%d, and %u sentences", r, host.sentences);
    if (r == 0)
        load(&b);
    boot_close(&b);
    HOLDS(host.open == 0, "%u files are left open", host.open);
    return 0;
}
