/*
 * The parts of test-hostile: programs that mean harm. Each part starts its envs, counts what it
 * does (struct Tally), and leaves the system as it was, which the main program checks.
 */
#ifndef JOS_USER_TEST_HOSTILE_HOSTILE_H
#define JOS_USER_TEST_HOSTILE_HOSTILE_H

#include <user/test/test.h>

#define PERM_RO ((uint64_t)(PTE_P | PTE_U))
#define PERM_RW (PERM_RO | PTE_W | PTE_NX)

/* Counted in a page that all envs of a test share. */
struct Tally {
    uint64_t calls;   /* system calls made */
    uint64_t refused; /* of them, those that returned an error */
    uint64_t envs;    /* envs started */
    uint64_t races;   /* pairs of envs that raced */
    uint64_t steps;   /* of both, with several calls each */
    uint64_t probes;  /* addresses read, to see if that works */
    uint64_t stop;    /* tells hogs to end */
};
extern volatile struct Tally *tally;
extern uint64_t seed;   /* of all that is random; printed */
extern uint64_t rounds; /* how much is done, 1: the quick form */
extern uint64_t hold;   /* how long hogs hold what they have got, ms */

static inline void count(volatile uint64_t *what, uint64_t n)
{
    __atomic_add_fetch(what, n, __ATOMIC_RELAXED);
}

/* Knuth's MMIX generator, high bits. Each env has its own state. */
extern uint64_t random_state;
static inline uint64_t roll(uint64_t n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (random_state >> 33) % n;
}

/* A system call with whatever arguments, counted. */
int64_t attempt(uint64_t nr, const uint64_t args[5]);
/* fork, counted; the child's random numbers are its own. Returns as fork does. */
envid_t try_env(void);
/* The same; fails the test if it cannot. */
envid_t start_env(void);
/* Wait for a child for so many ms, then end it; its status. */
int end_env(envid_t child, uint64_t limit_ms);
/* A guest of this env's, not started; 0: this machine runs none, or somebody has ended it. */
envid_t make_guest(void);

/* calls.c: every call with one bad argument at a time */
void bad_arguments(void);
/* random.c: random calls by several envs at once */
void random_calls(void);
/* race.c: pairs of envs, one of which changes what the other uses */
void races(void);
void guest_races(void);
/* probe.c: no address of the kernel's can be read */
void probe_memory(void);
/* What others tell each other in messages cannot either. */
void look_for_messages(void);
/* share.c: what the neighbours in a pipe or at the console share is scribbled over */
void scribble_descriptors(void);
void scribble_files(void);
void scribble_pipes(void);
/* files.c: open files of others are asked for by every name they might have */
void steal_files(void);
void share_files(void);
/* hog.c: take all there is of something */
void hog_envs(void);
void hog_memory(void);
void hog_tables(void);
void hog_files(void);
void hog_disk(void);
void hog_guests(void);

#endif
