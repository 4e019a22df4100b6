/*
 * Pairs of envs that race: one, the parent, changes what the other uses at the same time, on
 * another CPU where there is one. Nothing is expected of the results but that both can be ended
 * afterwards and all is free again.
 */
#include "hostile.h"

#define PAIRS    6   /* of each kind, a round */
#define RACE_MS  25  /* how long a pair goes on */
#define LIMIT_MS 100 /* for its end */
#define SMALL    64
#define PAGES    8

static char *const arena = (char *)UHEAP;

static char *any_page(void)
{
    return arena + roll(PAGES) * PGSIZE;
}

/* A pointer that ends in the arena's last page, or crosses from one to the next. */
static char *any_pointer(void)
{
    return any_page() + (roll(2) ? roll(PGSIZE - SMALL) : PGSIZE - roll(SMALL));
}

static uint64_t any_perm(void)
{
    static const uint64_t perms[] = { PERM_RO, PERM_RW, PERM_RO | PTE_COW, PERM_RW | PTE_SHARE };
    return perms[roll(ARRAY_SIZE(perms))];
}

static void make_arena(void)
{
    for (int i = 0; i < PAGES; i++)
        sys_page_alloc(0, arena + i * PGSIZE, PERM_RW);
}

/* ---- Memory: one passes pointers, the other maps and unmaps what they point to ---- */

static void use_memory(envid_t peer)
{
    char name[SMALL];

    (void)peer;
    sys_sysinfo((struct SysInfo *)any_pointer());
    sys_cmdline(any_pointer(), SMALL);
    sys_env_set_name(0, any_pointer());
    sys_page_map(0, any_page(), 0, any_page(), any_perm());
    sys_page_alloc(0, any_page(), any_perm());
    sys_cmdline(name, sizeof(name));
    sys_env_wait(0, (int *)any_pointer(), true);
}

static void change_memory(envid_t peer)
{
    sys_page_unmap(peer, any_page());
    sys_page_alloc(peer, any_page(), any_perm());
    sys_page_map(0, any_page(), peer, any_page(), any_perm());
    sys_page_map(peer, any_page(), 0, any_page(), any_perm());
    sys_page_map(peer, any_page(), peer, any_page(), any_perm());
    sys_page_fork(peer, arena, arena + PAGES * PGSIZE);
}

/* ---- Lives: children are made, started, stopped and ended from both sides ---- */

static void live(envid_t peer)
{
    envid_t kid = sys_exofork();

    if (kid == 0)
        for (;;)
            sys_yield();
    if (kid < 0)
        return;
    count(&tally->envs, 1);
    sys_ipc_try_send(peer, kid, (void *)UTOP, 0);
    if (roll(2))
        sys_page_fork(kid, arena, arena + PAGES * PGSIZE);
    sys_page_alloc(kid, arena, PERM_RW);
    sys_env_destroy(kid);
    sys_env_wait(kid, NULL, true);
}

/* Ends the last kid that the other has told of, and stops and starts the other itself. */
static void take_lives(envid_t peer)
{
    static envid_t last;

    struct IpcMessage m;

    if (sys_ipc_try_recv((void *)UTOP, &m) == 0 && m.from == peer)
        last = m.value;
    if (last)
        sys_env_destroy(last);
    for (int i = 0; i < NENV && roll(4) == 0; i++)
        if (envs[i].env_parent_id == peer)
            sys_env_destroy(envs[i].env_id);
    sys_env_set_status(peer, ENV_NOT_RUNNABLE);
    sys_env_set_name(peer, "taken");
    sys_env_set_status(peer, ENV_RUNNABLE);
}

/* ---- Messages: pages travel while they are unmapped on both sides ---- */

static void send_pages(envid_t peer)
{
    sys_ipc_try_send(peer, roll(SMALL), any_page(), any_perm());
    if (roll(4) == 0)
        sys_ipc_send(peer, roll(SMALL), any_page(), PERM_RO);
    sys_page_alloc(0, any_page(), PERM_RW);
}

static void receive_pages(envid_t peer)
{
    if (roll(2))
        sys_ipc_try_recv(any_page(), NULL);
    sys_page_unmap(peer, any_page());
    sys_page_unmap(0, any_page());
    if (roll(4) == 0 && envs[ENVX(peer)].env_wait == WAIT_SEND)
        sys_ipc_recv(any_page(), peer, NULL);
    sys_ipc_try_send(peer, 0, any_page(), any_perm());
}

/* ---- Registers: they are set while the env runs, faults and waits ---- */

static void use_registers(envid_t peer)
{
    (void)peer;
    sys_sleep_msec(0);
    sys_yield();
    sys_null();
    sys_ipc_try_recv(any_page(), NULL);
}

static void again(void)
{
    for (;;)
        use_registers(0);
}

static void change_registers(envid_t peer)
{
    struct Trapframe tf = { .tf_rip = (uintptr_t)again,
                            .tf_rsp = USTACKTOP - PGSIZE,
                            .tf_rflags = roll(UINT32_MAX) & ~(uint64_t)FL_TF,
                            .tf_cs = roll(UINT32_MAX),
                            .tf_ss = roll(UINT32_MAX),
                            .tf_trapno = roll(2) ? T_SYSCALL : roll(SMALL) };

    if (roll(4) == 0)
        sys_env_set_status(peer, ENV_NOT_RUNNABLE);
    sys_env_set_trapframe(peer, &tf);
    sys_env_set_pgfault_upcall(peer, roll(2) ? NULL : (void *)again);
    sys_env_set_status(peer, ENV_RUNNABLE);
}

/* ---- Guests: somebody pauses, looks at and ends them while their monitor works ---- */

static void find_guests(envid_t peer)
{
    for (int i = 0; i < NENV; i++) {
        envid_t id = envs[i].env_id;
        if (envs[i].env_type != ENV_TYPE_GUEST || envs[i].env_parent_id != peer || !env_alive(id))
            continue;
        sys_guest_pause(id, roll(2));
        sys_guest_stats(id, (struct GuestStats *)any_pointer());
        sys_guest_backtrace(id, (struct GuestFrame *)any_pointer(), 1);
        if (roll(4) == 0)
            sys_env_destroy(id);
    }
}

/* Here the parent is the monitor; its guest runs empty memory. */
static void keep_guest(envid_t peer)
{
    static envid_t guest;

    if (guest == 0 || !env_alive(guest)) {
        if (guest)
            sys_env_wait(guest, NULL, true);
        guest = make_guest(); /* 0 where there are none */
    }
    sys_ipc_try_send(peer, 0, (void *)UTOP, 0);
    sys_ept_map(0, any_page(), guest, roll(PAGES) * PGSIZE, PERM_RW);
    sys_guest_mem(guest, roll(PAGES) * PGSIZE, any_page(), PGSIZE, roll(2));
    sys_guest_share(guest, (struct GuestExit *)any_page());
    sys_guest_trace_start(guest, 1 + roll(SMALL));
    sys_env_set_status(guest, ENV_RUNNABLE);
    sys_guest_irq(guest, IRQ_OFFSET + roll(SMALL));
    if (roll(8) == 0)
        sys_guest_run(guest, false);
    if (roll(8) == 0)
        sys_env_destroy(guest);
}

static void attack_parent_guest(envid_t peer)
{
    find_guests(peer);
    sys_yield();
}

/* ---- The pairs ---- */

typedef void Step(envid_t peer);

struct Pair {
    Step *child, *parent;
};

static const struct Pair pairs[] = {
    { use_memory, change_memory },
    { live, take_lives },
    { send_pages, receive_pages },
    { use_registers, change_registers },
};

static const struct Pair guest_pair = { attack_parent_guest, keep_guest };

static void __attribute__((noreturn)) go_on(Step *step, envid_t peer)
{
    for (;;) {
        step(peer);
        count(&tally->steps, 1);
    }
}

/* The parent of a pair: a new child whenever the old one has ended. */
static void __attribute__((noreturn)) lead(const struct Pair *pair)
{
    envid_t self = sys_getenvid();

    make_arena();
    for (;;) {
        envid_t child = try_env(); /* somebody may end it before it has begun */
        if (child == 0)
            go_on(pair->child, self);
        while (child > 0 && env_alive(child)) {
            pair->parent(child);
            count(&tally->steps, 1);
        }
        if (child > 0)
            sys_env_wait(child, NULL, true);
    }
}

/* Whatever is left of a pair: children that went on alone. */
static void end_descendants(envid_t leader)
{
    for (int i = 0; i < NENV; i++)
        if (envs[i].env_parent_id == leader)
            sys_env_destroy(envs[i].env_id);
}

static void race(const struct Pair *pair)
{
    envid_t leader = start_env();

    if (leader == 0)
        lead(pair);
    sys_sleep_msec(RACE_MS);
    end_descendants(leader);
    sys_env_destroy(leader);
    end_env(leader, LIMIT_MS);
    count(&tally->races, 1);
}

/* Envs of races that have outlived their leaders have no parent; those of old are somebody else's.
 */
static void end_orphans(const envid_t old[NENV])
{
    for (int i = 0; i < NENV; i++) {
        envid_t id = envs[i].env_id;
        if (id != old[i] && envs[i].env_type == ENV_TYPE_USER && envs[i].env_parent_id == 0 &&
            env_alive(id))
            sys_env_destroy(id);
    }
}

static void race_all(const struct Pair *of, size_t n)
{
    static envid_t old[NENV];

    for (int i = 0; i < NENV; i++)
        old[i] = envs[i].env_id;
    for (uint64_t round = 0; round < PAIRS * rounds; round++)
        for (size_t i = 0; i < n; i++)
            race(&of[i]);
    end_orphans(old);
}

void races(void)
{
    test_now = "races";
    race_all(pairs, ARRAY_SIZE(pairs));
}

void guest_races(void)
{
    test_now = "guest-races";
    race_all(&guest_pair, 1);
}
