/*
 * random-vmcall: hypercalls with random numbers and arguments, mostly near those that mean
 * something: own code, own page tables, the end of memory. `seed=N` and `calls=N` on the command
 * line. Waiting for a message and power-off are left out, since they have no end or are one.
 */
#include "rt.h"

const char guest_name[] = "random-vmcall";

static uint64_t state;

/* Knuth's MMIX generator, high bits. */
static uint64_t roll(void)
{
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return state >> 33;
}

static uint64_t word(const char *name, uint64_t otherwise)
{
    const char *p = strstr(cmdline(), name);
    return p ? strtoul(p + strlen(name), NULL, 10) : otherwise;
}

static uint64_t argument(void)
{
    const uint64_t near[] = { 0,
                              (uint64_t)guest_main,
                              memory_end(),
                              0xfee00000,
                              rcr3(),
                              1ul << 32,
                              1ul << 47,
                              1ul << 52,
                              ~0ul };
    uint64_t x = near[roll() % ARRAY_SIZE(near)];
    switch (roll() % 4) {
    case 0:
        return x;
    case 1:
        return ROUNDDOWN(x, PGSIZE);
    case 2:
        return x - 1 - roll() % 64;
    }
    return roll() << (roll() % 34);
}

int guest_main(const struct MultibootInfo *info)
{
    uint64_t calls = word("calls=", 2000), refused = 0;
    (void)info;
    state = word("seed=", 1);
    trying("%lu random hypercalls, seed=%lu", calls, state);
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t nr = roll() % 16 ? roll() % 9 : roll() << (roll() % 34);
        uint64_t a = argument(), b = argument(), c = argument(), d = argument();
        if (nr == VMX_VMCALL_POWEROFF || nr == VMX_VMCALL_IPCRECV || nr == VMX_VMCALL_CONS_READ)
            continue;
        if (nr == VMX_VMCALL_CONS_WRITE && b <= VMX_CONS_MAX)
            continue;
        if (nr == VMX_VMCALL_IPCSEND)
            a &= ~1ul; /* the file server would stop, and answer, half of them */
        refused += hypercall(nr, a, b, c, d) < 0;
    }
    print("random-vmcall: %lu refused\n", refused);
    check(refused > calls / 4, "only %lu refused", refused);
    return check_result();
}
