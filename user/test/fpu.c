/*
 * Floating-point and SSE registers: each env has its own, new programs start with clean ones, and a
 * page-fault upcall leaves those of the interrupted code alone.
 */
#include "test.h"

#define MXCSR_DEFAULT 0x1f80u
#define FCW_DEFAULT   0x37f
#define MXCSR_ROUND   (3u << 13) /* SDM "MXCSR Control and Status Register" */

struct Regs {
    uint64_t xmm[16][2];
} __attribute__((aligned(16)));

/* Load all SSE registers with values made from tag. */
static void load(struct Regs *r, uint64_t tag)
{
    for (int i = 0; i < 16; i++) {
        r->xmm[i][0] = tag << 32 | i;
        r->xmm[i][1] = ~r->xmm[i][0];
    }
    asm volatile("movaps 0(%0),%%xmm0; movaps 16(%0),%%xmm1; movaps 32(%0),%%xmm2;"
                 "movaps 48(%0),%%xmm3; movaps 64(%0),%%xmm4; movaps 80(%0),%%xmm5;"
                 "movaps 96(%0),%%xmm6; movaps 112(%0),%%xmm7; movaps 128(%0),%%xmm8;"
                 "movaps 144(%0),%%xmm9; movaps 160(%0),%%xmm10; movaps 176(%0),%%xmm11;"
                 "movaps 192(%0),%%xmm12; movaps 208(%0),%%xmm13; movaps 224(%0),%%xmm14;"
                 "movaps 240(%0),%%xmm15"
                 :
                 : "r"(r)
                 : "memory");
}

static void store(struct Regs *r)
{
    asm volatile("movaps %%xmm0,0(%0); movaps %%xmm1,16(%0); movaps %%xmm2,32(%0);"
                 "movaps %%xmm3,48(%0); movaps %%xmm4,64(%0); movaps %%xmm5,80(%0);"
                 "movaps %%xmm6,96(%0); movaps %%xmm7,112(%0); movaps %%xmm8,128(%0);"
                 "movaps %%xmm9,144(%0); movaps %%xmm10,160(%0); movaps %%xmm11,176(%0);"
                 "movaps %%xmm12,192(%0); movaps %%xmm13,208(%0); movaps %%xmm14,224(%0);"
                 "movaps %%xmm15,240(%0)"
                 :
                 : "r"(r)
                 : "memory");
}

static uint32_t get_mxcsr(void)
{
    uint32_t v;
    asm volatile("stmxcsr %0" : "=m"(v));
    return v;
}

static void set_mxcsr(uint32_t v)
{
    asm volatile("ldmxcsr %0" : : "m"(v));
}

static uint16_t get_fcw(void)
{
    uint16_t v;
    asm volatile("fnstcw %0" : "=m"(v));
    return v;
}

/* Keep values in the registers over many switches; returns 0 if they stayed. */
static int hold(uint64_t tag)
{
    struct Regs in, out;

    set_mxcsr(MXCSR_DEFAULT | (tag % 4 << 13));
    for (int round = 0; round < 50; round++) {
        load(&in, tag + round);
        if (round % 2)
            for (volatile int i = 0; i < 20000; i++)
                continue;
        else
            sys_yield();
        store(&out);
        if (memcmp(&in, &out, sizeof(in)) != 0)
            return 1;
    }
    return get_mxcsr() == (MXCSR_DEFAULT | (tag % 4 << 13)) ? 0 : 2;
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
            exit(hold(1000 * (i + 1) + i));
    }
    for (int i = 0; i < N; i++)
        CHECK(wait(child[i]) == 0, "child %d found another's registers", i);
}

/* The child has what the parent had. */
static void forked(void)
{
    struct Regs in, out;
    load(&in, 42);
    envid_t child = fork();
    store(&out);
    if (child == 0)
        exit(memcmp(&in, &out, sizeof(in)) != 0);
    CHECK_IS(wait(child), 0);
}

static void upcall(struct UTrapframe *utf)
{
    struct Regs junk;
    load(&junk, 99);
    sys_page_alloc(0, (void *)ROUNDDOWN(utf->utf_fault_va, PGSIZE), PTE_P | PTE_U | PTE_W);
}

static void page_fault(void)
{
    struct Regs in, out;
    set_pgfault_handler(upcall);
    load(&in, 7);
    *(volatile char *)UHEAP = 1;
    store(&out);
    CHECK(memcmp(&in, &out, sizeof(in)) == 0, "the upcall changed the registers");
}

static void clean_start(void)
{
    set_mxcsr(MXCSR_DEFAULT | MXCSR_ROUND);
    envid_t child = spawnl("/bin/test-fpu", "test-fpu", "--clean", NULL);
    CHECK(child > 0, "spawn: %e", child);
    CHECK(wait(child) == 0, "a new program starts with another's control words");
    set_mxcsr(MXCSR_DEFAULT);
}

static const struct Test tests[] = {
    { "switches", switches },
    { "fork", forked },
    { "page-fault", page_fault },
    { "clean-start", clean_start },
};

int umain(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--clean") == 0)
        return get_mxcsr() != MXCSR_DEFAULT || get_fcw() != FCW_DEFAULT;
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
