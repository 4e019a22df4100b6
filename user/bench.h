/*
 * What the parts of bench share.
 */
#ifndef JOS_USER_BENCH_H
#define JOS_USER_BENCH_H

#include <inc/lib.h>
#include <inc/x86.h>

#define MAX_SAMPLES 1000

extern uint64_t samples[MAX_SAMPLES];
/* Sort the first n samples and print the line. */
void report(const char *name, size_t n);

/* ---- bench_files.c ---- */

/* Make a directory of n files; measure what opening one of them costs. */
void bench_directory(uint64_t n);
/* Write a file of so many bytes; measure what reading it again costs, a KiB. */
void bench_read(uint64_t bytes);

#endif
