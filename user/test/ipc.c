/*
 * IPC: values and pages arrive, senders and receivers wait for each other, and nobody waits for an
 * env that is gone.
 */
#include "test.h"

#define PERM_RW ((uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX))
#define PERM_RO (PERM_RW & ~PTE_W)

static char *const page = (char *)UHEAP;
static char *const page2 = (char *)UHEAP + PGSIZE;

static envid_t start(int (*fn)(envid_t parent))
{
    envid_t me = sys_getenvid(), child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0)
        exit(fn(me));
    return child;
}

static int send_values(envid_t parent)
{
    for (uint64_t i = 0; i < 100; i++)
        ipc_send(parent, i << 33 | i, NULL, 0);
    return 0;
}

static void values(void)
{
    envid_t from, child = start(send_values);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_IS(ipc_recv(&from, NULL, NULL), i << 33 | i);
        CHECK_IS(from, child);
    }
    CHECK_IS(wait(child), 0);
}

static int send_page(envid_t parent)
{
    if (sys_page_alloc(0, page, PERM_RW) < 0)
        return 1;
    strcpy(page, "from the child");
    ipc_send(parent, 1, page, PERM_RW);
    ipc_recv(NULL, NULL, NULL);
    return strcmp(page, "from the parent") == 0 ? 0 : 2;
}

static void pages_arrive(void)
{
    uint64_t perm;
    envid_t child = start(send_page);
    CHECK_IS(ipc_recv(NULL, page2, &perm), 1);
    CHECK(perm & PTE_W, "permission is %#lx", perm);
    CHECK(strcmp(page2, "from the child") == 0, "the page holds '%s'", page2);
    strcpy(page2, "from the parent");
    ipc_send(child, 0, NULL, 0);
    CHECK(wait(child) == 0, "the child does not see the parent's write to the common page");
    sys_page_unmap(0, page2);
}

static int ask(envid_t parent)
{
    struct IpcMessage m;
    int r = sys_ipc_call(parent, 20, (void *)UTOP, 0, (void *)UTOP, &m);
    return r == 0 && m.value == 21 ? 0 : 1;
}

static void call(void)
{
    envid_t from, child = start(ask);
    int64_t v = ipc_recv(&from, NULL, NULL);
    CHECK_IS(v, 20);
    ipc_send(from, v + 1, NULL, 0);
    CHECK_IS(wait(child), 0);
}

static int send_late(envid_t parent)
{
    sys_sleep_msec(20);
    ipc_send(parent, 2, NULL, 0);
    return 0;
}

static int send_early(envid_t parent)
{
    ipc_send(parent, 1, NULL, 0);
    return 0;
}

/* A receiver may choose whom it hears. */
static void from_one(void)
{
    envid_t early = start(send_early), late = start(send_late);
    struct IpcMessage m;
    CHECK_IS(sys_ipc_recv((void *)UTOP, late, &m), 0);
    CHECK_IS(m.value, 2);
    CHECK_IS(m.from, late);
    CHECK_IS(ipc_recv(NULL, NULL, NULL), 1);
    CHECK_IS(wait(early), 0);
    CHECK_IS(wait(late), 0);
}

/* Waiting senders are served in the order in which they came. */
static void order(void)
{
    envid_t child[5];
    for (int i = 0; i < 5; i++) {
        child[i] = start(send_early);
        while (envs[ENVX(child[i])].env_status != ENV_NOT_RUNNABLE)
            sys_yield();
    }
    for (int i = 0; i < 5; i++) {
        envid_t from;
        CHECK_IS(ipc_recv(&from, NULL, NULL), 1);
        CHECK_IS(from, child[i]);
    }
    for (int i = 0; i < 5; i++)
        CHECK_IS(wait(child[i]), 0);
}

static int sleep_and_die(envid_t parent)
{
    (void)parent;
    sys_sleep_msec(30);
    return 0;
}

static void receiver_dies(void)
{
    envid_t child = start(sleep_and_die);
    CHECK_IS(sys_ipc_try_send(child, 1, (void *)UTOP, 0), -E_IPC_NOT_RECV);
    CHECK_IS(sys_ipc_send(child, 1, (void *)UTOP, 0), -E_BAD_ENV);
    CHECK_IS(wait(child), 0);
    CHECK_IS(sys_ipc_send(child, 1, (void *)UTOP, 0), -E_BAD_ENV);
}

static void sender_dies(void)
{
    envid_t child = start(sleep_and_die);
    CHECK_IS(sys_ipc_recv((void *)UTOP, child, NULL), -E_BAD_ENV);
    CHECK_IS(wait(child), 0);
}

static void bad_pages(void)
{
    envid_t child = start(send_late);
    CHECK_IS(sys_page_alloc(0, page, PERM_RO), 0);
    CHECK_IS(sys_ipc_try_send(child, 0, page + 1, PERM_RO), -E_INVAL);
    CHECK_IS(sys_ipc_try_send(child, 0, page2, PERM_RO), -E_INVAL);
    CHECK_IS(sys_ipc_try_send(child, 0, page, PERM_RW), -E_INVAL);
    CHECK_IS(sys_ipc_try_send(child, 0, page, PERM_RO | PTE_PS), -E_INVAL);
    sys_page_unmap(0, page);
    CHECK_IS(ipc_recv(NULL, NULL, NULL), 2);
    CHECK_IS(wait(child), 0);
}

/* ---- Several pages in a row ---- */

#define ROW(page, i) ((page) + (i)*PGSIZE)

static void fill_row(char *first, size_t n)
{
    CHECK_IS(sys_page_alloc(0, first, PERM_RW | PERM_PAGES(n)), 0);
    for (size_t i = 0; i < n; i++)
        *ROW(first, i) = 'a' + i;
}

static void unmap_row(char *first)
{
    for (size_t i = 0; i < PERM_PAGES_MAX; i++)
        sys_page_unmap(0, ROW(first, i));
}

/* How many pages are mapped from here on. */
static size_t row_length(const char *first)
{
    size_t n = 0;
    while (n < PERM_PAGES_MAX && (uvpt_entry((uintptr_t)ROW(first, n)) & PTE_P))
        n++;
    return n;
}

static void check_row(const char *first, size_t n)
{
    CHECK_IS(row_length(first), n);
    for (size_t i = 0; i < n; i++)
        CHECK(*ROW(first, i) == (char)('a' + i), "page %zu holds '%c'", i, *ROW(first, i));
}

static char *const row = (char *)UHEAP, *const row2 = (char *)UHEAP + PERM_PAGES_MAX * PGSIZE;

/* Rows of 1, 2 ... pages, to a parent that answers each with one of its own. */
static int call_with_rows(envid_t parent)
{
    struct IpcMessage m;

    for (size_t n = 1; n <= PERM_PAGES_MAX; n++) {
        fill_row(row, n);
        CHECK_IS(sys_ipc_call(parent, n, row, PERM_RW | PERM_PAGES(n),
                              IPC_ROOM(row2, PERM_PAGES_MAX), &m),
                 0);
        CHECK_IS(m.value, n + 1);
        CHECK_IS(PERM_PAGES_IN(m.perm), 2);
        check_row(row2, 2);
        unmap_row(row);
        unmap_row(row2);
    }
    return 0;
}

static void rows_arrive(void)
{
    struct IpcMessage m;
    envid_t child = start(call_with_rows);

    fill_row(row2, 2);
    CHECK_IS(sys_ipc_recv(IPC_ROOM(row, PERM_PAGES_MAX), 0, &m), 0);
    for (size_t n = 1; n <= PERM_PAGES_MAX; n++) {
        CHECK_IS(m.value, n);
        CHECK_IS(m.from, child);
        CHECK_IS(m.perm, PERM_RW | PERM_PAGES(n));
        check_row(row, n);
        if (n == PERM_PAGES_MAX)
            break;
        /* The step that a server takes: the pages are gone before it goes on. */
        CHECK_IS(sys_ipc_reply_recv(child, n + 1, row2, PERM_RW | PERM_PAGES(2),
                                    IPC_ROOM(row, PERM_PAGES_MAX), &m),
                 0);
    }
    unmap_row(row);
    CHECK_IS(sys_ipc_send(child, PERM_PAGES_MAX + 1, row2, PERM_RW | PERM_PAGES(2)), 0);
    CHECK_IS(wait(child), 0);
    unmap_row(row2);
}

static int call_with_few(envid_t parent)
{
    struct IpcMessage m;

    fill_row(row, 3);
    CHECK_IS(sys_ipc_call(parent, 0, row, PERM_RW | PERM_PAGES(3), (void *)UTOP, &m), 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_IS(pages[PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)ROW(row, i))))].pp_ref, 1);
    return 0;
}

/* A server that answers has none of the request's pages left. */
static void rows_are_dropped(void)
{
    struct IpcMessage m;
    envid_t late = start(send_late), child = start(call_with_few);

    CHECK_IS(sys_ipc_recv(IPC_ROOM(row, PERM_PAGES_MAX), child, &m), 0);
    check_row(row, 3);
    CHECK_IS(sys_ipc_reply_recv(child, 0, (void *)UTOP, 0, IPC_ROOM(row, PERM_PAGES_MAX), &m), 0);
    CHECK_IS(m.value, 2);
    CHECK_IS(row_length(row), 0);
    CHECK_IS(wait(child), 0);
    CHECK_IS(wait(late), 0);
}

static int send_three(envid_t parent)
{
    fill_row(row, 3);
    return sys_ipc_send(parent, 3, row, PERM_RW | PERM_PAGES(3)) == -E_INVAL ? 0 : 1;
}

static int call_three(envid_t parent)
{
    struct IpcMessage m;

    sys_sleep_msec(10);
    fill_row(row, 3);
    return sys_ipc_call(parent, 3, row, PERM_RW | PERM_PAGES(3), (void *)UTOP, &m) == -E_INVAL ? 0
                                                                                               : 1;
}

/* A row that the receiver has no room for comes back as the sender's error, whether that waited or
 * the receiver did; the receiver gets the next message. */
static void no_room(void)
{
    struct IpcMessage m;
    envid_t early = start(send_three), late = start(send_late), later;

    while (envs[ENVX(early)].env_wait != WAIT_SEND)
        sys_yield();
    CHECK_IS(sys_ipc_recv(IPC_ROOM(row, 2), 0, &m), 0);
    CHECK_IS(m.value, 2);
    CHECK_IS(row_length(row), 0);
    CHECK_IS(wait(early), 0);
    CHECK_IS(wait(late), 0);

    later = start(call_three);
    late = start(send_late);
    CHECK_IS(sys_ipc_recv(row, 0, &m), 0);
    CHECK_IS(m.value, 2);
    CHECK_IS(row_length(row), 0);
    CHECK_IS(wait(later), 0);
    CHECK_IS(wait(late), 0);
}

static int sleep_long(envid_t parent)
{
    (void)parent;
    return sys_sleep_msec(100000);
}

/* Pages that are not there are an error at once, also when the receiver listens to nobody. */
static void missing_row(void)
{
    struct IpcMessage m;
    envid_t child = start(sleep_long);

    fill_row(row, 2);
    CHECK_IS(sys_ipc_send(child, 0, row, PERM_RW | PERM_PAGES(3)), -E_INVAL);
    CHECK_IS(sys_ipc_call(child, 0, row, PERM_RW | PERM_PAGES(3), (void *)UTOP, &m), -E_INVAL);
    unmap_row(row);
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

static int send_row(envid_t parent)
{
    fill_row(row, 4);
    int r = sys_ipc_send(parent, 4, row, PERM_RW | PERM_PAGES(4));
    return r == 0 ? 0 : r == -E_INVAL ? 1 : 2;
}

/* Nothing is mapped beyond the end of user memory, nor unmapped. */
static void room_at_the_end(void)
{
    struct IpcMessage m;
    char *last = (char *)UTOP - PGSIZE;
    envid_t child = start(send_row), late = start(send_late);

    CHECK_IS(sys_ipc_recv(IPC_ROOM(last, PERM_PAGES_MAX), child, &m), -E_BAD_ENV);
    CHECK_IS(wait(child), 1);
    child = start(send_row);
    CHECK_IS(sys_ipc_recv(IPC_ROOM(row, PERM_PAGES_MAX), child, &m), 0);
    CHECK_IS(sys_ipc_reply_recv(child, 0, (void *)UTOP, 0, IPC_ROOM(last, PERM_PAGES_MAX), &m), 0);
    CHECK_IS(m.value, 2);
    CHECK_IS(wait(child), 0);
    CHECK_IS(wait(late), 0);
    CHECK_IS(sys_ipc_recv(row + PERM_PAGES_MAX, 0, &m), -E_INVAL);
    unmap_row(row);
}

static void bad_rows(void)
{
    envid_t child = start(send_late);

    fill_row(row, 3);
    CHECK_IS(sys_ipc_try_send(child, 0, row + 1, PERM_RW | PERM_PAGES(2)), -E_INVAL);
    CHECK_IS(sys_ipc_try_send(child, 0, row, PERM_RW | PERM_PAGES(2) | PTE_PS), -E_INVAL);
    CHECK_IS(sys_page_map(0, row, 0, row2, PERM_RW | PERM_PAGES(2)), -E_INVAL);
    CHECK_IS(sys_page_alloc(0, row + 1, PERM_RW | PERM_PAGES(2)), -E_INVAL);
    CHECK_IS(sys_page_alloc(0, (char *)UTOP - PGSIZE, PERM_RW | PERM_PAGES(2)), -E_INVAL);
    CHECK_IS(row_length((char *)UTOP - PGSIZE), 0);
    CHECK_IS(sys_page_alloc(child + NENV, row2, PERM_RW | PERM_PAGES(2)), -E_BAD_ENV);
    unmap_row(row);
    CHECK_IS(ipc_recv(NULL, NULL, NULL), 2);
    CHECK_IS(wait(child), 0);
}

static const struct Test tests[] = {
    { "values", values },
    { "pages", pages_arrive },
    { "call", call },
    { "from-one", from_one },
    { "order", order },
    { "receiver-dies", receiver_dies },
    { "sender-dies", sender_dies },
    { "bad-pages", bad_pages },
    { "rows", rows_arrive },
    { "dropped-rows", rows_are_dropped },
    { "no-room", no_room },
    { "room-at-the-end", room_at_the_end },
    { "bad-rows", bad_rows },
    { "missing-row", missing_row },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
