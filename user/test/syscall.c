/*
 * System calls: every one refuses bad pointers, addresses, permissions, ids and numbers with an
 * error, and none reads or writes kernel memory for a program.
 */
#include "test.h"

#define PERM_RW ((uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX))

static char *const page = (char *)UHEAP;

/* Addresses that no system call may touch, whatever the length. */
static void *const bad_pointers[] = {
    (void *)0,
    (void *)0x1000,
    (void *)(UTOP - 1),
    (void *)UTOP,
    (void *)UENVS,
    (void *)UPAGES,
    (void *)UVPT,
    (void *)0x0000800000000000ul,
    (void *)KERNBASE,
    (void *)(KERNBASE + KERNEL_LOAD),
    (void *)(KERNEL_VMA + KERNEL_LOAD),
    (void *)~0ul,
};

static int64_t raw(uint64_t nr, uint64_t a1, uint64_t a2, uint64_t a3)
{
    int64_t r;
    asm volatile("syscall"
                 : "=a"(r)
                 : "a"(nr), "D"(a1), "S"(a2), "d"(a3)
                 : "rcx", "r11", "r8", "r9", "r10", "memory");
    return r;
}

static void numbers(void)
{
    static const uint64_t bad[] = { NSYSCALLS, NSYSCALLS + 1, 1000, 1ul << 31, 1ul << 32, ~0ul };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK(raw(bad[i], 0, 0, 0) == -E_NO_SYS, "call %#lx is not refused", bad[i]);
    CHECK_IS(sys_null(), 0);
}

static void pointers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_pointers); i++) {
        void *p = bad_pointers[i];
        test_now = "pointers";
        CHECK(sys_cputs(p, 10) == -E_FAULT, "cputs from %p", p);
        CHECK(sys_cmdline(p, 100) == -E_FAULT, "cmdline to %p", p);
        CHECK(sys_sysinfo(p) == -E_FAULT, "sysinfo to %p", p);
        CHECK(sys_env_set_name(0, p) == -E_FAULT, "set_name from %p", p);
        CHECK(sys_env_set_trapframe(0, p) == -E_FAULT, "set_trapframe from %p", p);
    }
    CHECK_IS(sys_cputs(page, ~0ul), -E_FAULT);
    CHECK_IS(sys_cputs((char *)UTEXT, 1ul << 40), -E_FAULT);
}

/* A buffer that ends in a page that is not there, or is read-only. */
static void partly_bad(void)
{
    CHECK_IS(sys_page_alloc(0, page, PERM_RW), 0);
    sys_page_unmap(0, page + PGSIZE);
    CHECK_IS(sys_cputs(page + PGSIZE - 5, 6), -E_FAULT);
    CHECK_IS(sys_sysinfo((struct SysInfo *)(page + PGSIZE - 8)), -E_FAULT);
    memset(page, 'x', PGSIZE);
    CHECK_IS(sys_env_set_name(0, page + PGSIZE - 3), -E_FAULT);

    CHECK_IS(sys_page_map(0, page, 0, page, PERM_RW & ~PTE_W), 0);
    CHECK_IS(sys_sysinfo((struct SysInfo *)page), -E_FAULT);
    CHECK_IS(sys_sysinfo((struct SysInfo *)UTEXT), -E_FAULT);
    CHECK(page[0] == 'x', "a read-only page was written to");
    sys_page_unmap(0, page);
}

static void wait_status(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_pointers); i++) {
        if (!bad_pointers[i])
            continue;
        envid_t child = fork();
        if (child == 0)
            exit(9);
        CHECK_IS(sys_env_wait(child, bad_pointers[i], false), -E_FAULT);
        CHECK_IS(wait(child), 9);
    }
}

static void page_calls(void)
{
    static const uint64_t bad_perms[] = {
        0, PTE_P, PTE_W | PTE_P, PERM_RW | PTE_PS, PERM_RW | PTE_G, PERM_RW | 1ul << 52, ~0ul
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad_perms); i++)
        CHECK(sys_page_alloc(0, page, bad_perms[i]) == -E_INVAL, "permission %#lx", bad_perms[i]);
    CHECK_IS(sys_page_alloc(0, page + 1, PERM_RW), -E_INVAL);
    for (size_t i = 3; i < ARRAY_SIZE(bad_pointers); i++) {
        void *p = (void *)ROUNDDOWN((uintptr_t)bad_pointers[i], PGSIZE);
        CHECK(sys_page_alloc(0, p, PERM_RW) == -E_INVAL, "page_alloc at %p", p);
        CHECK(sys_page_unmap(0, p) == -E_INVAL, "page_unmap at %p", p);
        CHECK(sys_page_map(0, p, 0, page, PERM_RW & ~PTE_W) == -E_INVAL, "page_map from %p", p);
        CHECK(sys_page_map(0, (void *)UTEXT, 0, p, PTE_P | PTE_U) == -E_INVAL, "page_map to %p", p);
    }
    CHECK_IS(sys_page_unmap(0, page), 0);
    CHECK_IS(sys_page_map(0, page, 0, page + PGSIZE, PERM_RW), -E_INVAL);
    CHECK_IS(sys_page_map(0, (void *)UTEXT, 0, page, PERM_RW), -E_INVAL);
}

/* Ids of nobody, and of envs that are not this one's children. */
static void env_ids(void)
{
    envid_t fs = ipc_find_env(ENV_TYPE_FS), init = ipc_find_env(ENV_TYPE_INIT);
    const envid_t bad[] = { -1, 1, 0x7fffffff, INT32_MIN, sys_getenvid() + NENV, fs, init };
    struct Trapframe tf = { .tf_rip = UTEXT };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (bad[i] == 0)
            continue;
        CHECK(sys_page_alloc(bad[i], page, PERM_RW) == -E_BAD_ENV, "page_alloc for %x", bad[i]);
        CHECK(sys_page_map(bad[i], (void *)UTEXT, 0, page, PTE_P | PTE_U) == -E_BAD_ENV,
              "page_map from %x", bad[i]);
        CHECK(sys_page_map(0, (void *)UTEXT, bad[i], page, PTE_P | PTE_U) == -E_BAD_ENV,
              "page_map to %x", bad[i]);
        CHECK(sys_page_unmap(bad[i], page) == -E_BAD_ENV, "page_unmap for %x", bad[i]);
        CHECK(sys_env_set_status(bad[i], ENV_RUNNABLE) == -E_BAD_ENV, "set_status of %x", bad[i]);
        CHECK(sys_env_set_trapframe(bad[i], &tf) == -E_BAD_ENV, "set_trapframe of %x", bad[i]);
        CHECK(sys_env_set_pgfault_upcall(bad[i], NULL) == -E_BAD_ENV, "upcall of %x", bad[i]);
        CHECK(sys_env_set_name(bad[i], "x") == -E_BAD_ENV, "set_name of %x", bad[i]);
        CHECK(sys_env_wait(bad[i], NULL, true) == -E_BAD_ENV, "wait for %x", bad[i]);
        CHECK(sys_guest_irq(bad[i], 32) < 0, "guest_irq of %x", bad[i]);
        CHECK(sys_guest_msi(bad[i], 0xfee00000, 32) < 0, "guest_msi of %x", bad[i]);
        CHECK(sys_guest_apic(bad[i], 0x20, 4, false, 0) < 0, "guest_apic of %x", bad[i]);
    }
    CHECK(fs == 0 || sys_env_destroy(fs) == -E_PERM, "the file server can be killed");
    CHECK_IS(sys_env_destroy(init), -E_PERM);
    if (envs[ENVX(thisenv->env_parent_id)].env_parent_id == init)
        CHECK_IS(sys_env_destroy(thisenv->env_parent_id), -E_PERM); /* the shell */
    CHECK_IS(sys_env_destroy(0x7fffffff), -E_BAD_ENV);
}

static void states_and_registers(void)
{
    struct Trapframe tf = { .tf_rip = KERNBASE };
    envid_t child = sys_exofork();
    if (child == 0)
        exit(0);
    CHECK_IS(sys_env_set_status(child, ENV_FREE), -E_INVAL);
    CHECK_IS(sys_env_set_status(child, ENV_RUNNING), -E_INVAL);
    CHECK_IS(sys_env_set_status(child, 1000), -E_INVAL);
    CHECK_IS(sys_env_set_trapframe(child, &tf), -E_INVAL);
    tf.tf_rip = UTEXT;
    tf.tf_rsp = KERNBASE;
    CHECK_IS(sys_env_set_trapframe(child, &tf), -E_INVAL);
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

/* A program that asks for kernel segments and I/O privilege does not get them. */
static void privilege(void)
{
    struct Trapframe tf = { .tf_rip = (uintptr_t)page,
                            .tf_cs = GD_KT,
                            .tf_ss = GD_KD,
                            .tf_rflags = FL_IOPL,
                            .tf_rsp = USTACKTOP };
    static const unsigned char code[] = { 0xfa, 0xeb, 0xfe }; /* cli; jmp . */
    envid_t child = sys_exofork();
    CHECK(child >= 0, "exofork: %e", child);
    CHECK_IS(sys_page_alloc(0, page, PERM_RW), 0);
    memcpy(page, code, sizeof(code));
    CHECK_IS(sys_page_map(0, page, child, page, PTE_P | PTE_U), 0);
    CHECK_IS(sys_env_set_trapframe(child, &tf), 0);
    CHECK_IS(sys_env_set_status(child, ENV_RUNNABLE), 0);
    CHECK_IS(wait(child), EXIT_FAULT);
    sys_page_unmap(0, page);
}

static void others(void)
{
    char why[64];

    CHECK(sys_irq_wait(14, 1) < 0, "a user program waits for the disk's interrupt");
    CHECK(sys_irq_wait(IRQ_MSI, 1) < 0, "a user program waits for a device's interrupt");
    CHECK_IS(sys_pci_open(0, 0, (void *)why), -E_PERM);
    CHECK(!sys_pci_map(0, 0), "a user program maps a device");
    CHECK_IS(sys_pci_irq(0, (void *)why), -E_PERM);
    CHECK(sys_env_mkguest(0, 0, 0, why, sizeof(why)) < 0, "a guest without memory");
    CHECK(sys_env_mkguest(~0ul, 0, 0, why, sizeof(why)) < 0, "a guest of 16 EiB");
    CHECK(sys_env_mkguest(GUEST_MEM_DEFAULT, 0, ~0, why, sizeof(why)) < 0, "unknown guest flags");
    CHECK(sys_ept_map(0, page, 0, 0, PERM_RW) < 0, "ept_map for no guest");
    CHECK(sys_guest_run(0, false) < 0, "guest_run of no guest");
    CHECK(sys_guest_share(0, (void *)page) < 0, "guest_share with no guest");
    CHECK(sys_guest_mem(0, 0, why, 1, false) < 0, "guest_mem of no guest");
    CHECK(sys_guest_stats(0, (void *)KERNBASE) < 0, "guest_stats of no guest");
    CHECK(sys_host_ipc_send(0, page, PERM_RW) < 0, "a user program asks the host");
    CHECK(sys_host_ipc_recv(page) < 0, "a user program hears the host");
    CHECK_IS(sys_ipc_recv(page + PERM_PAGES_MAX, 0, NULL), -E_INVAL);
    CHECK_IS(sys_crash(CRASH_PANIC), -E_PERM);
}

static const struct Test tests[] = {
    { "numbers", numbers },
    { "pointers", pointers },
    { "partly-bad", partly_bad },
    { "wait-status", wait_status },
    { "pages", page_calls },
    { "env-ids", env_ids },
    { "states", states_and_registers },
    { "privilege", privilege },
    { "others", others },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
