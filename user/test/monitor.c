/*
 * The page that kernel and monitor share can do no harm: whatever a monitor writes there, also from
 * another process at any moment, changes of its guest what an answer may change, and nothing else.
 * The guest is a few instructions long, and says on a port when more than that has changed.
 */
#include "test.h"

#define MEMSIZE   GUEST_MEM_MIN
#define CODE      0x10000ul
#define ROUNDS    200
#define GUESTS    10
#define PORT_ASK  0xf1 /* the guest reads a byte */
#define PORT_GOOD 0xf2 /* nothing but AL has changed */
#define PORT_BAD  0xf3
#define PERM_RW   (PTE_P | PTE_U | PTE_W)

/* Known values everywhere; a byte from PORT_ASK; what is known now? */
extern const char guest_code[], guest_code_end[];
asm(".section .rodata\n"
    ".code32\n"
    "guest_code:\n"
    "    movl $0x22222222, %ebx\n"
    "    movl $0x33333333, %ecx\n"
    "    movl $0x44444444, %edx\n"
    "    movl $0x55555555, %esi\n"
    "    movl $0x66666666, %edi\n"
    "    movl $0x77777777, %ebp\n"
    "    movl $0x8888, %esp\n"
    "1:  movl $0x12345678, %eax\n"
    "    inb $0xf1, %al\n"
    "    movb $0x78, %al\n"
    "    cmpl $0x12345678, %eax\n"
    "    jne 2f\n"
    "    cmpl $0x22222222, %ebx\n"
    "    jne 2f\n"
    "    cmpl $0x33333333, %ecx\n"
    "    jne 2f\n"
    "    cmpl $0x44444444, %edx\n"
    "    jne 2f\n"
    "    cmpl $0x55555555, %esi\n"
    "    jne 2f\n"
    "    cmpl $0x66666666, %edi\n"
    "    jne 2f\n"
    "    cmpl $0x77777777, %ebp\n"
    "    jne 2f\n"
    "    cmpl $0x8888, %esp\n"
    "    jne 2f\n"
    "    outb %al, $0xf2\n"
    "    jmp 1b\n"
    "2:  outb %al, $0xf3\n"
    "    jmp 2b\n"
    "guest_code_end:\n"
    ".code64\n"
    ".text\n");

static struct GuestExit *const shared = (struct GuestExit *)UTEMP;

static uint64_t free_frames(void)
{
    struct SysInfo info;
    CHECK_IS(sys_sysinfo(&info), 0);
    return info.pages_free;
}

static envid_t new_guest(void)
{
    char why[256] = "";
    envid_t guest = sys_env_mkguest(MEMSIZE, CODE, 0, why, sizeof(why));
    CHECK(guest > 0, "no guest: %e %s", guest, why);
    CHECK_IS(sys_guest_mem(guest, CODE, (void *)guest_code, guest_code_end - guest_code, true), 0);
    return guest;
}

static envid_t start_guest(void)
{
    envid_t guest = new_guest();
    CHECK_IS(sys_page_alloc(0, shared, PERM_RW | PTE_SHARE), 0);
    CHECK_IS(sys_guest_share(guest, shared), 0);
    CHECK_IS(sys_env_set_status(guest, ENV_RUNNABLE), 0);
    return guest;
}

static void end_guest(envid_t guest)
{
    CHECK_IS(sys_env_destroy(guest), 0);
    CHECK_IS(sys_env_wait(guest, NULL, false), guest);
}

/* Let the guest go on. The kernel's decoding is right, whatever stands in the page. */
static uint16_t run_to_io(envid_t guest)
{
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
    struct GuestIo io = shared->io;
    CHECK(io.port != PORT_BAD, "more than AL has changed");
    return io.port;
}

static void test_arguments(void)
{
    envid_t guest = new_guest();
    CHECK_IS(sys_guest_run(guest, false), -E_INVAL);
    CHECK_IS(sys_guest_share(guest, shared), -E_INVAL); /* not mapped */
    CHECK_IS(sys_page_alloc(0, shared, PTE_P | PTE_U), 0);
    CHECK_IS(sys_guest_share(guest, shared), -E_INVAL); /* read-only */
    CHECK_IS(sys_page_alloc(0, shared, PERM_RW), 0);
    CHECK_IS(sys_guest_share(guest, (void *)((char *)shared + 8)), -E_INVAL);
    CHECK_IS(sys_guest_share(guest, (void *)KERNBASE), -E_INVAL);
    CHECK_IS(sys_guest_share(sys_getenvid(), shared), -E_BAD_ENV);
    CHECK_IS(sys_guest_share(guest, shared), 0);
    CHECK_IS(sys_guest_share(guest, shared), -E_BUSY);
    end_guest(guest);
    sys_page_unmap(0, shared);
}

/* Each answer is a page full of the same byte. */
static void test_nonsense(void)
{
    envid_t guest = start_guest();
    unsigned good = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        good += run_to_io(guest) == PORT_GOOD;
        memset(shared, i | 1, PGSIZE); /* which includes "go on" */
    }
    CHECK_IS(good, ROUNDS / 2);
    end_guest(guest);
    sys_page_unmap(0, shared);
}

static void unmap_and_go_on(void)
{
    envid_t guest = start_guest();
    run_to_io(guest);
    sys_page_unmap(0, shared);
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
    end_guest(guest);
}

/* The kernel goes on with a page that the monitor does not have any more, and gives it back. */
static void test_unmapped(void)
{
    uint64_t before = free_frames();
    for (int i = 0; i < GUESTS; i++)
        unmap_and_go_on();
    uint64_t missing = before - free_frames(); /* a CPU's first guest takes one, for the CPU */
    CHECK(missing < GUESTS, "%lu pages are missing after %d guests", missing, GUESTS);
}

/* Another process writes to the page all the time, so what is read back means nothing, but for a
 * stop at PORT_BAD: then the guest's next OUT goes there, too, once the writer has ended. */
static void test_race(void)
{
    envid_t guest = start_guest();
    envid_t writer = fork();
    CHECK(writer >= 0, "fork: %e", writer);
    if (writer == 0)
        for (uint64_t n = 1;; n++)
            memset(shared, n, sizeof(*shared));
    for (unsigned i = 0; i < 20 * ROUNDS; i++) {
        CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
        if (i % ROUNDS == 0)
            sys_yield();
    }
    CHECK_IS(sys_env_destroy(writer), 0);
    sys_env_wait(writer, NULL, false);
    for (unsigned i = 0; i < ROUNDS; i++) {
        shared->skip = 1;
        run_to_io(guest);
    }
    end_guest(guest);
    sys_page_unmap(0, shared);
}

/* ---- Guest memory that is mapped here ---- */

#define FREE_GPA 0x20000ul
#define PERM_RO  (PTE_P | PTE_U)

static volatile uint32_t *const mine = (uint32_t *)(UTEMP + PGSIZE); /* a page to give away */
static volatile uint32_t *const window = (uint32_t *)(UTEMP + 2 * PGSIZE);

static void give(envid_t guest, uint32_t word, uint64_t perm)
{
    CHECK_IS(sys_page_alloc(0, (void *)mine, PERM_RW), 0);
    *mine = word;
    CHECK_IS(sys_ept_map(0, (void *)mine, guest, FREE_GPA, perm), 0);
    CHECK_IS(sys_page_unmap(0, (void *)mine), 0);
}

static uint32_t guest_word(envid_t guest)
{
    uint32_t word = 0;
    CHECK_IS(sys_guest_mem(guest, FREE_GPA, &word, sizeof(word), false), 0);
    return word;
}

static void bad_windows(envid_t guest)
{
    void *va = (void *)window;
    CHECK_IS(sys_guest_map(sys_getenvid(), FREE_GPA, va, PERM_RW), -E_BAD_ENV);
    CHECK_IS(sys_guest_map(guest, FREE_GPA + 1, va, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, MEMSIZE, va, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, GUEST_HOLE_START, va, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, -PGSIZE, va, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (char *)va + 4, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (void *)UTOP, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, va, PTE_P | PTE_W), -E_INVAL);
}

/* The window and the guest see the same page, until the guest gets another one; that is counted. */
static void test_window(void)
{
    uint64_t before = free_frames();
    envid_t guest = start_guest();
    bad_windows(guest);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (void *)window, PERM_RW), 0);
    CHECK_IS(*window, 0); /* nobody has touched it */
    *window = 0x1234;
    CHECK_IS(guest_word(guest), 0x1234);
    uint64_t replaced = shared->replaced;
    give(guest, 0x5678, PERM_RW);
    CHECK(shared->replaced > replaced, "nothing was counted");
    CHECK_IS(*window, 0x1234);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (void *)window, PERM_RW), 0);
    CHECK_IS(*window, 0x5678);
    give(guest, 0x9abc, PERM_RO);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (void *)window, PERM_RW), -E_INVAL);
    CHECK_IS(sys_guest_map(guest, FREE_GPA, (void *)window, PERM_RO), 0);
    CHECK_IS(*window, 0x9abc);
    replaced = shared->replaced;
    run_to_io(guest);
    CHECK_IS(shared->replaced, replaced);
    end_guest(guest);
    CHECK_IS(*window, 0x9abc);
    sys_page_unmap(0, (void *)window);
    sys_page_unmap(0, shared);
    uint64_t missing = before - free_frames(); /* tables of this env, and a CPU's first guest */
    CHECK(missing < 4, "%lu pages are missing", missing);
}

static const struct Test tests[] = {
    { "arguments", test_arguments }, { "nonsense", test_nonsense }, { "unmapped", test_unmapped },
    { "race", test_race },           { "window", test_window },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
