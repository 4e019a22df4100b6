/*
 * Random system calls by several envs at once. Arguments come from pools in which good and bad
 * values are mixed, so that calls get far; kept out is only what would end the test itself: power,
 * the ends of envs of others, and the program's own code and stack.
 */
#include "hostile.h"

#define VICTIMS     4    /* at once */
#define CALLS       4000 /* of each */
#define LIMIT_MS    500
#define BATCHES     4   /* of victims, a round */
#define MAX_KIDS    8   /* of each victim */
#define ARENA_PAGES 16  /* of its memory that calls may change */
#define MAX_SLEEP   2   /* ms */
#define ONE_IN_MANY 200 /* how often a victim's own end is tried */

#define ARENA UHEAP

static envid_t kids[MAX_KIDS];
static int nkids;

static uint64_t any_number(void)
{
    static const uint64_t edges[] = { 0,         1,         7,          8,          31,
                                      32,        255,       256,        4095,       4096,
                                      4097,      0x10000,   0x7fffffff, 0x80000000, 0xffffffff,
                                      1ul << 32, 1ul << 47, 1ul << 52,  1ul << 63,  ~0ul };
    return roll(3) ? edges[roll(ARRAY_SIZE(edges))] : roll(UINT32_MAX) << roll(33);
}

static uint64_t any_address(void)
{
    static const uint64_t bases[] = { 0,          UTEXT,       UTOP,      UENVS,
                                      UPAGES,     UVPT,        KERNBASE,  LAPIC_VA,
                                      KERNEL_VMA, KERNEL_ENVS, 1ul << 47, KERNBASE - PGSIZE };
    if (roll(4))
        return ARENA + roll(ARENA_PAGES) * PGSIZE + (roll(3) ? 0 : PGSIZE - roll(64));
    return roll(4) ? bases[roll(ARRAY_SIZE(bases))] + roll(1 << 20) * 8 : any_number();
}

/* Where a mapping may change: the arena, or an address that no program may map. */
static uint64_t any_page(void)
{
    uint64_t va = any_address();
    bool own = va < UTOP && (va < ARENA || va >= ARENA + ARENA_PAGES * PGSIZE);

    return own ? ARENA + roll(ARENA_PAGES) * PGSIZE : roll(8) ? ROUNDDOWN(va, PGSIZE) : va;
}

static uint64_t any_perm(void)
{
    static const uint64_t perms[] = { PERM_RO,           PERM_RW,           PERM_RW | PTE_SHARE,
                                      PERM_RO | PTE_COW, PERM_RW | PTE_COW, PERM_RO | PTE_NX };
    return roll(5) ? perms[roll(ARRAY_SIZE(perms))] : any_number();
}

static uint64_t any_kid(void)
{
    return nkids && roll(4) ? (uint64_t)kids[roll(nkids)] : any_number() % (1 << 20) + (1 << 20);
}

/* Nobody's but this family's. */
static uint64_t self_or_kid(void)
{
    return roll(2) ? 0 : any_kid();
}

/* Anybody, to send to or to hear. */
static uint64_t any_env(void)
{
    return roll(2) ? (uint64_t)envs[roll(64)].env_id : any_kid();
}

/* Who may be tried to be ended: those that are refused, and this family. */
static uint64_t any_victim(void)
{
    if (roll(ONE_IN_MANY) == 0)
        return 0;
    return roll(2) ? (uint64_t)ipc_find_env(roll(2) ? ENV_TYPE_FS : ENV_TYPE_INIT) : any_kid();
}

static uint64_t any_sleep(void)
{
    return roll(MAX_SLEEP);
}

static uint64_t no_waiting(void)
{
    return 1;
}

static uint64_t few(void)
{
    return roll(3);
}

typedef uint64_t Source(void);

/* Calls that are tried, with where their arguments come from (any_number where nothing is said).
 * Not tried: output of noise, input from the console, and the end of the machine. */
static const struct {
    uint32_t nr;
    Source *args[5];
} tries[] = {
    { SYS_cputs, { any_address, few } }, /* of the page at ARENA, which has zeroes */
    { SYS_getenvid, { NULL } },
    { SYS_env_destroy, { any_victim } },
    { SYS_env_wait, { any_kid, any_address, no_waiting } },
    { SYS_env_set_name, { self_or_kid, any_address } },
    { SYS_page_alloc, { self_or_kid, any_page, any_perm } },
    { SYS_page_alloc, { self_or_kid, any_page, any_perm } },
    { SYS_page_map, { self_or_kid, any_address, self_or_kid, any_page, any_perm } },
    { SYS_page_map, { self_or_kid, any_page, self_or_kid, any_page, any_perm } },
    { SYS_page_unmap, { self_or_kid, any_page } },
    { SYS_page_fork, { any_kid, any_page, any_address } },
    { SYS_exofork, { NULL } },
    { SYS_env_set_status, { any_kid, few } },
    { SYS_env_set_trapframe, { any_kid, any_address } },
    { SYS_env_set_pgfault_upcall, { any_kid, any_address } },
    { SYS_yield, { NULL } },
    { SYS_ipc_try_send, { any_env, any_number, any_page, any_perm } },
    { SYS_ipc_try_recv, { any_page } },
    { SYS_time_msec, { NULL } },
    { SYS_sleep_msec, { any_sleep } },
    { SYS_sysinfo, { any_page } },
    { SYS_cmdline, { any_page, any_number } },
    { SYS_irq_wait, { NULL } },
    { SYS_pci_open, { any_number, few, any_page } },
    { SYS_pci_map, { few, few } },
    { SYS_pci_irq, { few, any_page } },
    { SYS_null, { NULL } },
    { SYS_guest_check, { any_page, any_number } },
    { SYS_env_mkguest, { any_number, any_number, any_number, any_page, any_number } },
    { SYS_ept_map, { self_or_kid, any_page, any_kid, any_page, any_perm } },
    { SYS_guest_run, { any_kid, any_page, few } },
    { SYS_guest_irq, { any_kid } },
    { SYS_guest_msi, { any_kid, any_number, any_number } },
    { SYS_guest_apic, { any_kid, any_number, few, few, any_number } },
    { SYS_guest_mem, { any_kid, any_number, any_page, any_number, few } },
    { SYS_guest_map, { any_kid, any_page, any_page, any_perm } },
    { SYS_guest_features, { any_kid, any_page } },
    { SYS_guest_stats, { any_kid, any_page } },
    { SYS_guest_pause, { any_kid, few } },
    { SYS_guest_trace_start, { any_kid } },
    { SYS_guest_trace, { any_kid, any_page, any_page } },
    { SYS_guest_backtrace, { any_kid, any_page } },
    { SYS_guest_debug, { any_kid, few, any_number, any_page } },
    { SYS_serial_read, { any_page } },
    { SYS_serial_write, { any_address } },
    { SYS_host_ipc_send, { any_number, any_page, any_perm } },
    { SYS_host_ipc_recv, { any_page } },
    { SYS_crash, { NULL } },
};

/* A child that does nothing unless it is told where to go on. */
static void try_exofork(void)
{
    envid_t kid;

    if (nkids == MAX_KIDS)
        return;
    kid = sys_exofork();
    if (kid == 0)
        exit(0);
    count(&tally->calls, 1);
    if (kid > 0) {
        count(&tally->envs, 1);
        kids[nkids++] = kid;
    }
}

static void forget_ended(void)
{
    for (int i = 0; i < nkids; i++)
        if (!env_alive(kids[i])) {
            sys_env_wait(kids[i], NULL, true);
            kids[i--] = kids[--nkids];
        }
}

static void try_one(void)
{
    uint64_t i = roll(ARRAY_SIZE(tries)), args[5];

    if (tries[i].nr == SYS_exofork) {
        try_exofork();
        return;
    }
    for (int a = 0; a < 5; a++)
        args[a] = tries[i].args[a] ? tries[i].args[a]() : any_number();
    if (tries[i].nr == SYS_sysinfo || tries[i].nr == SYS_cmdline)
        args[0] = any_page();
    attempt(tries[i].nr, args);
}

/* With an odd number it also blocks where others may wake it, or nobody. */
static void victim(int n)
{
    sys_page_alloc(0, (void *)ARENA, PERM_RW);
    for (int i = 0; i < CALLS; i++) {
        try_one();
        if (i % 64 == 0)
            forget_ended();
        if (n % 2 && roll(ONE_IN_MANY) == 0)
            sys_ipc_recv((void *)any_page(), 0, NULL);
        if (n % 2 && roll(ONE_IN_MANY) == 0)
            sys_ipc_send(any_env(), roll(UINT32_MAX), (void *)any_page(), any_perm());
    }
}

static void batch(void)
{
    envid_t child[VICTIMS];

    for (int i = 0; i < VICTIMS; i++) {
        child[i] = start_env();
        if (child[i] == 0) {
            victim(i);
            exit(0);
        }
    }
    for (int i = 0; i < VICTIMS; i++)
        end_env(child[i], LIMIT_MS);
}

void random_calls(void)
{
    for (uint64_t i = 0; i < BATCHES * rounds; i++)
        batch();
}
