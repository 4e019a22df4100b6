/*
 * vmm: runs a guest. It checks the kernel and everything else that it was given, makes a guest env,
 * loads the kernel into it as a Multiboot boot loader would, and then is the guest's console and
 * devices until it ends. `vmm` alone starts gOS. In the foreground this is done by a child, so that
 * the guest can go on when the user takes the console back.
 */
#include <user/vmm/monitor.h>

/* Exit statuses of failures here; a guest that powers off chooses its own. */
#define STATUS_FAILED 1
#define STATUS_USAGE  2

#define DEFAULT_NAME "gos"

struct Options {
    const char *name;
    const char *kernel, *disk; /* NULL: not given */
    char image[MAXPATHLEN];    /* without -d: what this guest writes to GUEST_DISK */
    uint64_t limit;            /* bytes that the disk may take of the host's; 0: all of its own */
    int flags;                 /* for sys_env_mkguest */
    bool stats;
    size_t trace; /* exits to keep; 0: none */
};

static int usage(void)
{
    fprintf(
        2,
        "usage: vmm [-n NAME] [-m SIZE] [-k FILE] [-d IMAGE] [-D SIZE] [-a \"ARGS\"] [-i \"MODULE "
        "ARGS\"]... "
        "[-p] [-s] [-t] [-T N] [-g] [&]\n"
        "       vmm attach|pause|resume|kill NAME\n"
        "  -n NAME    name of the guest, default %s; what it writes to its disk is kept in "
        "/vmm/NAME.img\n"
        "  -m SIZE    guest memory, %luM to %luG, default %luM\n"
        "  -k FILE    Multiboot kernel, default %s\n"
        "  -d IMAGE   disk image to read and write, instead of %s and /vmm/NAME.img\n"
        "  -D SIZE    what the disk may take of the host's, at least %luM, default: its own size; "
        "a quarter of the host's is never a guest's\n"
        "  -a ARGS    command line for the kernel\n"
        "  -i MODULE  load a file for the kernel (up to %u times)\n"
        "  -p         intercept, verify and inject the guest's page faults\n"
        "  -s         print statistics when the guest has ended\n"
        "  -t         trace: keep the last %u exits, for vmtrace and for the report if it is "
        "ended\n"
        "  -T N       the same with N exits, at most %u\n"
        "  -g         wait for gdb, which debugs the guest over serial port COM3\n"
        "Ctrl-] gives the console back, and the guest goes on; vms lists guests. Exit status: the "
        "guest's own, 1 on failure, 2 on wrong usage.\n",
        DEFAULT_NAME, GUEST_MEM_MIN / MIB, GUEST_MEM_MAX / GIB, GUEST_MEM_DEFAULT / MIB, GUEST_KERN,
        GUEST_DISK, GUEST_DISK_MIN / MIB, MAX_MODULES, GUEST_TRACE_DEFAULT, GUEST_TRACE_MAX);
    return STATUS_USAGE;
}

static int set_memsize(struct Boot *b, const char *arg)
{
    uint64_t size;
    if (parse_size(arg, &size) < 0 || size < GUEST_MEM_MIN || size > GUEST_MEM_MAX) {
        complain("-m %s: guest memory is a number with K, M or G, from %luM to %luG", arg,
                 GUEST_MEM_MIN / MIB, GUEST_MEM_MAX / GIB);
        return STATUS_USAGE;
    }
    b->memsize = ROUNDDOWN(size, PGSIZE);
    return 0;
}

static int set_limit(struct Options *o, const char *arg)
{
    if (parse_size(arg, &o->limit) < 0 || o->limit < GUEST_DISK_MIN) {
        complain("-D %s: what a disk may take is a number with K, M or G, at least %luM", arg,
                 GUEST_DISK_MIN / MIB);
        return STATUS_USAGE;
    }
    return 0;
}

static int add_module(struct Boot *b, const char *arg)
{
    if (b->nmods == MAX_MODULES) {
        complain("-i: more than %u modules", MAX_MODULES);
        return STATUS_USAGE;
    }
    b->mods[b->nmods++] = (struct Module){ .string = arg, .fd = -1 };
    return 0;
}

/* The base image's own name cannot be the name of what is written over it. */
static int set_name(struct Options *o, const char *name)
{
    snprintf(o->image, sizeof(o->image), "/vmm/%s.img", name);
    if (!name_ok(name) || strcmp(o->image, GUEST_DISK) == 0) {
        complain("-n %s: not a name for a guest", name);
        return STATUS_USAGE;
    }
    o->name = name;
    return 0;
}

static int set_trace(struct Options *o, const char *arg)
{
    char *end;
    long n = strtol(arg, &end, 10);
    if (*end != '\0' || n < 1 || n > GUEST_TRACE_MAX) {
        complain("-T %s: a trace keeps 1 to %u exits", arg, GUEST_TRACE_MAX);
        return STATUS_USAGE;
    }
    o->trace = n;
    return 0;
}

static int set_option(int c, struct Options *o, struct Boot *b)
{
    switch (c) {
    case 'n':
        return set_name(o, optarg);
    case 'm':
        return set_memsize(b, optarg);
    case 'k':
        o->kernel = optarg;
        return 0;
    case 'd':
        o->disk = optarg;
        return 0;
    case 'D':
        return set_limit(o, optarg);
    case 'a':
        b->cmdline = optarg;
        return 0;
    case 'i':
        return add_module(b, optarg);
    case 'p':
        o->flags |= GUEST_INTERCEPT_PF;
        return 0;
    case 's':
        o->stats = true;
        return 0;
    case 't':
        o->trace = GUEST_TRACE_DEFAULT;
        return 0;
    case 'T':
        return set_trace(o, optarg);
    case 'g':
        o->flags |= GUEST_DEBUG;
        return 0;
    default:
        return usage();
    }
}

/* Returns 0 or STATUS_USAGE. */
static int parse_options(int argc, char **argv, struct Options *o, struct Boot *b)
{
    int c;
    while ((c = getopt(argc, argv, "n:m:k:d:D:a:i:pstT:g")) != -1) {
        int status = set_option(c, o, b);
        if (status != 0)
            return status;
    }
    return optind == argc ? 0 : usage();
}

/* The image that has to be there: the one that was asked for, or the usual one for the usual
 * kernel. */
static const char *needed_disk(const struct Options *o)
{
    return o->disk || o->kernel ? o->disk : GUEST_DISK;
}

static int check_disk(const char *path)
{
    struct Stat st;
    int r = stat(path, &st);
    if (r == 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r < 0)
        complain("disk image %s: %e", path, r);
    return r;
}

/* Everything that can be found wrong without a guest. */
static int plan(const struct Options *o, struct Boot *b)
{
    int r = image_open(&b->kernel, o->kernel ? o->kernel : GUEST_KERN, b->memsize);
    if (r == 0)
        r = modules_open(b);
    if (r == 0)
        r = mbi_plan(b);
    if (r == 0 && needed_disk(o))
        r = check_disk(needed_disk(o));
    return r;
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
static int set_registers(envid_t guest, const struct Boot *b)
{
    struct Trapframe tf = { .tf_rax = MULTIBOOT_BOOTLOADER_MAGIC,
                            .tf_rbx = b->info,
                            .tf_rip = b->kernel.entry };
    return sys_env_set_trapframe(guest, &tf);
}

static int load(envid_t guest, const struct Boot *b)
{
    say("vmm: loading %s: %lu KiB", b->kernel.path, (kernel_bytes(&b->kernel) + KIB - 1) / KIB);
    if (b->nmods > 0)
        say(", modules: %lu KiB", (module_bytes(b) + KIB - 1) / KIB);

    int r = mbi_load(guest, b);
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

/* The guest gets its name, unless another one has it. */
static int take_name(envid_t guest, const char *name)
{
    int r = sys_env_set_name(guest, name);
    if (r == 0 && guest_named(name, guest)) {
        complain("a guest named %s is there already; -n gives another name, vms lists guests",
                 name);
        return -E_BUSY;
    }
    return r;
}

static void complain_disk(const char *path, int r, envid_t holder)
{
    char name[ENV_NAME_LEN];

    if (r == -E_BUSY && holder) {
        env_get_name(holder, name);
        complain("%s is in use by guest %s", path, name);
    } else {
        complain("disk image %s: %e", path, r);
    }
}

/* Say what the guest may write if that is less than its disk. */
static void tell_limit(envid_t guest)
{
    struct GuestDiskInfo info;

    if (guest_disk(guest, &info) < 0)
        return;
    uint64_t most = MIN(info.limit, (uint64_t)info.used + info.left);
    if (most < info.blocks)
        say("vmm: the disk has %lu KiB; what is written to it may take %lu KiB of the host's\n",
            info.blocks * (BLKSIZE / KIB), most * (BLKSIZE / KIB));
}

/* Another kernel than the usual one gets the usual disk, if that is there and free. */
static int attach_disk(envid_t guest, const struct Options *o)
{
    const char *path = o->disk ? o->disk : o->image;
    envid_t holder;
    int r = guest_attach(path, o->disk ? NULL : GUEST_DISK, o->limit, guest, &holder);
    if (r >= 0)
        tell_limit(guest);
    if (r >= 0 || (!needed_disk(o) && (r == -E_NOT_FOUND || r == -E_BUSY)))
        return 0;
    complain_disk(path, r, holder);
    return r;
}

static int start_trace(envid_t guest, const struct Options *o)
{
    int r = o->trace > 0 ? sys_guest_trace_start(guest, o->trace) : 0;
    if (r < 0)
        complain("cannot keep a trace of %lu exits: %e", o->trace, r);
    return r;
}

/* Whatever state the guest is in: end it, and take its exit status out of the kernel. */
static void discard(envid_t guest)
{
    sys_env_destroy(guest);
    sys_env_wait(guest, NULL, false);
}

static int start_and_run(envid_t guest, const struct Options *o)
{
    struct GuestStats stats;

    int r = sys_env_set_status(guest, ENV_RUNNABLE);
    if (r < 0) {
        complain("cannot start the guest: %e", r);
        return STATUS_FAILED;
    }
    sys_yield();
    int status = run_guest(guest, o->name);
    if (o->stats && sys_guest_stats(guest, &stats) == 0)
        stats_print(&stats, ports_unknown());
    return status;
}

/* gOS says so itself: there VT-x is out of reach, and no guest kernel is on the disk. */
static bool in_guest(void)
{
    struct SysInfo info;
    if (sys_sysinfo(&info) < 0 || !info.is_guest)
        return false;
    complain("this is a guest itself, and guests have no VT-x to run others");
    return true;
}

static bool can_run_guests(void)
{
    char why[256] = "";
    int r = sys_guest_check(why, sizeof(why));
    if (r < 0)
        complain("this machine cannot run guests: %s", why);
    return r == 0;
}

static int run(const struct Options *o, struct Boot *b)
{
    int status = STATUS_FAILED;

    if (plan(o, b) < 0)
        goto out;
    envid_t guest = make_guest(b, o->flags);
    if (guest < 0)
        goto out;
    if (start_trace(guest, o) == 0 && take_name(guest, o->name) == 0 &&
        attach_disk(guest, o) == 0 && load(guest, b) == 0 &&
        (!(o->flags & GUEST_DEBUG) || gdb_open(guest, o->name) == 0)) {
        boot_close(b);
        status = start_and_run(guest, o);
    }
    discard(guest);
out:
    boot_close(b);
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
        return attend(monitor, o->name);
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
    set_name(&o, DEFAULT_NAME);
    boot.memsize = GUEST_MEM_DEFAULT;
    boot.cmdline = "";
    boot.kernel.fd = -1;
    int status = parse_options(argc, argv, &o, &boot);
    if (status != 0)
        return status;
    return !in_guest() && can_run_guests() ? start(&o, &boot) : STATUS_FAILED;
}
