/*
 * The command line of vmm: each option is checked here, with a sentence about what is wrong.
 */
#include <user/vmm/control.h>
#include <user/vmm/linux.h>
#include <user/vmm/options.h>

#define DEFAULT_NAME "gos"

static int print_usage(int fd)
{
    fprintf(fd,
            "usage: vmm [OPTION...] [&]              start a guest\n"
            "       vmm attach|log|pause|resume|stop|kill NAME\n"
            "       vmm stop -a                      stop all guests\n"
            "  -n NAME    name of the guest, default %s; what it writes to its disk is kept\n"
            "             in /vmm/NAME.img\n"
            "  -m SIZE    guest memory, %luM to %luG, default %luM; for Linux %luM\n"
            "  -k FILE    kernel: Multiboot, or Linux' bzImage or vmlinux; default\n"
            "             %s\n"
            "  -d IMAGE[,ro][,serial=TEXT]\n"
            "             disk image to read and write, instead of %s and\n"
            "             /vmm/NAME.img; up to %u times: more disks, virtio-blk, as all of\n"
            "             them are for Linux; ro: read only; serial=: serial number, at\n"
            "             most %u letters, default: the file's name\n"
            "  -V         the first disk is virtio-blk, too, instead of one by hypercall,\n"
            "             and gOS's console virtio-console: its command line begins with\n"
            "             the word virtio\n"
            "  -D SIZE    what a disk may take of the host's, at least %luM, default: its own\n"
            "             size; a quarter of the host's is never a guest's\n"
            "  -a ARGS    command line for the kernel\n"
            "  -i MODULE  load a file for the kernel (up to %u times); for Linux, an initrd;\n"
            "             \"FILE ARGS\" gives the module a command line\n"
            "  -N         give it a network card that hears what it sends\n"
            "  -C avx=off the guest's CPU is to be without a feature; any other word gets\n"
            "             the list\n"
            "  -p         intercept, verify and inject the guest's page faults\n"
            "  -r         start the guest again when it resets itself, or after a triple\n"
            "             fault\n"
            "  -s         print statistics when the guest has ended\n"
            "  -t         trace: keep the last %u exits, for vmtrace and for the report if\n"
            "             it is ended\n"
            "  -T N       the same with N exits, at most %u\n"
            "  -g         wait for gdb, which debugs the guest over serial port COM3\n"
            "Ctrl-] gives the console back, and the guest goes on; vmm log NAME prints the\n"
            "end of its output; vms lists guests. Exit status: the guest's own, 1 on\n"
            "failure, 2 on wrong usage.\n",
            DEFAULT_NAME, GUEST_MEM_MIN / MIB, GUEST_MEM_MAX / GIB, GUEST_MEM_DEFAULT / MIB,
            LINUX_MEM_DEFAULT / MIB, GUEST_KERN, GUEST_DISK, DISKS_MAX, DISK_SERIAL_MAX,
            GUEST_DISK_MIN / MIB, MAX_MODULES, GUEST_TRACE_DEFAULT, GUEST_TRACE_MAX);
    return fd == 1 ? 0 : STATUS_USAGE;
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

static bool is_printable(const char *s)
{
    while (*s > ' ' && *s <= '~')
        s++;
    return *s == '\0';
}

/* One of the words after the path. */
static int set_disk_word(struct DiskOption *d, const char *word)
{
    static const char serial[] = "serial=";
    const char *text = word + sizeof(serial) - 1;
    if (strcmp(word, "ro") == 0) {
        d->read_only = true;
        return 0;
    }
    if (strncmp(word, serial, sizeof(serial) - 1) == 0 && *text && is_printable(text) &&
        strlcpy(d->serial, text, sizeof(d->serial)) < sizeof(d->serial))
        return 0;
    complain("-d %s,%s: what may follow the image is ,ro and ,serial=TEXT with at most %u letters",
             d->path, word, DISK_SERIAL_MAX);
    return STATUS_USAGE;
}

/* The serial number, unless another one is given: as much of the file's name as fits. */
static void default_serial(struct DiskOption *d)
{
    const char *name = d->path;
    for (const char *s = d->path; *s; s++)
        if (*s == '/' && s[1])
            name = s + 1;
    strlcpy(d->serial, name, sizeof(d->serial));
}

static int add_disk(struct Options *o, char *arg)
{
    if (o->ndisks == DISKS_MAX) {
        complain("-d: more than %u disks", DISKS_MAX);
        return STATUS_USAGE;
    }
    struct DiskOption *d = &o->disks[o->ndisks++];
    char *word = strchr(arg, ',');
    int status = 0;
    d->path = arg;
    if (word)
        *word++ = '\0';
    default_serial(d);
    while (word && status == 0) {
        char *next = strchr(word, ',');
        if (next)
            *next++ = '\0';
        status = set_disk_word(d, word);
        word = next;
    }
    return status;
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
        return add_disk(o, optarg);
    case 'V':
        o->virtio = b->virtio = true;
        return 0;
    case 'D':
        return set_limit(o, optarg);
    case 'a':
        b->cmdline = optarg;
        return 0;
    case 'i':
        return add_module(b, optarg);
    case 'N':
        o->cards.loopback = true;
        return 0;
    case 'C':
        return features_option(&o->features_off, optarg) < 0 ? STATUS_USAGE : 0;
    case 'p':
        o->flags |= GUEST_INTERCEPT_PF;
        return 0;
    case 'r':
        o->restart = true;
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
    case 'h':
        exit(print_usage(1));
    default:
        return print_usage(2);
    }
}

int parse_options(int argc, char **argv, struct Options *o, struct Boot *b)
{
    set_name(o, DEFAULT_NAME);
    b->memsize = 0; /* until the kernel is known */
    b->cmdline = "";
    b->kernel.fd = -1;
    int c;
    while ((c = getopt(argc, argv, "n:m:k:d:D:a:i:C:VNprstT:gh")) != -1) {
        int status = set_option(c, o, b);
        if (status != 0)
            return status;
    }
    return optind == argc ? 0 : print_usage(2);
}
