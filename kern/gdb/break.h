/*
 * gdb's breakpoints, in memory and in debug registers. Called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_BREAK_H
#define JOS_KERN_GDB_BREAK_H

#include <kern/gdb/cpu.h>

/* Z and z packets; the answer is 0 or an errno value, or -1: gdb is to do without. */
int gdb_break_change(const struct GdbCpu *c, bool set, int type, uint64_t va, uint64_t kind);
void gdb_break_forget_all(void);
/* Put them into memory before CPUs leave the stub; take them out, which needs no lock and calls
 * nothing that may have one itself. */
void gdb_break_insert(void);
void gdb_break_remove(void);
/* Is this address one of gdb's breakpoints in memory? */
bool gdb_break_at(uint64_t va);
/* On any CPU, for itself: load the debug registers; say what DR6 has found. */
void gdb_dr_load(void);
bool gdb_dr_hit(uint64_t dr6, uint64_t *watch, const char **kind);

#endif
