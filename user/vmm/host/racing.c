/*
 * racing SECONDS SEED: devices at work while a thread, which is another CPU of the guest's, writes
 * to their rings: descriptors that change while they are read, and rings that are never empty. The
 * end of each notification comes all the same.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <user/vmm/host/driver.h>
#include <user/vmm/host/memory.h>
#include <user/vmm/host/random.h>

#define INPUT 64 /* bytes that a step of the driver may take */
#define PAGES (DRIVER_AREAS_SIZE / PGSIZE)

static char *frames[PAGES]; /* of the rings */
static bool stop;

/* Each thread has random numbers of its own. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static uint16_t *half_word(unsigned page, unsigned offset)
{
    return (uint16_t *)(frames[page] + (offset & (PGSIZE - 2)));
}

/* There is always something offered, whatever the device has used: `page` is the first of a queue's
 * area. */
static void offer_more(unsigned page, unsigned n)
{
    if (!frames[page + 1] || !frames[page + 2])
        return;
    uint16_t used = __atomic_load_n(half_word(page + 2, 2), __ATOMIC_ACQUIRE);
    __atomic_store_n(half_word(page + 1, 2), used + n, __ATOMIC_RELEASE);
}

/* Something in the first descriptors, indices or entries becomes anything small. */
static void spoil(unsigned page, uint32_t *seed)
{
    if (frames[page])
        __atomic_store_n(half_word(page, next(seed) % 64), next(seed) & 7, __ATOMIC_RELAXED);
}

/* One queue after another has more and more to do, and then something in it is changed. */
static void *other_cpu(void *arg)
{
    uint32_t seed = (uintptr_t)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        unsigned page = next(&seed) % PAGES;
        for (unsigned i = next(&seed) % 50000; i > 0; i--)
            offer_more(page & ~3u, 4);
        spoil(page, &seed);
    }
    return NULL;
}

/* Most rings have eight entries or more, and most requests are one chain. */
static void step(struct Bed *b)
{
    static void (*const ops[])(struct Bed * b, struct Input * in) = {
        driver_start, driver_request, driver_notify, driver_notify, driver_notify, driver_describe,
    };
    uint8_t bytes[INPUT];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = random_bits() & (random_below(16) ? 0x17 : 0xff);
    struct Input in = { bytes, sizeof(bytes) };
    ops[random_below(ARRAY_SIZE(ops) - (random_below(20) != 0))](b, &in);
    bed_check(b);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    unsigned long steps = 0;
    if (argc != 3)
        return 2;
    time_t end = time(NULL) + atoi(argv[1]);
    random_start(strtoull(argv[2], NULL, 0));
    bed_reset_outside();
    struct Bed *b = bed_make(BED_ALL);
    for (unsigned i = 0; i < PAGES; i++)
        frames[i] = memory_frame(DRIVER_AREAS + i * PGSIZE);
    if (pthread_create(&thread, NULL, other_cpu, (void *)(uintptr_t)random_bits()) != 0)
        return 2;
    for (; time(NULL) <= end; steps++)
        step(b);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    memory_check();
    printf("racing: ok, %lu steps of the driver\n", steps);
    free(b);
    memory_reset();
    return 0;
}
