/*
 * bench: what the kernel's services cost, in TSC ticks, one line a service:
 *     BENCH name min median max
 * conf/bench runs it under Bochs, where a tick is one instruction. `bench NAME...` measures only
 * these. Options, for how costs grow (conf/bench --curves):
 *     -e N             start N other envs first, which sleep
 *     -c PROGRAM...    measure a program from its start to its end, name "command"
 *     -f N             measure opening one of N files of a directory, name "look-up"
 *     -r BYTES         measure reading a file of this size again, a KiB, name "read"
 *     -w N             let N workers at once perform each service, see cpus.c
 *     -g N             count what N guests do, likewise
 */
#include "bench.h"

USAGE("bench [-e N] [-f N] [-r BYTES] [-w N] [-g N] [NAME...]\n"
      "       bench [-e N] -c PROGRAM...");

#define NOWHERE     ((void *)UTOP) /* for IPC: no page */
#define WRITE_SIZE  (1024ul * 1024)
#define FRESH_PAGES UL(0x40000000) /* nothing is mapped from here on */

uint64_t samples[MAX_SAMPLES];

/* Insertion sort: the samples are nearly equal, so it is nearly linear. */
static void sort_samples(size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t v = samples[i];
        size_t j = i;
        for (; j > 0 && samples[j - 1] > v; j--)
            samples[j] = samples[j - 1];
        samples[j] = v;
    }
}

void report(const char *name, size_t n)
{
    sort_samples(n);
    printf("BENCH %s %lu %lu %lu\n", name, samples[0], samples[n / 2], samples[n - 1]);
}

/* ---- One function a service: performs it once. A set-up function may start a partner first. */

static envid_t partner;

static void null_syscall(void)
{
    sys_null();
}

/* A child that runs body until it is destroyed. */
static void start_partner(void (*body)(envid_t parent))
{
    envid_t me = sys_getenvid();
    partner = fork();
    if (partner < 0)
        panic("fork: %e", partner);
    if (partner == 0)
        body(me);
}

static void stop_partner(void)
{
    sys_env_destroy(partner);
    wait(partner);
}

static void yield_forever(envid_t parent)
{
    (void)parent;
    for (;;)
        sys_yield();
}

static void start_yielder(void)
{
    start_partner(yield_forever);
}

/* To whoever waits, or to nobody. */
static void yield(void)
{
    sys_yield();
}

/* To the partner and back. */
static void yield_twice(void)
{
    sys_yield();
}

static void echo_forever(envid_t parent)
{
    struct IpcMessage m;
    int r = sys_ipc_recv(NOWHERE, parent, &m);
    while (r == 0)
        r = sys_ipc_call(parent, m.value, NOWHERE, 0, NOWHERE, &m);
    exit(1);
}

static void start_echo(void)
{
    start_partner(echo_forever);
}

static void ipc_round_trip(void)
{
    struct IpcMessage m;
    int r = sys_ipc_call(partner, 42, NOWHERE, 0, NOWHERE, &m);
    if (r < 0)
        panic("IPC round trip: %e", r);
}

#define SWAP_PAGE ((void *)UTEMP)
#define SWAP_PERM (PTE_P | PTE_U | PTE_W)

/* The page that comes takes the place of the one that goes. */
static void echo_page_forever(envid_t parent)
{
    struct IpcMessage m;
    int r = sys_ipc_recv(SWAP_PAGE, parent, &m);
    while (r == 0)
        r = sys_ipc_call(parent, m.value, SWAP_PAGE, SWAP_PERM, SWAP_PAGE, &m);
    exit(1);
}

static void start_page_echo(void)
{
    start_partner(echo_page_forever);
    int r = sys_page_alloc(0, SWAP_PAGE, SWAP_PERM);
    if (r < 0)
        panic("page for IPC: %e", r);
}

static void stop_page_echo(void)
{
    stop_partner();
    sys_page_unmap(0, SWAP_PAGE);
}

static void ipc_page_round_trip(void)
{
    struct IpcMessage m;
    int r = sys_ipc_call(partner, 42, SWAP_PAGE, SWAP_PERM, SWAP_PAGE, &m);
    if (r < 0)
        panic("IPC round trip: %e", r);
}

static uint64_t resume_at;

static void skip_fault(struct UTrapframe *utf)
{
    utf->utf_rip = resume_at;
}

static void skip_faults(void)
{
    set_pgfault_handler(skip_fault);
}

/* A fault, and a handler in user mode that does nothing but go on after it. */
static void page_fault_upcall(void)
{
    asm volatile("movq $1f, %0\n\tmovb $0, (%1)\n1:" : "=m"(resume_at) : "r"(UTEMP) : "memory");
}

static void map_fault_page(struct UTrapframe *utf)
{
    void *page = (void *)ROUNDDOWN(utf->utf_fault_va, PGSIZE);
    int r = sys_page_alloc(0, page, PTE_P | PTE_U | PTE_W);
    if (r < 0)
        panic("page for the fault: %e", r);
}

static void take_faults(void)
{
    set_pgfault_handler(map_fault_page);
}

/* A fault, and its handler in user mode that maps a zeroed page: each time at the next address. */
static void demand_zero_page(void)
{
    static volatile char *next = (char *)FRESH_PAGES;

    *next = 1;
    next += PGSIZE;
}

static void unmap_fresh_pages(void)
{
    for (uintptr_t va = FRESH_PAGES; (va = uvpt_next(va)) < UTOP; va += PGSIZE)
        sys_page_unmap(0, (void *)va);
}

/* The same, and the unmapping. */
static void user_page_fault(void)
{
    *(volatile char *)UTEMP = 1;
    sys_page_unmap(0, (void *)UTEMP);
}

#define FRESH_PAGE ((void *)FRESH_PAGES)

static void alloc_and_unmap(void)
{
    int r = sys_page_alloc(0, FRESH_PAGE, PTE_P | PTE_U | PTE_W);
    if (r < 0)
        panic("fresh page: %e", r);
    sys_page_unmap(0, FRESH_PAGE);
}

static void fork_exit_wait(void)
{
    envid_t child = fork();
    if (child == 0)
        sys_env_exit(0);
    if (child < 0 || wait(child) != 0)
        panic("fork, exit, wait: %e", child);
}

static void spawn_and_wait(void)
{
    envid_t child = spawnl("/bin/true", "true", NULL);
    if (child < 0 || wait(child) != 0)
        panic("spawn /bin/true: %e", child);
}

static void spawn_echo(void)
{
    envid_t child = spawnl("/bin/echo", "echo", NULL);
    if (child < 0 || wait(child) != 0)
        panic("spawn /bin/echo: %e", child);
}

static char block[BLKSIZE] __attribute__((aligned(PGSIZE)));

/* A new file of 1 MiB, until it is on the disk. */
static void write_and_sync(void)
{
    int fd = open("/tmp/bench", O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t i = 0; fd >= 0 && i < WRITE_SIZE / sizeof(block); i++)
        if (writen(fd, block, sizeof(block)) < 0)
            panic("cannot write /tmp/bench");
    if (fd < 0 || sync() < 0)
        panic("cannot write /tmp/bench");
    close(fd);
}

static void remove_written(void)
{
    remove("/tmp/bench");
    sync();
}

static void read_cached_block(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = open("/bin/sh", O_RDONLY);
    if (seek(fd, 0) < 0 || read(fd, block, sizeof(block)) != sizeof(block))
        panic("cannot read /bin/sh");
}

#define LARGE_AT (128 * 1024) /* where a table of the file's is needed to find a block */
static char blocks[FSREAD_MAX] __attribute__((aligned(PGSIZE)));

/* As much as one request reads. */
static void read_cached_blocks(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = open("/vmm/kernel", O_RDONLY);
    if (seek(fd, LARGE_AT) < 0 || read(fd, blocks, sizeof(blocks)) != sizeof(blocks))
        panic("cannot read /vmm/kernel");
}

static const struct Service services[] = {
    { "null-syscall", MAX_SAMPLES, 1, NULL, null_syscall, NULL },
    { "yield", MAX_SAMPLES, 2, start_yielder, yield_twice, stop_partner },
    { "yield-to-any", MAX_SAMPLES, 1, NULL, yield, NULL },
    { "ipc-round-trip", MAX_SAMPLES, 1, start_echo, ipc_round_trip, stop_partner },
    { "ipc-page-round-trip", MAX_SAMPLES, 1, start_page_echo, ipc_page_round_trip, stop_page_echo },
    { "page-fault-upcall", MAX_SAMPLES, 1, skip_faults, page_fault_upcall, NULL },
    { "demand-zero-page", MAX_SAMPLES, 1, take_faults, demand_zero_page, unmap_fresh_pages },
    { "user-page-fault", MAX_SAMPLES, 1, take_faults, user_page_fault, NULL },
    { "alloc-unmap", MAX_SAMPLES, 1, NULL, alloc_and_unmap, NULL },
    { "read-cached-4k", MAX_SAMPLES, 1, NULL, read_cached_block, NULL },
    { "read-cached-64k", MAX_SAMPLES, FSREAD_MAX / PGSIZE, NULL, read_cached_blocks, NULL },
    { "fork-exit-wait", MAX_SAMPLES, 1, NULL, fork_exit_wait, NULL },
    { "spawn-exit-wait", MAX_SAMPLES, 1, NULL, spawn_and_wait, NULL },
    { "spawn-echo", MAX_SAMPLES, 1, NULL, spawn_echo, NULL },
    { "write-sync-kib", 3, WRITE_SIZE / 1024, NULL, write_and_sync, remove_written },
};

static void measure(const struct Service *s)
{
    if (s->setup)
        s->setup();
    s->once(); /* the first one finds nothing prepared */
    for (size_t i = 0; i < s->count; i++) {
        uint64_t start = read_tsc();
        s->once();
        samples[i] = (read_tsc() - start) / s->parts;
    }
    if (s->teardown)
        s->teardown();
    report(s->name, s->count);
}

/* ---- Other envs, which wait for a message that does not come ---- */

static envid_t sleepers[NENV];

static void start_sleepers(uint64_t n)
{
    if (n > NENV)
        panic("there are no %lu envs", n);
    for (uint64_t i = 0; i < n; i++) {
        envid_t child = fork();
        if (child < 0)
            panic("fork: %e", child);
        if (child == 0)
            sys_ipc_recv(NOWHERE, 0, NULL);
        sleepers[i] = child;
    }
}

static void stop_sleepers(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        sys_env_destroy(sleepers[i]);
        wait(sleepers[i]);
    }
}

/* ---- What is wanted ---- */

static bool is_wanted(const char *name, char **names)
{
    for (char **n = names; *n; n++)
        if (strcmp(name, *n) == 0)
            return true;
    return *names == NULL;
}

/* workers: at once; 0: this program alone, which measures each operation. */
static void measure_services(char **names, uint64_t workers)
{
    for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
        if (!is_wanted(services[i].name, names))
            continue;
        if (workers)
            bench_workers(&services[i], workers);
        else
            measure(&services[i]);
    }
}

static void measure_command(char **argv)
{
    uint64_t start = read_tsc();
    envid_t child = spawn(argv[0], (const char **)argv);

    if (child < 0 || wait(child) < 0)
        panic("%s: %e", argv[0], child);
    samples[0] = read_tsc() - start;
    report("command", 1);
}

/* The number that follows an option. */
static uint64_t number(const char *option)
{
    uint64_t value;

    if (parse_size(optarg, &value) < 0)
        panic("-%s %s: not a number", option, optarg);
    return value;
}

int umain(int argc, char **argv)
{
    uint64_t envs = 0, files = 0, bytes = 0, workers = 0, guests = 0;
    bool command = false;
    int c;

    while (!command && (c = getopt(argc, argv, "e:f:r:w:g:c")) != -1) {
        if (c == 'e')
            envs = number("e");
        else if (c == 'f')
            files = number("f");
        else if (c == 'r')
            bytes = number("r");
        else if (c == 'w')
            workers = number("w");
        else if (c == 'g')
            guests = number("g");
        else if (c == 'c')
            command = true;
        else
            return usage();
    }
    start_sleepers(envs);
    if (files)
        bench_directory(files);
    if (bytes)
        bench_read(bytes);
    if (guests)
        bench_guests(guests);
    if (command && argv[optind])
        measure_command(argv + optind);
    else if (!files && !bytes && !guests)
        measure_services(argv + optind, workers);
    stop_sleepers(envs);
    return 0;
}
