/*
 * Random bytes: from RDRAND where the CPU has it. hOS collects no entropy of its own, so without it
 * they can be guessed.
 */
#include <inc/x86.h>
#include <user/vmm/console.h>
#include <user/vmm/random.h>

#define CPUID1_ECX_RDRAND (1u << 30)
#define TRIES             10 /* Intel's digital random number generator guide: more never help */

static bool rdrand(uint64_t *value)
{
    bool ok = false;
    for (int i = 0; i < TRIES && !ok; i++)
        asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok) : : "cc");
    return ok;
}

/* Marsaglia's xorshift, begun and stirred with the clock. */
static uint64_t guessable(void)
{
    static uint64_t state;
    if (state == 0)
        say("vmm: this CPU has no RDRAND: random numbers for the guest can be guessed\n");
    state = (state ^ read_tsc()) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void random_fill(void *buf, size_t n)
{
    static bool asked, has_rdrand;
    if (!asked)
        has_rdrand = cpuid(1, 0).ecx & CPUID1_ECX_RDRAND;
    asked = true;
    for (size_t done = 0, len; done < n; done += len) {
        uint64_t value;
        if (!has_rdrand || !rdrand(&value))
            value = guessable();
        len = MIN(n - done, sizeof(value));
        memcpy((char *)buf + done, &value, len);
    }
}
