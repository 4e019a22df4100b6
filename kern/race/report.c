/*
 * The race detector's reports. A race is kept by the CPU whose watchpoint has found it until that
 * CPU holds no lock, and each pair of places in the code is reported once.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/dev/console.h>
#include <kern/kdebug.h>
#include <kern/platform.h>
#include <kern/race/race.h>

#define MAX_PAIRS 256

static struct {
    uint64_t a, b;
} pairs[MAX_PAIRS];
static uint32_t npairs;
static uint32_t pairs_lock; /* an own one: the detector looks at spinlocks */

/* ---- Which races are new ---- */

/* Remember this pair of places. false: it is known, or there are too many. */
static bool is_new(uint64_t a, uint64_t b)
{
    uint32_t i = 0;
    bool new;

    while (__atomic_exchange_n(&pairs_lock, 1, __ATOMIC_ACQUIRE))
        cpu_pause();
    while (i < npairs && (pairs[i].a != MIN(a, b) || pairs[i].b != MAX(a, b)))
        i++;
    new = i == npairs &&npairs < MAX_PAIRS;
    if (new) {
        pairs[npairs].a = MIN(a, b);
        pairs[npairs++].b = MAX(a, b);
    }
    __atomic_store_n(&pairs_lock, 0, __ATOMIC_RELEASE);
    return new;
}

void race_record(struct RaceCpu *me, const struct Race *race)
{
    if (me->npending < RACE_PENDING && is_new(race->first.at[0], race->second.at[0]))
        me->pending[me->npending++] = *race;
}

/* ---- Text ---- */

/* The report as it grows, in the CPU's buffer. */
struct Text {
    char *buf;
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct Text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(t->buf + t->len, RACE_TEXT - t->len, fmt, ap);
    va_end(ap);
    t->len += strlen(t->buf + t->len);
}

/* A place in the code, by an address that a call returns to. */
static void add_place(struct Text *t, uint64_t rip)
{
    struct RipInfo info;

    debuginfo_rip(rip - 1, &info);
    add(t, "%s (%s:%u)", info.fn, info.file, info.line);
}

static void add_locks(struct Text *t, const struct Access *a)
{
    for (uint32_t i = 0; i < RACE_LOCKS && a->locks[i]; i++) {
        add(t, i == 0 ? ", holding " : ", ");
        if (a->locks[i]->name)
            add(t, "%s", a->locks[i]->name);
        else
            add(t, "%p", a->locks[i]);
    }
}

static void add_access(struct Text *t, const struct Access *a)
{
    add(t, "  CPU %u %s %u bytes at %#lx%s%s", a->cpu, a->kind & RACE_WRITE ? "writes" : "reads",
        a->size, a->addr, a->kind & RACE_MARKED ? ", marked" : "",
        a->locks[0] ? "" : ", without a lock");
    add_locks(t, a);
    add(t, "\n");
    for (uint32_t i = 0; i < RACE_CALLERS && a->at[i]; i++) {
        add(t, "    %016lx ", a->at[i]);
        add_place(t, a->at[i]);
        add(t, "\n");
    }
}

static void print(struct RaceCpu *me, const struct Race *race)
{
    struct Text t = { .buf = me->text };

    /* A prompt may be on the line. */
    add(&t, "\nrace: ");
    add_place(&t, race->first.at[0]);
    add(&t, " and ");
    if (race->seen)
        add_place(&t, race->second.at[0]);
    else
        add(&t, "somebody unseen");
    add(&t, "\n");
    add_access(&t, &race->first);
    if (race->seen)
        add_access(&t, &race->second);
    else
        add(&t, "  %#lx became %#lx meanwhile\n", race->before, race->after);
    cons_write(t.buf, t.len);
}

void race_print(struct RaceCpu *me)
{
    for (uint32_t i = 0; i < me->npending; i++)
        print(me, &me->pending[i]);
    me->npending = 0;
}

/* ---- The end: calls of these functions come here first (--wrap) ---- */

void __real_cons_panic_mode(void);
void __wrap_cons_panic_mode(void);
void __real_platform_poweroff(int status) __attribute__((noreturn));
void __wrap_platform_poweroff(int status) __attribute__((noreturn));

/* The other CPUs are about to be stopped wherever they are, perhaps while two of them meet here;
 * a lock is no obstacle any more. */
void __wrap_cons_panic_mode(void)
{
    race_off = true;
    __real_cons_panic_mode();
    for (uint32_t i = 0; i < ncpu; i++)
        race_print(&race_cpus[i]);
}

void __wrap_platform_poweroff(int status)
{
    uint64_t watched = 0;

    for (uint32_t i = 0; i < ncpu; i++)
        watched += race_cpus[i].watched;
    cprintf("Race detector: %lu accesses watched, %u races.\n", watched, npairs);
    __real_platform_poweroff(status);
}
