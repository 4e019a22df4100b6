/*
 * How much the kernel does on several CPUs: workers that have nothing to do with each other perform
 * one service over and over, all in the same ticks, and what they got done is counted.
 */
#include "bench.h"

#include <inc/vmm.h>

#define NOWHERE     ((void *)UTOP) /* for IPC: no page */
#define MAX_WORKERS 64
#define SPAN        10000000ul /* ticks in which operations count */
#define WARM_EXITS  1000       /* of a guest before it counts */
#define POLL_MS     10
/* Ticks to the start for each env that a CPU is to get. They spread a slice at a time, which is
 * shorter than this. */
#define LEAD 5000000ul

/* The workers' counts. */
struct Total {
    uint64_t n, least, most, sum;
};

static void total_add(struct Total *t, uint64_t count)
{
    t->least = t->n == 0 ? count : MIN(t->least, count);
    t->most = MAX(t->most, count);
    t->sum += count;
    t->n++;
}

static void total_print(const char *name, const struct Total *t)
{
    printf("TOTAL %s %lu %lu %lu %lu\n", name, t->n, t->least, t->most, t->sum);
}

/* ---- Envs ---- */

/* Be ready, learn from the parent when to start, and tell it how much was done. */
static void __attribute__((noreturn)) work(envid_t parent, const struct Service *s)
{
    struct IpcMessage m;
    uint64_t count = 0, end;
    int r;

    if (s->setup)
        s->setup();
    s->once();
    if ((r = sys_ipc_call(parent, 0, NOWHERE, 0, NOWHERE, &m)) < 0)
        panic("no word to start: %e", r);
    while (read_tsc() < m.value)
        continue;
    end = m.value + SPAN;
    for (s->once(); read_tsc() < end; s->once())
        count++;
    if (s->teardown)
        s->teardown();
    ipc_send(parent, count, NOWHERE, 0);
    exit(0);
}

static uint64_t receive_from(envid_t worker)
{
    struct IpcMessage m;
    int r = sys_ipc_recv(NOWHERE, worker, &m);

    if (r < 0)
        panic("nothing from worker %08x: %e", worker, r);
    return m.value;
}

void bench_workers(const struct Service *s, uint64_t n)
{
    static envid_t workers[MAX_WORKERS];
    envid_t me = sys_getenvid();
    struct Total total = { 0 };
    struct SysInfo info;

    if (n > MAX_WORKERS)
        panic("more than %d workers", MAX_WORKERS);
    sys_sysinfo(&info);
    for (uint64_t i = 0; i < n; i++) {
        envid_t child = fork();
        if (child < 0)
            panic("fork: %e", child);
        if (child == 0)
            work(me, s);
        workers[i] = child;
    }
    for (uint64_t i = 0; i < n; i++)
        receive_from(workers[i]);
    uint64_t start = read_tsc() + (n + info.ncpu - 1) / info.ncpu * LEAD;
    for (uint64_t i = 0; i < n; i++)
        ipc_send(workers[i], start, NOWHERE, 0);
    for (uint64_t i = 0; i < n; i++)
        total_add(&total, receive_from(workers[i]));
    for (uint64_t i = 0; i < n; i++)
        wait(workers[i]);
    total_print(s->name, &total);
}

/* ---- Guests ---- */

struct Look {
    envid_t id;
    uint64_t tsc, exits;
};

/* The exits for I/O of a guest so far. false: it has none, or is no guest. */
static bool look_at(envid_t id, struct Look *look)
{
    struct GuestStats stats;

    look->id = id;
    look->tsc = read_tsc();
    if (sys_guest_stats(id, &stats) < 0)
        return false;
    look->exits = stats.reasons[EXIT_IO];
    return look->exits >= WARM_EXITS;
}

/* At most n guests that are at work. Returns how many. */
static uint64_t look_at_guests(struct Look *looks, uint64_t n)
{
    uint64_t found = 0;

    for (int i = 0; i < NENV && found < n; i++)
        if (envs[i].env_type == ENV_TYPE_GUEST && look_at(envs[i].env_id, &looks[found]))
            found++;
    return found;
}

void bench_guests(uint64_t n)
{
    static struct Look before[MAX_WORKERS];
    struct Total total = { 0 };
    struct SysInfo info;

    if (n > MAX_WORKERS)
        panic("more than %d guests", MAX_WORKERS);
    while (look_at_guests(before, n) < n)
        sys_sleep_msec(POLL_MS);
    sys_sysinfo(&info);
    sys_sleep_msec(SPAN / info.tsc_khz);
    for (uint64_t i = 0; i < n; i++) {
        struct Look now;
        if (!look_at(before[i].id, &now))
            panic("guest %08x has ended", before[i].id);
        total_add(&total, (now.exits - before[i].exits) * SPAN / (now.tsc - before[i].tsc));
    }
    total_print("guest-out", &total);
}
