/*
 * The CPUs in the gdb stub.
 */
#include <kern/cpu.h>
#include <kern/gdb/cpu.h>

struct GdbCpu gdb_cpus[NCPU];
