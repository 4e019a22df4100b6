/*
 * The worker and the ring of requests that it shares with the monitor. Requests are done in the
 * order in which they were posted, so two counters are all that there is to agree on: `posted`,
 * which only the monitor moves, and `done`, which only the worker moves.
 *
 * Neither misses the other. `asleep` is set by the worker before it looks a last time and sleeps;
 * whoever clears it, with an exchange, owns the wake-up: if it was the monitor, its message is on
 * the way, and the worker waits for that. `told` is set by the worker that sends a message, and
 * cleared by the monitor before it looks at `done`.
 */
#include <inc/once.h>
#include <user/vmm/diskwork.h>

#define NSLOTS  16
#define AREA    (UTEMP + 0x80000) /* of both envs */
#define PERM_RW (PTE_P | PTE_U | PTE_W | PTE_NX)
#define NO_PAGE ((void *)UTOP)

struct Ring {
    uint32_t posted, done; /* requests since the start */
    uint32_t asleep, told;
    struct {
        uint64_t value;
        int64_t answer;
    } slot[NSLOTS];
};
_Static_assert(sizeof(struct Ring) <= PGSIZE, "one page");

static struct Ring *const ring = (struct Ring *)AREA;

static struct {
    envid_t env;     /* 0: there is no worker */
    uint32_t posted; /* the monitor's own counters, which nobody else can change */
    uint32_t taken;
    void *tag[NSLOTS];
} work;

static void *page_of(uint32_t n)
{
    return (void *)(AREA + (1 + n % NSLOTS) * PGSIZE);
}

/* ---- The worker ---- */

/* Sleep until more has been posted than is done. false: the monitor is gone. */
static bool await_post(envid_t monitor, uint32_t done)
{
    while (done == __atomic_load_n(&ring->posted, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&ring->asleep, true, __ATOMIC_SEQ_CST);
        if (done != __atomic_load_n(&ring->posted, __ATOMIC_SEQ_CST) &&
            __atomic_exchange_n(&ring->asleep, false, __ATOMIC_SEQ_CST))
            return true; /* nobody has seen it */
        if (sys_ipc_recv(NO_PAGE, monitor, NULL) < 0)
            return false;
    }
    return true;
}

/* Do what is posted, for ever. Returns when the monitor is gone. */
static void serve_monitor(envid_t monitor)
{
    for (uint32_t done = 0; await_post(monitor, done);) {
        unsigned i = done % NSLOTS;
        ring->slot[i].answer = guest_disk_ask(ring->slot[i].value, page_of(done), 1);
        __atomic_store_n(&ring->done, ++done, __ATOMIC_SEQ_CST);
        if (!__atomic_exchange_n(&ring->told, true, __ATOMIC_SEQ_CST) &&
            sys_ipc_send(monitor, 0, NO_PAGE, 0) < 0)
            return;
    }
}

/* ---- The monitor ---- */

static int map_area(void)
{
    int r = 0;
    for (unsigned i = 0; i <= NSLOTS && r == 0; i++)
        r = sys_page_alloc(0, (void *)(AREA + i * PGSIZE), PERM_RW | PTE_SHARE);
    return r;
}

int work_start(void)
{
    envid_t monitor = sys_getenvid();
    int r = map_area();
    if (r < 0)
        return r;
    envid_t child = fork();
    if (child < 0)
        return child;
    if (child == 0) {
        sys_env_set_name(0, "vmm-disk");
        close_all();
        serve_monitor(monitor);
        sys_env_exit(0);
    }
    work.env = child;
    return 0;
}

void work_end(void)
{
    if (work.env == 0)
        return;
    sys_env_destroy(work.env);
    sys_env_wait(work.env, NULL, false);
    memset(&work, 0, sizeof(work));
}

bool work_message(envid_t from)
{
    if (work.env == 0 || from != work.env)
        return false;
    __atomic_store_n(&ring->told, false, __ATOMIC_SEQ_CST);
    return true;
}

void *work_page(void)
{
    return work.env && work.posted - work.taken < NSLOTS ? page_of(work.posted) : NULL;
}

void work_post(uint64_t value, void *tag)
{
    ring->slot[work.posted % NSLOTS].value = value;
    work.tag[work.posted % NSLOTS] = tag;
    __atomic_store_n(&ring->posted, ++work.posted, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&ring->asleep, false, __ATOMIC_SEQ_CST))
        sys_ipc_send(work.env, 0, NO_PAGE, 0);
}

bool work_done(void **tag, void **page, int *answer)
{
    if (work.env == 0 || work.taken == __atomic_load_n(&ring->done, __ATOMIC_SEQ_CST))
        return false;
    unsigned i = work.taken % NSLOTS;
    *tag = work.tag[i];
    *page = page_of(work.taken);
    *answer = ring->slot[i].answer;
    work.taken++;
    return true;
}
