/*
 * fork: the two copies are separate in both directions, shared pages are common, and the child
 * knows who it is.
 */
#include "test.h"

static volatile int global = 1;

/* Run fn in a child; the child's exit status is its result. */
static int in_child(int (*fn)(void))
{
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0)
        exit(fn());
    return wait(child);
}

static int change_all(void)
{
    int *heap = (int *)UHEAP;
    global = 2;
    *heap = 2;
    return global == 2 && *heap == 2 ? 0 : 1;
}

static void child_changes(void)
{
    volatile int local = 1;
    CHECK_IS(sys_page_alloc(0, (void *)UHEAP, PTE_P | PTE_U | PTE_W | PTE_NX), 0);
    volatile int *heap = (int *)UHEAP;
    global = *heap = 1;
    CHECK_IS(in_child(change_all), 0);
    CHECK_IS(global, 1);
    CHECK_IS(local, 1);
    CHECK_IS(*heap, 1);
    sys_page_unmap(0, (void *)UHEAP);
}

static void parent_changes(void)
{
    volatile int local = 1;
    global = 1;
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        ipc_recv(NULL, NULL, NULL); /* until the parent has changed its memory */
        exit(global == 1 && local == 1 ? 0 : 1);
    }
    global = 5;
    local = 5;
    ipc_send(child, 0, NULL, 0);
    CHECK(wait(child) == 0, "the child sees what the parent wrote after the fork");
    CHECK_IS(local, 5);
}

static int fill_sysinfo(void)
{
    static struct SysInfo info;
    return sys_sysinfo(&info) == 0 && info.ncpu > 0 ? 0 : 1;
}

/* The kernel itself writes to a copy-on-write page. */
static void kernel_writes(void)
{
    static struct SysInfo info;
    info.ncpu = 12345;
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        int r = sys_sysinfo(&info);
        exit(r == 0 && info.ncpu != 12345 ? 0 : 1);
    }
    CHECK(wait(child) == 0, "the child's system call did not write");
    CHECK_IS(info.ncpu, 12345);
    CHECK_IS(in_child(fill_sysinfo), 0);
}

static int store_shared(void)
{
    *(volatile int *)UHEAP = 77;
    return 0;
}

static void shared_page(void)
{
    volatile int *page = (int *)UHEAP;
    CHECK_IS(sys_page_alloc(0, (void *)UHEAP, PTE_P | PTE_U | PTE_W | PTE_NX | PTE_SHARE), 0);
    *page = 1;
    CHECK_IS(in_child(store_shared), 0);
    CHECK_IS(*page, 77);
    sys_page_unmap(0, (void *)UHEAP);
}

static int knows_itself(void)
{
    return thisenv->env_id == sys_getenvid() && thisenv->env_parent_id != thisenv->env_id ? 0 : 1;
}

static void identity(void)
{
    envid_t me = sys_getenvid();
    CHECK_IS(in_child(knows_itself), 0);
    CHECK_IS(thisenv->env_id, me);
}

/* Each node forks two children and returns the number of leaves below it. */
static int tree(int depth)
{
    int leaves = 0;
    envid_t child[2];

    if (depth == 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0, "fork: %e", child[i]);
        if (child[i] == 0)
            exit(tree(depth - 1));
    }
    for (int i = 0; i < 2; i++)
        leaves += wait(child[i]);
    return leaves;
}

static void fork_tree(void)
{
    CHECK_IS(tree(4), 16);
}

static void many(void)
{
    enum {
        N = 60
    };
    envid_t child[N];
    for (int i = 0; i < N; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0, "fork %d: %e", i, child[i]);
        if (child[i] == 0)
            exit(i);
    }
    for (int i = 0; i < N; i++)
        CHECK_IS(wait(child[i]), i);
}

static const struct Test tests[] = {
    { "child-changes", child_changes },
    { "parent-changes", parent_changes },
    { "kernel-writes", kernel_writes },
    { "shared-page", shared_page },
    { "identity", identity },
    { "tree", fork_tree },
    { "many", many },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
