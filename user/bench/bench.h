/*
 * What the parts of bench share.
 */
#ifndef JOS_USER_BENCH_BENCH_H
#define JOS_USER_BENCH_BENCH_H

#include <inc/lib.h>
#include <inc/x86.h>

#define MAX_SAMPLES 1000

extern uint64_t samples[MAX_SAMPLES];
/* Sort the first n samples and print the line. */
void report(const char *name, size_t n);

/* What is measured. */
struct Service {
    const char *name;
    size_t count;        /* samples, at most MAX_SAMPLES */
    unsigned parts;      /* one call does it this many times */
    void (*setup)(void); /* may be NULL; may start a partner */
    void (*once)(void);
    void (*teardown)(void); /* may be NULL */
};

/* ---- files.c ---- */

/* Make a directory of n files; measure what opening one of them costs. */
void bench_directory(uint64_t n);
/* Write a file of so many bytes; measure what reading it again costs, a KiB. */
void bench_read(uint64_t bytes);

/* ---- cpus.c: each prints a line TOTAL NAME N LEAST MOST SUM, the operations of N workers in
 * the same span of ticks ---- */

/* n envs that perform s. */
void bench_workers(const struct Service *s, uint64_t n);
/* The exits for I/O of n guests, which others have started; waits until all are at work. */
void bench_guests(uint64_t n);

#endif
