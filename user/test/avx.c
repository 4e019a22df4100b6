/*
 * Extended registers, the upper halves of AVX's: each env has its own, from its first use on; a
 * child gets its parent's, a new program zeroes; what the kernel cannot give ends an env, as it
 * did.
 */
#include <inc/x86.h>
#include <inc/xsave.h>
#include "test.h"

#define NREGS  16
#define ROUNDS 50
#define SPIN   20000

struct Regs {
    uint64_t ymm[NREGS][4];
} __attribute__((aligned(32)));

#define EACH_YMM(X) \
    X(0)            \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* Load all registers with values made from tag. */
static void load(struct Regs *r, uint64_t tag)
{
    for (uint64_t i = 0; i < NREGS; i++)
        for (uint64_t j = 0; j < 4; j++)
            r->ymm[i][j] = tag << 32 | i << 8 | j;
#define LOAD(n) asm volatile("vmovdqa %0, %%ymm" #n : : "m"(r->ymm[n]), "m"(*r));
    EACH_YMM(LOAD)
}

static void store(struct Regs *r)
{
#define STORE(n) asm volatile("vmovdqa %%ymm" #n ", %0" : "=m"(r->ymm[n]) : : "memory");
    EACH_YMM(STORE)
}

static bool uppers_are_zero(void)
{
    struct Regs r;
    store(&r);
    for (int i = 0; i < NREGS; i++)
        if (r.ymm[i][2] != 0 || r.ymm[i][3] != 0)
            return false;
    return true;
}

/* Keep values in the registers over many switches; 0 if they stayed. */
static int hold(uint64_t tag)
{
    struct Regs in, out;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        load(&in, tag + round);
        if (round % 2)
            for (volatile int i = 0; i < SPIN; i++)
                continue;
        else
            sys_yield();
        store(&out);
        if (memcmp(&in, &out, sizeof(in)) != 0)
            return 1;
    }
    return 0;
}

/* SSE only, beside them. */
static int hold_sse(void)
{
    uint64_t in[2] = { 0x1122334455667788, 0x99aabbccddeeff00 }, out[2];

    for (int round = 0; round < ROUNDS; round++) {
        asm volatile("movdqu %0, %%xmm9" : : "m"(in));
        sys_yield();
        asm volatile("movdqu %%xmm9, %0" : "=m"(out));
        if (memcmp(in, out, sizeof(in)) != 0)
            return 1;
    }
    return 0;
}

static void switches(void)
{
    enum {
        N = 4
    };
    envid_t child[N];
    for (int i = 0; i < N; i++) {
        child[i] = fork();
        CHECK(child[i] >= 0, "fork: %e", child[i]);
        if (child[i] == 0)
            exit(i == 0 ? hold_sse() : hold(1000 * (i + 1)));
    }
    for (int i = 0; i < N; i++)
        CHECK(wait(child[i]) == 0, "child %d found another's registers", i);
}

/* A server that has registers of its own answers calls, so the CPU goes from hand to hand. */
static void handoff(void)
{
    struct Regs in, out;
    envid_t parent = sys_getenvid();
    envid_t server = fork();
    if (server == 0) {
        struct IpcMessage m;
        for (uint64_t i = 0; i < ROUNDS; i++) {
            CHECK_IS(sys_ipc_recv((void *)UTOP, parent, &m), 0);
            load(&in, 7000 + i);
            CHECK_IS(sys_ipc_send(parent, i, (void *)UTOP, 0), 0);
            store(&out);
            if (memcmp(&in, &out, sizeof(in)) != 0)
                exit(1);
        }
        exit(0);
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        load(&in, 3000 + i);
        CHECK_IS(sys_ipc_call(server, i, (void *)UTOP, 0, (void *)UTOP, NULL), 0);
        store(&out);
        CHECK(memcmp(&in, &out, sizeof(in)) == 0, "a call changed the caller's registers");
    }
    CHECK_IS(wait(server), 0);
}

/* The child has what the parent had, whether or not that used it since it has the CPU. */
static void forked(void)
{
    struct Regs in, out;
    for (int yields = 0; yields < 2; yields++) {
        load(&in, 42);
        if (yields)
            sys_sleep_msec(1);
        envid_t child = fork();
        store(&out);
        if (child == 0)
            exit(memcmp(&in, &out, sizeof(in)) != 0);
        CHECK_IS(wait(child), 0);
        CHECK(memcmp(&in, &out, sizeof(in)) == 0, "fork changed the parent's registers");
    }
}

static void clean_start(void)
{
    struct Regs in;
    load(&in, 99);
    envid_t child = spawnl("/bin/test-avx", "test-avx", "--clean", NULL);
    CHECK(child > 0, "spawn: %e", child);
    CHECK(wait(child) == 0, "a new program starts with another's registers");
}

/* Those of an env that ends with them in use are seen by nobody. */
static void ends(void)
{
    struct Regs in;
    envid_t child = fork();
    if (child == 0) {
        load(&in, 77);
        sys_env_exit(0);
    }
    CHECK_IS(wait(child), 0);
    child = spawnl("/bin/test-avx", "test-avx", "--clean", NULL);
    CHECK(wait(child) == 0, "a new program starts with those of one that has ended");
}

/* An env's own XSAVE has all of its state, wherever it was meanwhile. */
static void own_xsave(void)
{
    static union {
        struct XsaveArea area;
        uint8_t bytes[PGSIZE];
    } u __attribute__((aligned(64)));
    struct Regs in, out;
    load(&in, 55);
    sys_sleep_msec(1);
    asm volatile("xsave64 %0" : "+m"(u) : "a"(~0u), "d"(~0u) : "memory");
    CHECK(u.area.xstate_bv & XCR0_AVX, "AVX's registers are not in it");
    load(&out, 56);
    asm volatile("xrstor64 %0" : : "m"(u), "a"(~0u), "d"(~0u) : "memory");
    store(&out);
    CHECK(memcmp(&in, &out, sizeof(in)) == 0, "other registers come back");
}

static void invalid(void)
{
    for (int used = 0; used < 2; used++) {
        struct Regs in;
        envid_t child = fork();
        if (child == 0) {
            if (used)
                load(&in, 1);
            asm volatile("ud2");
            exit(0);
        }
        CHECK_IS(wait(child), EXIT_FAULT);
    }
}

static void xcr0(void)
{
    CHECK((xgetbv(0) & (XCR0_LEGACY | XCR0_AVX)) == (XCR0_LEGACY | XCR0_AVX), "XCR0 is 0x%lx",
          xgetbv(0));
}

/* A CPU without it: its instructions end an env. */
static void absent(void)
{
    envid_t child = fork();
    if (child == 0) {
        asm volatile("vxorps %ymm0, %ymm0, %ymm0");
        exit(0);
    }
    CHECK_IS(wait(child), EXIT_FAULT);
}

static const struct Test tests[] = {
    { "switches", switches },       { "handoff", handoff }, { "fork", forked },
    { "clean-start", clean_start }, { "ends", ends },       { "own-xsave", own_xsave },
    { "invalid", invalid },         { "xcr0", xcr0 },
};

static const struct Test tests_without[] = {
    { "absent", absent },
};

static bool has_avx(void)
{
    return (cpuid(1, 0).ecx & CPUID1_ECX_XSAVE) && (cpuid(1, 0).ecx & CPUID1_ECX_AVX);
}

int umain(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--clean") == 0)
        return !uppers_are_zero();
    if (has_avx())
        return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
    printf("test-avx: this CPU has no AVX\n");
    return run_tests(tests_without, ARRAY_SIZE(tests_without), argc, argv);
}
