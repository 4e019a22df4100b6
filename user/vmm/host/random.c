/*
 * Random numbers: xorshift64*, by G. Marsaglia and S. Vigna.
 */
#include <user/vmm/host/random.h>

static uint64_t state = 1;

void random_start(uint64_t seed)
{
    state = (seed + 1) * 0x9e3779b97f4a7c15;
    state += state == 0;
}

uint64_t random_bits(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

uint64_t random_below(uint64_t n)
{
    return (random_bits() >> 16) % n;
}
