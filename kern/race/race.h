/*
 * The race detector's own parts. It is linked into the kernel of `make race` only, where the
 * compiler puts a call in front of every access to memory (kern/race/access.c). Nothing else in the
 * kernel knows of it. doc/internals.md tells how to read its reports.
 */
#ifndef JOS_KERN_RACE_RACE_H
#define JOS_KERN_RACE_RACE_H

#include <inc/types.h>
#include <kern/cpu.h>
#include <kern/spinlock.h>

/* Kinds of accesses. Marked: volatile or atomic, so the author knows that others may be there. */
#define RACE_WRITE  1u
#define RACE_MARKED 2u

#define RACE_CALLERS 4u
#define RACE_LOCKS   8u
#define RACE_PENDING 8
#define RACE_TEXT    1536
#define RACE_PLACES  4096

struct Access {
    uint64_t addr;
    uint32_t size;
    uint32_t kind;
    uint32_t cpu;
    uint64_t at[RACE_CALLERS]; /* return addresses: the access, its caller, ...; 0: no more */
    const struct spinlock *locks[RACE_LOCKS]; /* that the CPU held, as far as there is room */
};

/* Two accesses that met, or one whose value changed while nobody was seen. */
struct Race {
    struct Access first, second;
    bool seen; /* second is known */
    uint64_t before, after;
};

/* How often accesses of one place in the code are watched. */
struct RacePlace {
    uint32_t skip; /* so many are not, from now on */
    uint32_t interval;
};

/* State of one CPU, told by its kernel stack. */
struct RaceCpu {
    bool busy; /* in the detector: what it calls is not looked at */
    uint64_t random;
    struct RacePlace places[RACE_PLACES];
    uint64_t watched; /* watchpoints so far */
    const struct spinlock *locks[RACE_LOCKS];
    uint32_t nlocks; /* held; may be more than there is room for */
    struct Race pending[RACE_PENDING];
    uint32_t npending;
    char text[RACE_TEXT];
};
extern struct RaceCpu race_cpus[NCPU];
extern bool race_off; /* for good: the kernel panics */

/* kern/race/watch.c: an access is about to be made by the function that has called the one whose
 * frame this is. */
void race_access(uint64_t addr, size_t size, uint32_t kind, const uint64_t *frame);
/* The CPU whose kernel stack this is an address in. NULL: another stack, which is an NMI's, a
 * double fault's or a machine check's. */
struct RaceCpu *race_cpu(const void *stack);

/* kern/race/report.c: keep a race for a report, unless this pair of places has one already. */
void race_record(struct RaceCpu *me, const struct Race *race);
/* Print what is kept. Takes the console's lock. */
void race_print(struct RaceCpu *me);

#endif
