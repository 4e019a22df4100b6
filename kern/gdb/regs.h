/*
 * Registers as gdb sees them. Called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_REGS_H
#define JOS_KERN_GDB_REGS_H

#include <kern/gdb/cpu.h>

/* Note what a frame does not have, on the CPU itself. */
void gdb_regs_note(struct GdbCpu *c, bool swapped);
void gdb_read_all(struct GdbCpu *c);
void gdb_write_all(struct GdbCpu *c, const char *hex);
void gdb_read_one(struct GdbCpu *c, const char *args);
void gdb_write_one(struct GdbCpu *c, const char *args);
/* qXfer:features:read:target.xml:OFFSET,LENGTH. */
void gdb_features(const char *args);

#endif
