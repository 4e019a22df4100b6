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

static const struct Test tests[] = {
    { "values", values },           { "pages", pages_arrive },  { "call", call },
    { "from-one", from_one },       { "order", order },         { "receiver-dies", receiver_dies },
    { "sender-dies", sender_dies }, { "bad-pages", bad_pages },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
