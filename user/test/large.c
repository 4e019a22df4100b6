/*
 * Large pages of guest memory: a guest that touches 64 MiB gets most of it by pages of 2 MiB; a
 * page of 4 KiB that is put over a large one changes nothing beside it; afterwards all frames are
 * free again. The guest is a few instructions long and runs in the state in which guests start.
 */
#include <inc/vmexits.h>
#include "test.h"

#define MIB       (1ul << 20)
#define MEMSIZE   (96 * MIB)
#define CODE      0x10000ul
#define FROM      (2 * MIB) /* the guest touches [FROM, TO) */
#define TO        (66 * MIB)
#define NREGIONS  ((TO - FROM) / PGSIZE_2M)
#define NSMALL    1  /* regions that it gets by small pages, since it is small then itself */
#define AROUND    16 /* small pages that a second-stage fault brings */
#define REPLACED  (TO - PGSIZE_2M / 2) /* in a large page */
#define IDLE_MSEC 300                  /* in which one CPU clears a pool's worth of memory */
#define MAP_PERM  (PTE_P | PTE_U | PTE_W)

#define STRING(x) STRING_(x)

/* Write to each page its address, say so on a port; count those that have another value in them
 * now, say how many. */
extern const char guest_code[], guest_code_end[];
asm(".section .rodata\n"
    ".code32\n"
    "guest_code:\n"
    "    movl $0x200000, %edi\n"
    "1:  movl %edi, (%edi)\n"
    "    addl $0x1000, %edi\n"
    "    cmpl $0x4200000, %edi\n"
    "    jb 1b\n"
    "    outl %eax, $0xf0\n"
    "    movl $0x200000, %edi\n"
    "    xorl %eax, %eax\n"
    "2:  cmpl %edi, (%edi)\n"
    "    je 3f\n"
    "    incl %eax\n"
    "3:  addl $0x1000, %edi\n"
    "    cmpl $0x4200000, %edi\n"
    "    jb 2b\n"
    "    outl %eax, $0xf0\n"
    "guest_code_end:\n"
    ".code64\n"
    ".text\n");
_Static_assert(FROM == 0x200000 && TO == 0x4200000, "as in the guest's code");

static char page[PGSIZE] __attribute__((aligned(PGSIZE)));
static char exit_page[PGSIZE] __attribute__((aligned(PGSIZE)));
static struct GuestExit *const last = (struct GuestExit *)exit_page;

static uint64_t free_frames(void)
{
    struct SysInfo info;
    CHECK_IS(sys_sysinfo(&info), 0);
    return info.pages_free;
}

static struct GuestStats stats_of(envid_t guest)
{
    struct GuestStats stats;
    CHECK_IS(sys_guest_stats(guest, &stats), 0);
    return stats;
}

/* Let the guest go on to its next OUT. */
static void run_to_out(envid_t guest)
{
    int event = sys_guest_run(guest, false);
    CHECK(event == GUEST_EV_IO, "event %d: %s", event, last->why);
    last->skip = 1;
}

static envid_t start_guest(void)
{
    char why[256] = "";
    envid_t guest = sys_env_mkguest(MEMSIZE, CODE, 0, why, sizeof(why));
    CHECK(guest > 0, "no guest: %e %s", guest, why);
    CHECK_IS(sys_guest_mem(guest, CODE, (void *)guest_code, guest_code_end - guest_code, true), 0);
    last->skip = 0; /* which gives the page memory of its own */
    CHECK_IS(sys_guest_share(guest, last), 0);
    CHECK_IS(sys_guest_share(guest, last), -E_BUSY);
    CHECK_IS(sys_env_set_status(guest, ENV_RUNNABLE), 0);
    return guest;
}

static void end_guest(envid_t guest)
{
    CHECK_IS(sys_env_destroy(guest), 0);
    CHECK_IS(sys_env_wait(guest, NULL, false), guest);
}

static void check_touched(envid_t guest)
{
    struct GuestStats st = stats_of(guest);
    uint64_t most = (NREGIONS - NSMALL) + (NSMALL * PGSIZE_2M / PGSIZE + AROUND) / AROUND;
    CHECK_IS(st.large_pages, NREGIONS - NSMALL);
    CHECK(st.reasons[EXIT_MEMORY] <= most, "%lu second-stage faults, expected at most %lu",
          st.reasons[EXIT_MEMORY], most);
    printf("%lu KiB touched: %lu pages of 2 MiB, %lu second-stage faults\n", (TO - FROM) / 1024,
           st.large_pages, st.reasons[EXIT_MEMORY]);
}

/* All of the guest's memory is there, and the host reads in it what the guest wrote. */
static void check_contents(envid_t guest)
{
    for (uint64_t gpa = FROM; gpa < TO; gpa += PGSIZE) {
        uint64_t value;
        CHECK_IS(sys_guest_mem(guest, gpa, &value, sizeof(value), false), 0);
        CHECK_IS(value, gpa);
        CHECK_IS(sys_guest_mem(guest, gpa + PGSIZE / 2, &value, sizeof(value), false), 0);
        CHECK_IS(value, 0);
    }
}

/* Touch, replace one page, and look again. */
static void one_guest(void)
{
    envid_t guest = start_guest();

    run_to_out(guest);
    check_touched(guest);
    check_contents(guest);

    memset(page, 0x5a, sizeof(page));
    CHECK_IS(sys_ept_map(0, page, guest, REPLACED, MAP_PERM), 0);
    CHECK_IS(stats_of(guest).large_pages, NREGIONS - NSMALL - 1);
    run_to_out(guest);
    CHECK_IS(last->regs.rax, 1); /* the one that was replaced, and nothing beside it */
    end_guest(guest);
}

/* The first guest makes this program touch memory of its own. */
static void test_guests(void)
{
    one_guest();
    uint64_t before = free_frames();
    for (int i = 0; i < 3; i++)
        one_guest();
    CHECK_IS(free_frames(), before);
}

/* While this program sleeps, idle CPUs clear what the last guest has written. */
static void test_cleared_ahead(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t before = free_frames();
        sys_sleep_msec(IDLE_MSEC);
        CHECK_IS(free_frames(), before);
        one_guest();
    }
}

static const struct Test tests[] = {
    { "guests", test_guests },
    { "cleared ahead", test_cleared_ahead },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
