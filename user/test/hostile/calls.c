/*
 * Every system call with one bad argument at a time, the others good: an error, and nothing has
 * changed. The rows below say what kinds of arguments a call has; a call without a row does not
 * compile.
 */
#include <inc/msi.h>
#include "hostile.h"

/* What an argument is, which says what is bad. ANY: nothing is, or the call looks at it too late.
 */
enum Kind {
    ANY,
    NOT_US,    /* the call is not for programs like this one: anything is refused */
    OWN,       /* the caller or a child, not a guest */
    CHILD,     /* a child that is no zombie */
    ENDED,     /* a zombie */
    VICTIM,    /* an env to be ended */
    PEER,      /* an env to send to */
    SENDER,    /* an env to hear */
    GUEST,     /* the caller's guest */
    ANY_GUEST, /* anybody's guest */
    READ,      /* a pointer from which the call reads */
    WRITE,     /* one to which it writes */
    RESULT,    /* the same, or NULL */
    LENGTH,    /* of what is there to read */
    ROOM,      /* not 0 */
    VA,        /* a page's address */
    MAPPED,    /* the address of a page that is mapped, writable */
    OFFERED,   /* the same; from UTOP on: none */
    WANTED,    /* where a page is to be mapped; from UTOP on: nowhere */
    FROM,
    TO, /* a range of pages */
    PERM,
    PERM_RUN, /* of up to PERM_PAGES_MAX pages */
    STATUS,
    CODE, /* an address in user space */
    MEMSIZE,
    ENTRY,
    FLAGS,
    VECTOR,
    MSI_TO,
    MSI_DATA,
    GPA,
    GPA_PAGE,
    ENTRIES,
};

#define MAX_ARGS 5
#define ARGS(...)   \
    {               \
        __VA_ARGS__ \
    }

#define ARGS_cputs                  ARGS(READ, LENGTH)
#define ARGS_cgetc                  ARGS(ANY)
#define ARGS_cons_claim             ARGS(ANY)
#define ARGS_getenvid               ARGS(ANY)
#define ARGS_env_destroy            ARGS(VICTIM)
#define ARGS_env_exit               ARGS(ANY)
#define ARGS_env_wait               ARGS(ENDED, RESULT, ANY)
#define ARGS_env_set_name           ARGS(CHILD, READ)
#define ARGS_page_alloc             ARGS(OWN, VA, PERM_RUN)
#define ARGS_page_map               ARGS(OWN, MAPPED, OWN, VA, PERM)
#define ARGS_page_unmap             ARGS(OWN, VA)
#define ARGS_page_fork              ARGS(CHILD, FROM, TO)
#define ARGS_exofork                ARGS(ANY)
#define ARGS_env_set_status         ARGS(CHILD, STATUS)
#define ARGS_env_set_trapframe      ARGS(CHILD, READ)
#define ARGS_env_set_pgfault_upcall ARGS(CHILD, CODE)
#define ARGS_yield                  ARGS(ANY)
#define ARGS_ipc_try_send           ARGS(PEER, ANY, OFFERED, PERM_RUN)
#define ARGS_ipc_send               ARGS(PEER, ANY, OFFERED, PERM_RUN)
#define ARGS_ipc_recv               ARGS(WANTED, SENDER)
#define ARGS_ipc_try_recv           ARGS(WANTED)
#define ARGS_ipc_call               ARGS(PEER, ANY, OFFERED, PERM_RUN, WANTED)
#define ARGS_ipc_reply_recv         ARGS(ANY, ANY, OFFERED, PERM_RUN, WANTED)
#define ARGS_time_msec              ARGS(ANY)
#define ARGS_sleep_msec             ARGS(ANY)
#define ARGS_time_unix              ARGS(ANY)
#define ARGS_sysinfo                ARGS(WRITE)
#define ARGS_cmdline                ARGS(WRITE, ROOM)
#define ARGS_poweroff               ARGS(ANY)
#define ARGS_irq_wait               ARGS(NOT_US, NOT_US)
#define ARGS_pci_open               ARGS(NOT_US, NOT_US, NOT_US)
#define ARGS_pci_map                ARGS(NOT_US, NOT_US)
#define ARGS_pci_irq                ARGS(NOT_US, NOT_US)
#define ARGS_null                   ARGS(ANY)
#define ARGS_guest_check            ARGS(ANY)
#define ARGS_env_mkguest            ARGS(MEMSIZE, ENTRY, FLAGS)
#define ARGS_guest_features         ARGS(GUEST, READ)
#define ARGS_ept_map                ARGS(SENDER, MAPPED, GUEST, GPA_PAGE, PERM)
#define ARGS_guest_share            ARGS(GUEST, MAPPED)
#define ARGS_guest_run              ARGS(GUEST)
#define ARGS_guest_map              ARGS(GUEST, GPA_PAGE, VA, PERM)
#define ARGS_guest_walk             ARGS(GUEST, ANY, ANY)
#define ARGS_guest_irq              ARGS(GUEST, VECTOR)
#define ARGS_guest_msi              ARGS(GUEST, MSI_TO, MSI_DATA)
#define ARGS_guest_apic             ARGS(GUEST, ANY, ANY, ANY, ANY)
#define ARGS_guest_mem              ARGS(GUEST, GPA, WRITE, LENGTH, ANY)
#define ARGS_guest_walk             ARGS(GUEST, ANY, ANY)
#define ARGS_guest_stats            ARGS(ANY_GUEST, WRITE)
#define ARGS_guest_pause            ARGS(ANY_GUEST, ANY)
#define ARGS_guest_trace_start      ARGS(GUEST, ENTRIES)
#define ARGS_guest_trace            ARGS(ANY_GUEST, WRITE)
#define ARGS_guest_backtrace        ARGS(ANY_GUEST)
#define ARGS_guest_debug            ARGS(GUEST, NOT_US, ANY, NOT_US)
#define ARGS_serial_open            ARGS(ANY)
#define ARGS_serial_read            ARGS(NOT_US, NOT_US)
#define ARGS_serial_write           ARGS(READ, LENGTH)
#define ARGS_host_ipc_send          ARGS(NOT_US, NOT_US, NOT_US)
#define ARGS_host_ipc_recv          ARGS(NOT_US)
#define ARGS_crash                  ARGS(NOT_US)

struct Call {
    const char *name;
    uint8_t kinds[MAX_ARGS];
};
#define CALL_ROW(call) [SYS_##call] = { #call, ARGS_##call },
static const struct Call calls[NSYSCALLS] = { SYSCALL_LIST(CALL_ROW) };

/* ---- What is good ---- */

#define ARENA ((char *)UHEAP) /* page 0: read-write, 1: not mapped, 2: read-only, 3: not mapped */

static envid_t stopped, zombie, guest, parent;

static uint64_t good(enum Kind kind)
{
    switch (kind) {
    case CHILD:
    case VICTIM:
        return stopped;
    case ENDED:
        return zombie;
    case PEER:
        return parent;
    case GUEST:
    case ANY_GUEST:
        return guest;
    case READ:
    case WRITE:
    case RESULT:
    case MAPPED:
    case OFFERED:
    case FROM:
        return (uintptr_t)ARENA;
    case TO:
        return (uintptr_t)ARENA + PGSIZE;
    case LENGTH:
        return 8;
    case ROOM:
        return PGSIZE;
    case VA:
        return (uintptr_t)ARENA + PGSIZE;
    case WANTED:
        return UTOP;
    case PERM:
    case PERM_RUN:
        return PERM_RW;
    case STATUS:
        return ENV_NOT_RUNNABLE;
    case CODE:
        return UTEXT;
    case MEMSIZE:
        return GUEST_MEM_MIN;
    case VECTOR:
        return IRQ_OFFSET;
    case MSI_TO:
        return MSI_ADDRESS;
    case MSI_DATA:
        return MSI_FIXED | IRQ_OFFSET;
    case ENTRIES:
        return 1;
    default:
        return 0;
    }
}

/* ---- What is bad ---- */

#define MAX_BAD      32
#define NONCANONICAL UL(0x0000800000000000)

struct Bad {
    uint64_t values[MAX_BAD];
    int n;
};

static void add(struct Bad *b, uint64_t value)
{
    if (b->n < MAX_BAD)
        b->values[b->n++] = value;
}

static void add_list(struct Bad *b, const uint64_t *values, int n)
{
    for (int i = 0; i < n; i++)
        add(b, values[i]);
}

/* Ids of nobody, of others unless these are good (one may hear them, and send to them), and that of
 * the caller where a child is meant. */
static void bad_ids(struct Bad *b, enum Kind kind)
{
    static const uint64_t nobody[] = { 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7ffffc00 };

    add_list(b, nobody, ARRAY_SIZE(nobody));
    add(b, sys_getenvid() + NENV);
    add(b, stopped + NENV);
    if (kind != PEER && kind != SENDER) {
        add(b, ipc_find_env(ENV_TYPE_FS));
        add(b, ipc_find_env(ENV_TYPE_INIT));
    }
    if (kind == PEER || kind == GUEST || kind == ANY_GUEST)
        add(b, 0);
}

static void bad_addresses(struct Bad *b)
{
    static const uint64_t nobodys[] = {
        UTOP,
        UENVS,
        UPAGES,
        UVPT,
        NONCANONICAL,
        NONCANONICAL - PGSIZE,
        ~NONCANONICAL + 1 - PGSIZE,
        KERNBASE,
        KERNBASE + KERNEL_LOAD,
        KERNEL_VMA + KERNEL_LOAD,
        KERNEL_ENVS,
        LAPIC_VA,
        -(uint64_t)PGSIZE,
    };
    add_list(b, nobodys, ARRAY_SIZE(nobodys));
}

static void bad_pointers(struct Bad *b, enum Kind kind)
{
    bad_addresses(b);
    if (kind != RESULT)
        add(b, 0);
    add(b, 1);
    add(b, ~0ul);
    add(b, ~0ul - 3);
    add(b, UTOP - 1);
    add(b, (uintptr_t)ARENA + PGSIZE);     /* not mapped */
    add(b, (uintptr_t)ARENA + PGSIZE - 3); /* goes on where nothing is mapped */
    if (kind != READ) {
        add(b, (uintptr_t)ARENA + 2 * PGSIZE); /* read-only */
        add(b, UTEXT);
        add(b, (uintptr_t)ARENA + 2 * PGSIZE - 4);
    }
}

static void bad_pages(struct Bad *b)
{
    bad_addresses(b);
    add(b, (uintptr_t)ARENA + 1);
    add(b, (uintptr_t)ARENA + PGSIZE - 1);
    add(b, UTOP - 1);
    add(b, ~0ul);
}

static void bad_sources(struct Bad *b)
{
    add(b, (uintptr_t)ARENA + 1);
    add(b, (uintptr_t)ARENA + PGSIZE);     /* not mapped */
    add(b, (uintptr_t)ARENA + 2 * PGSIZE); /* read-only, and the permission says writable */
    add(b, UTEXT);
    add(b, UTOP - PGSIZE);
    add(b, 0);
}

/* Where a permission is that of several pages, their number takes some bits. */
static void bad_perms(struct Bad *b, enum Kind kind)
{
    static const uint64_t counts[] = { PERM_RW | PTE_PCD, PERM_RW | PTE_PWT, PERM_RW | PTE_A,
                                       PERM_RW | PTE_D };
    static const uint64_t perms[] = {
        0,
        PTE_P,
        PTE_U,
        PTE_P | PTE_W,
        PERM_RW | PTE_PS,
        PERM_RW | PTE_G,
        PERM_RW | 1ul << 12,
        PERM_RW | 1ul << 51,
        PERM_RW | 1ul << 52,
        PERM_RW | 1ul << 62,
        ~0ul,
    };
    add_list(b, perms, ARRAY_SIZE(perms));
    if (kind == PERM)
        add_list(b, counts, ARRAY_SIZE(counts));
}

/* Numbers that are out of the range of this kind. */
static void bad_numbers(enum Kind kind, struct Bad *b)
{
    static const struct {
        enum Kind kind;
        uint64_t values[8];
        int n;
    } lists[] = {
        { LENGTH, { 1ul << 33, 1ul << 47, ~0ul, 1ul << 63, UTOP }, 5 },
        { ROOM, { 0 }, 1 },
        { FROM, { UHEAP + 1, UHEAP + PGSIZE, UTOP, KERNBASE, NONCANONICAL, ~0ul, -4096ul }, 7 },
        { TO, { 0, UHEAP, UHEAP + 1, UTOP + PGSIZE, KERNBASE, NONCANONICAL, ~0ul, -4096ul }, 8 },
        { STATUS, { ENV_FREE, ENV_RUNNING, ENV_DYING, ENV_ZOMBIE, 99, 1ul << 31, ~0ul }, 7 },
        { CODE, { UTOP, UENVS, NONCANONICAL, KERNBASE, KERNEL_VMA, ~0ul }, 6 },
        { MEMSIZE, { 0, 1, GUEST_MEM_MIN - PGSIZE, GUEST_MEM_MIN + 1, 1ul << 40, ~0ul }, 6 },
        { ENTRY, { GUEST_MEM_MIN, GUEST_HOLE_START, 1ul << 32, NONCANONICAL, ~0ul }, 5 },
        { FLAGS, { 4, 8, 1ul << 30, 0xffffffff }, 4 },
        { VECTOR, { 0, 31, 256, 0x80000000, 0xffffffff }, 5 },
        { MSI_TO,
          { 0, MSI_ADDRESS - 4, MSI_ADDRESS + (1 << 20), MSI_ADDRESS | 1ul << 32, ~0ul },
          5 },
        { MSI_DATA, { 0, 15, MSI_LOWEST | 15, 0x220, 0x320, 0x520, 0x720 }, 7 },
        { GPA,
          { GUEST_MEM_MIN, GUEST_MEM_MIN - 1, GUEST_HOLE_START, 1ul << 52, ~0ul, ~0ul - 7 },
          6 },
        { GPA_PAGE, { 1, GUEST_MEM_MIN, GUEST_HOLE_START, 1ul << 52, -4096ul }, 5 },
        { ENTRIES, { 0, GUEST_TRACE_MAX + 1, 1ul << 32, ~0ul }, 4 },
        { NOT_US, { 0, 1, 14, UHEAP, UTOP, KERNBASE, ~0ul }, 7 },
        { WANTED, { PERM_PAGES_MAX, UHEAP + PERM_PAGES_MAX, UTOP - 1 }, 3 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        if (lists[i].kind == kind)
            add_list(b, lists[i].values, lists[i].n);
}

static void bad(enum Kind kind, struct Bad *b)
{
    b->n = 0;
    if (kind >= OWN && kind <= ANY_GUEST)
        bad_ids(b, kind);
    else if (kind == READ || kind == WRITE || kind == RESULT)
        bad_pointers(b, kind);
    else if (kind == VA)
        bad_pages(b);
    else if (kind == MAPPED || kind == OFFERED)
        bad_sources(b);
    else if (kind == PERM || kind == PERM_RUN)
        bad_perms(b, kind);
    else
        bad_numbers(kind, b);
    if (kind == MAPPED)
        bad_addresses(b);
}

/* ---- The test ---- */

/* What a call that fails must leave as it was. */
struct Trace {
    uint64_t own_pages, child_pages, child_status, sum; /* no padding: they are compared as bytes */
};

static struct Trace trace(void)
{
    const volatile struct Env *child = &envs[ENVX(stopped)];
    struct Trace t = { thisenv->env_pages, child->env_pages, child->env_status, 0 };

    for (size_t i = 0; i < PGSIZE - sizeof(uint64_t); i++) /* a result may have begun at the end */
        t.sum = t.sum * 31 + (uint8_t)ARENA[i] + (uint8_t)ARENA[2 * PGSIZE + i];
    return t;
}

static void try_bad(uint64_t nr, int arg, uint64_t value)
{
    const struct Call *c = &calls[nr];
    uint64_t args[MAX_ARGS];
    struct Trace before = trace(), after;

    memset(ARENA + PGSIZE - sizeof(uint64_t), 'h', sizeof(uint64_t));
    for (int i = 0; i < MAX_ARGS; i++)
        args[i] = i == arg ? value : good(c->kinds[i]);
    int64_t r = attempt(nr, args);
    CHECK(r < 0, "%s: argument %d is %#lx, and the result %ld", c->name, arg + 1, value, r);
    after = trace();
    CHECK(memcmp(&before, &after, sizeof(before)) == 0,
          "%s: argument %d is %#lx: error %ld, but "
          "something has changed",
          c->name, arg + 1, value, r);
}

static void try_all(void)
{
    struct Bad b;

    for (uint64_t nr = 0; nr < NSYSCALLS; nr++)
        for (int arg = 0; arg < MAX_ARGS; arg++) {
            bad(calls[nr].kinds[arg], &b);
            for (int i = 0; i < b.n; i++)
                try_bad(nr, arg, b.values[i]);
        }
    for (uint64_t nr = NSYSCALLS; nr != 0; nr <<= 1) {
        uint64_t args[MAX_ARGS] = { 0 };
        CHECK_IS(attempt(nr, args), -E_NO_SYS);
    }
}

static void set_up(void)
{
    parent = thisenv->env_parent_id;
    CHECK_IS(sys_page_alloc(0, ARENA, PERM_RW), 0);
    memset(ARENA, 'h', PGSIZE);
    CHECK_IS(sys_page_alloc(0, ARENA + 2 * PGSIZE, PERM_RO), 0);
    stopped = sys_exofork();
    CHECK(stopped >= 0, "exofork: %e", stopped);
    if (stopped == 0)
        exit(0);
    zombie = start_env();
    if (zombie == 0)
        exit(0);
    while (envs[ENVX(zombie)].env_status != ENV_ZOMBIE)
        sys_sleep_msec(1);
    guest = make_guest();
}

void bad_arguments(void)
{
    envid_t child;

    test_now = "arguments";
    child = start_env();
    if (child == 0) {
        set_up();
        try_all();
        exit(0);
    }
    CHECK_IS(wait(child), 0);
}
