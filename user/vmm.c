/*
 * vmm: runs a guest. It checks the kernel and everything else that it was given, makes a guest env,
 * loads the kernel into it as a Multiboot boot loader would, and then is the guest's console and
 * devices until it ends. `vmm` alone starts gOS. In the foreground this is done by a child, so that
 * the guest can go on when the user takes the console back.
 *
 * File contents come into guest memory by way of pages of the monitor's own at SCRATCH, as many at
 * a time as the file server reads at once.
 */
#include <inc/multiboot.h>
#include <user/vmm.h>
#include <user/vmm/acpi.h>
#include <user/vmm/attach.h>
#include <user/vmm/console.h>
#include <user/vmm/control.h>
#include <user/vmm/diskfiles.h>
#include <user/vmm/disks.h>
#include <user/vmm/gdb/session.h>
#include <user/vmm/linux.h>
#include <user/vmm/mbi.h>
#include <user/vmm/options.h>
#include <user/vmm/progress.h>
#include <user/vmm/run.h>
#include <user/vmm/stats.h>

#define STATUS_FAILED                                                          \
    1 /* exit status of failures here; a guest that powers off chooses its own \
       */

#define SCRATCH ((char *)UTEMP)

/* ---- The guest and its memory ---- */

envid_t make_guest(const struct Boot *b, int flags)
{
    /* LAB 1 begin: make_guest */
    char why[512] = "";
    envid_t guest = sys_env_mkguest(b->memsize, b->kernel.entry, flags, why, sizeof(why));
    if (guest < 0)
        complain("cannot make a guest: %e%s%s", guest, why[0] ? ": " : "", why);
    return guest;
    /* LAB 1 end */
}

/* readn that takes the end of the file for an error: sizes were checked, but files can shrink. */
static int read_all(int fd, void *buf, size_t n)
{
    ssize_t r = readn(fd, buf, n);
    if (r < 0)
        return r;
    progress_add(r);
    return (size_t)r == n ? 0 : -E_EOF;
}

/* LAB 3 cut */
/* Pages at SCRATCH for n bytes, or for what is read at once if that is less. */
static int scratch_alloc(size_t n)
{
    size_t pages = ROUNDUP(MIN(n, FSREAD_MAX), PGSIZE) / PGSIZE;
    return pages > 0 ? sys_page_alloc(0, SCRATCH, PTE_P | PTE_U | PTE_W | PERM_PAGES(pages)) : 0;
}

static void scratch_free(size_t n)
{
    for (size_t at = 0; at < MIN(n, FSREAD_MAX); at += PGSIZE)
        sys_page_unmap(0, SCRATCH + at);
}

/* n bytes of the file, then zeroes up to the end of the page, to gpa (page aligned). They go by way
 * of SCRATCH into frames that the VMM takes for the guest. (A page that is given to the guest by
 * sys_ept_map would be cleared when it is allocated, which costs as much as this copy, and system
 * calls for each page.) */
static int fill_pages(envid_t guest, gpa_t gpa, int fd, size_t n)
{
    int r = read_all(fd, SCRATCH, n);
    size_t whole = ROUNDUP(n, PGSIZE);
    memset(SCRATCH + n, 0, whole - n);
    return r == 0 ? sys_guest_mem(guest, gpa, SCRATCH, whole, true) : r;
}

static int give_pages(envid_t guest, gpa_t gpa, int fd, size_t size)
{
    int r = scratch_alloc(size);
    size_t n;
    for (size_t done = 0; r == 0 && done < size; done += n) {
        n = MIN(size - done, FSREAD_MAX);
        r = fill_pages(guest, gpa + done, fd, n);
    }
    scratch_free(size);
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
    size_t head = PGOFF(gpa) == 0 ? 0 : MIN(filesz, PGSIZE - PGOFF(gpa));
    int r = seek(fd, fileoffset);
    if (r >= 0 && head > 0)
        r = copy_part(guest, gpa, fd, head);
    if (r >= 0)
        r = give_pages(guest, gpa + head, fd, filesz - head);
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

/* ---- The way to a running guest ---- */

/* Everything that can be found wrong without a guest. */
static int plan(const struct Options *o, struct Boot *b)
{
    int r = image_open(&b->kernel, o->kernel ? o->kernel : GUEST_KERN, &b->memsize);
    if (r == 0)
        r = modules_open(b);
    if (r == 0)
        r = b->kernel.is_linux ? linux_plan(b) : mbi_plan(b);
    return r == 0 ? disks_check(o) : r;
}

static uint64_t kernel_bytes(const struct Image *im)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < im->nsegs; i++)
        sum += im->segs[i].filesz;
    return sum;
}

static uint64_t module_bytes(const struct Boot *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->nmods; i++)
        sum += b->mods[i].size;
    return sum;
}

/* Multiboot "Machine state": EBX is the address of the information. The VMM sets the rest. */
static struct Trapframe multiboot_registers(const struct Boot *b)
{
    return (struct Trapframe){ .tf_rax = MULTIBOOT_BOOTLOADER_MAGIC,
                               .tf_rbx = b->info,
                               .tf_rip = b->kernel.entry };
}

static int set_registers(envid_t guest, const struct Boot *b)
{
    struct Trapframe tf = b->kernel.is_linux ? linux_registers(b) : multiboot_registers(b);
    return sys_env_set_trapframe(guest, &tf);
}

static int load(envid_t guest, const struct Boot *b)
{
    say("vmm: loading %s: %lu KiB", b->kernel.path, (kernel_bytes(&b->kernel) + KIB - 1) / KIB);
    if (b->nmods > 0)
        say(", modules: %lu KiB", (module_bytes(b) + KIB - 1) / KIB);

    progress_begin(kernel_bytes(&b->kernel) + module_bytes(b));
    int r = acpi_load(guest);
    if (r == 0)
        r = b->kernel.is_linux ? linux_load(guest, b) : mbi_load(guest, b);
    if (r == 0)
        r = copy_guest_kern_gpa(guest, &b->kernel);
    if (r == 0)
        r = modules_load(guest, b);
    if (r == 0)
        r = set_registers(guest, b);
    say(r < 0 ? "\n" : " ok (Ctrl-] detaches)\n");
    if (r < 0)
        complain("cannot load the guest: %e", r);
    return r;
}

/* The guest gets its name, unless another one has it than the one that it replaces. */
static int take_name(envid_t guest, const char *name, envid_t replaced)
{
    int r = sys_env_set_name(guest, name);
    if (r == 0 && replaced == 0 && guest_named(name, guest)) {
        complain("a guest named %s is there already; -n gives another name, vms lists guests",
                 name);
        return -E_BUSY;
    }
    return r;
}

static int limit_cpu(envid_t guest, const struct Options *o)
{
    int r = features_any(&o->features_off) ? sys_guest_features(guest, &o->features_off) : 0;
    if (r < 0)
        complain("cannot turn features of the guest's CPU off: %e", r);
    return r;
}

static int start_trace(envid_t guest, const struct Options *o)
{
    int r = o->trace > 0 ? sys_guest_trace_start(guest, o->trace) : 0;
    if (r < 0)
        complain("cannot keep a trace of %lu exits: %e", o->trace, r);
    return r;
}

/* Whatever state the guest is in: end it, and take its exit status out of the kernel. 0: none. */
static void discard(envid_t guest)
{
    if (guest == 0)
        return;
    sys_env_destroy(guest);
    sys_env_wait(guest, NULL, false);
    disks_end();
}

static int start_and_run(envid_t guest, const struct Options *o, const struct Boot *b)
{
    struct GuestStats stats;

    int r = sys_env_set_status(guest, ENV_RUNNABLE);
    if (r < 0) {
        complain("cannot start the guest: %e", r);
        return STATUS_FAILED;
    }
    sys_yield();
    int status = run_to_end(guest, o->name, b->memsize, &o->cards, o->restart);
    if (o->stats && sys_guest_stats(guest, &stats) == 0)
        stats_print(&stats);
    return status;
}

/* gOS says so itself: guests find no virtualization on their CPU, and no guest kernel on their
 * disk. */
static bool in_guest(void)
{
    struct SysInfo info;
    if (sys_sysinfo(&info) < 0 || !info.is_guest)
        return false;
    complain("this is a guest itself, and a guest cannot run others; detach (Ctrl-]) and run vmm "
             "in hOS");
    return true;
}

static bool can_run_guests(void)
{
    char why[512] = "";
    int r = sys_guest_check(why, sizeof(why));
    if (r < 0)
        complain("this machine cannot run guests: %s", why);
    return r == 0;
}

/* A guest with this name takes the place of the one before, whose name is never free: a guest that
 * starts again is found all the time. 0 or -E_*. */
static int replace(envid_t *guest, const struct Options *o, const struct Boot *b)
{
    envid_t next = make_guest(b, o->flags);
    if (next < 0)
        return next;
    int r = take_name(next, o->name, *guest);
    discard(*guest);
    *guest = next;
    return r;
}

/* From its files to its end. Returns the exit status, or RUN_RESET. */
static int run_once(const struct Options *o, struct Boot *b, envid_t *guest)
{
    int status = STATUS_FAILED;

    if (plan(o, b) == 0 && replace(guest, o, b) == 0 && limit_cpu(*guest, o) == 0 &&
        start_trace(*guest, o) == 0 && disks_attach(*guest, o, b->kernel.is_linux) == 0 &&
        load(*guest, b) == 0 && (!(o->flags & GUEST_DEBUG) || gdb_open(*guest, o->name) == 0)) {
        boot_close(b);
        status = start_and_run(*guest, o, b);
    }
    boot_close(b);
    return status;
}

static int run(const struct Options *o, struct Boot *b)
{
    envid_t guest = 0;
    int status;
    do
        status = run_once(o, b, &guest);
    while (status == RUN_RESET);
    gdb_ended(status, true); /* if it could not start again */
    discard(guest);
    attach_end(MON_ENDED(status));
    return status;
}

/* In the foreground the monitor is a child, and this env waits with the console. */
static int start(const struct Options *o, struct Boot *b)
{
    cons_setup();
    if (cons_in_background())
        return run(o, b);
    envid_t self = sys_getenvid();
    envid_t monitor = fork();
    if (monitor < 0) {
        complain("cannot start the monitor: %e", monitor);
        return STATUS_FAILED;
    }
    if (monitor > 0)
        return await_monitor(monitor, o->name);
    attach_start(self);
    return run(o, b);
}

int umain(int argc, char **argv)
{
    static struct Boot boot;
    static struct Options o;

    int done = control(argc, argv);
    if (done >= 0)
        return done;
    int status = parse_options(argc, argv, &o, &boot);
    if (status != 0)
        return status;
    return !in_guest() && can_run_guests() ? start(&o, &boot) : STATUS_FAILED;
}
