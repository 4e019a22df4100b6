/*
 * Memory as CPU c sees it. Called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_MEM_H
#define JOS_KERN_GDB_MEM_H

#include <kern/gdb/cpu.h>

/* Copy; returns how many bytes, from the first on, are there. */
size_t gdb_mem_read(const struct GdbCpu *c, uint64_t va, void *buf, size_t n);
/* 0, GDB_EFAULT, or GDB_EACCES for a page of user memory that may be shared. All or nothing. */
int gdb_mem_write(const struct GdbCpu *c, uint64_t va, const void *buf, size_t n);

#endif
