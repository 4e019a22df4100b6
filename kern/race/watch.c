/*
 * Finding races with watchpoints in software, as Linux's KCSAN does. Now and then a CPU that is
 * about to access memory says so in its watchpoint, and waits for a moment. An access of another
 * CPU that comes meanwhile and overlaps is a race unless both only read, or both are marked: no
 * lock kept the two apart. A value that is another one after the wait was changed by somebody whom
 * the compiler has not told of: assembly, the CPU's page walk.
 *
 * Which CPU this is does not come from GS but from the stack: that holds from the first line of C
 * on, also on a CPU that has just been started and has no GS base yet. On other stacks, of NMIs and
 * double faults, nothing is done, so an NMI cannot meet the detector halfway. A wait is short,
 * sends nothing and takes no lock, so whoever needs an answer from this CPU only gets it a little
 * later. The kernel runs with interrupts off, so nothing else comes between.
 */
#include <inc/memlayout.h>
#include <kern/platform.h>
#include <kern/dev/clock.h>
#include <kern/race/race.h>

/* Of the accesses of one place in the code, about one of so many is watched: at first, and when it
 * has been watched often. */
#define SKIP_MIN 4u
#define SKIP_MAX 256u
#define WAIT_US  40 /* at least; at most twice that */

/* A watchpoint in a word. Bits 0-47: of the address, 48-60: size. 0: there is none. */
#define WORD_SIZE_SHIFT 48
#define WORD_ADDR       ((1ul << WORD_SIZE_SHIFT) - 1)
#define WORD_SIZE_MAX   0x1ffful
#define WORD_WRITE      (1ul << 61)
#define WORD_MARKED     (1ul << 62)
#define WORD_SET        (1ul << 63)
#define WORD_TAKEN      1ul /* another CPU has met it, and is about to leave its own access */
#define WORD_MET        2ul /* ... and has done so */

struct RaceCpu race_cpus[NCPU];
bool race_off;

static uint64_t words[NCPU];         /* every CPU's watchpoint */
static struct Access visitors[NCPU]; /* who has met it */

struct RaceCpu *race_cpu(const void *stack)
{
    uint64_t offset = (uint64_t)stack - (uint64_t)kstacks;

    return offset < sizeof(kstacks) ? &race_cpus[offset / KSTACK_SIZE] : NULL;
}

/* RAM at its kernel address: devices must not be read once more, and user memory is not the
 * kernel's. */
static bool is_memory(uint64_t addr)
{
    return addr >= KERNEL_VMA || (addr >= KERNBASE && addr < KERNEL_MMIO);
}

static bool is_own_stack(const struct RaceCpu *me, uint64_t addr)
{
    return race_cpu((const void *)addr) == me;
}

static uint64_t word_of(uint64_t addr, size_t size, uint32_t kind)
{
    return WORD_SET | (addr & WORD_ADDR) | MIN(size, WORD_SIZE_MAX) << WORD_SIZE_SHIFT |
           (kind & RACE_WRITE ? WORD_WRITE : 0) | (kind & RACE_MARKED ? WORD_MARKED : 0);
}

static inline bool conflicts(uint64_t word, uint64_t addr, size_t size, uint32_t kind)
{
    uint64_t start = word & WORD_ADDR, length = word >> WORD_SIZE_SHIFT & WORD_SIZE_MAX;

    addr &= WORD_ADDR;
    return (word & WORD_SET) && addr < start + length && start < addr + size &&
           ((word & WORD_WRITE) || (kind & RACE_WRITE)) &&
           !((word & WORD_MARKED) && (kind & RACE_MARKED));
}

/* The return addresses on this CPU's stack from the detector's entry up. */
static void find_callers(const struct RaceCpu *me, struct Access *a, const uint64_t *frame)
{
    for (uint32_t i = 0; i < RACE_CALLERS && is_own_stack(me, (uint64_t)frame); i++) {
        const uint64_t *next = (const uint64_t *)frame[0];
        a->at[i] = frame[1];
        if (next <= frame)
            return;
        frame = next;
    }
}

/* Describe the access that this CPU is about to make. */
static struct Access access_of(const struct RaceCpu *me, uint64_t addr, size_t size, uint32_t kind,
                               const uint64_t *frame)
{
    struct Access a = { .addr = addr, .size = size, .kind = kind, .cpu = me - race_cpus };

    find_callers(me, &a, frame);
    for (uint32_t i = 0; i < MIN(me->nlocks, RACE_LOCKS); i++)
        a.locks[i] = me->locks[i];
    return a;
}

/* This CPU has met the watchpoint of another one, which waits to know who it was. It may be gone
 * again. */
static void __attribute__((noinline, cold)) meet(uint32_t cpu, uint64_t word, struct Access a)
{
    if (!__atomic_compare_exchange_n(&words[cpu], &word, WORD_TAKEN, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return;
    visitors[cpu] = a;
    __atomic_store_n(&words[cpu], WORD_MET, __ATOMIC_RELEASE);
}

static uint64_t value_at(const struct Access *a)
{
    const volatile void *p = (const volatile void *)a->addr;

    if (a->kind & RACE_MARKED) /* may change, and may be what must not be read twice */
        return 0;
    if (a->size >= sizeof(uint64_t))
        return *(const volatile uint64_t *)p;
    if (a->size >= sizeof(uint32_t))
        return *(const volatile uint32_t *)p;
    return a->size == 1 ? *(const volatile uint8_t *)p : *(const volatile uint16_t *)p;
}

/* Knuth's MMIX generator, high bits: below n. */
static uint64_t roll(struct RaceCpu *me, uint64_t n)
{
    me->random = me->random * 6364136223846793005ul + 1442695040888963407ul + (me - race_cpus);
    return (me->random >> 33) % n;
}

static void wait(struct RaceCpu *me)
{
    uint64_t end = read_tsc() + (WAIT_US + roll(me, WAIT_US)) * tsc_khz / 1000;

    while (read_tsc() < end)
        cpu_pause();
}

/* Take this CPU's watchpoint back. Returns whether somebody has met it. */
static bool unwatch(uint32_t cpu, uint64_t word)
{
    if (__atomic_compare_exchange_n(&words[cpu], &word, 0, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
        return false;
    while (__atomic_load_n(&words[cpu], __ATOMIC_ACQUIRE) != WORD_MET)
        cpu_pause();
    return true;
}

/* Watch an access, and keep the race if there is one. */
static void __attribute__((noinline, cold)) watch(struct RaceCpu *me, struct Access a)
{
    struct Race race = { .first = a };
    uint64_t word = word_of(a.addr, a.size, a.kind);

    me->watched++;
    __atomic_store_n(&words[a.cpu], word, __ATOMIC_SEQ_CST);
    race.before = value_at(&a);
    wait(me);
    race.after = value_at(&a);
    race.seen = unwatch(a.cpu, word);
    if (race.seen)
        race.second = visitors[a.cpu];
    __atomic_store_n(&words[a.cpu], 0, __ATOMIC_RELEASE);
    if (race.seen || race.before != race.after)
        race_record(me, &race);
}

/* Is it this access's turn? Each place in the code has its own count, so that those that are seldom
 * come by are not lost among the loops. (Places that share a count share their turns.) */
static bool is_due(struct RaceCpu *me, const uint64_t *frame)
{
    struct RacePlace *place = &me->places[frame[1] / sizeof(uint32_t) % RACE_PLACES];

    if (place->skip > 0) {
        place->skip--;
        return false;
    }
    place->interval = MIN(MAX(place->interval * 2, SKIP_MIN), SKIP_MAX);
    place->skip = place->interval / 2 + roll(me, place->interval);
    return true;
}

void race_access(uint64_t addr, size_t size, uint32_t kind, const uint64_t *frame)
{
    struct RaceCpu *me = race_cpu(frame);

    if (ncpu == 1 || race_off || !me || me->busy || !is_memory(addr) || size == 0)
        return;
    me->busy = true;
    for (uint32_t i = 0; i < ncpu; i++) {
        uint64_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        if (word && conflicts(word, addr, size, kind))
            meet(i, word, access_of(me, addr, size, kind, frame));
    }
    if (!is_own_stack(me, addr) && is_due(me, frame))
        watch(me, access_of(me, addr, size, kind, frame));
    if (me->npending > 0 && me->nlocks == 0)
        race_print(me);
    me->busy = false;
}
