/*
 * What the guests that test exercises share: the lines that they print, and a hypercall with every
 * register in sight.
 */
#include "lab.h"

/* The lab is about VT-x. CPUID is a later exercise than the first ones that run these guests. */
bool guest_has_vmmcall(void)
{
    return false;
}

static unsigned holds, fails;

static const char *nonce(void)
{
    const char *last = cmdline();
    for (const char *p = last; *p != '\0'; p++)
        if (p[0] == ' ' && p[1] != '\0' && p[1] != ' ')
            last = p + 1;
    return last;
}

/* Results are small and maybe negative; everything else is a word of bits. */
static void print_number(int64_t n)
{
    print(n < 0 && n > -E_MAX ? "%ld" : "0x%lx", n);
}

void property(int exercise, const char *name, const char *what, uint64_t expected, uint64_t seen)
{
    bool ok = expected == seen;
    print("%s %s %d %s: ", guest_name, nonce(), exercise, name);
    *(ok ? &holds : &fails) += 1;
    if (ok) {
        print("ok\n");
        return;
    }
    print("FAIL expected ");
    print_number(expected);
    print(" as %s; saw ", what);
    print_number(seen);
    print("\n");
}

void property_sum(int exercise)
{
    print("%s %s %d sum: %u ok, %u failed\n", guest_name, nonce(), exercise, holds, fails);
}

uint64_t *vmcall_at; /* the registers' place while the guest's own are away */

#define MOVE_ALL(op)                                                                      \
    op(1, rbx) op(2, rcx) op(3, rdx) op(4, rsi) op(5, rdi) op(6, r8) op(7, r9) op(8, r10) \
        op(9, r11) op(10, r12) op(11, r13) op(12, r14) op(13, r15)
#define LOAD(i, r)  "movq 8 * " #i "(%%rax), %%" #r "\n\t"
#define STORE(i, r) "movq %%" #r ", 8 * " #i "(%%rax)\n\t"

void vmcall_regs(uint64_t regs[NREGS])
{
    vmcall_at = regs;
    asm volatile("movq vmcall_at, %%rax\n\t" MOVE_ALL(
                     LOAD) "movq (%%rax), %%rax\n\t" HYPERCALL "pushq %%rax\n\t"
                           "movq vmcall_at, %%rax\n\t" MOVE_ALL(STORE) "popq (%%rax)\n\t"
                 :
                 :
                 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                   "r14", "r15", "memory", "cc");
}
