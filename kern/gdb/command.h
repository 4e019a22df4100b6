/*
 * The dialogue with gdb. Called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_COMMAND_H
#define JOS_KERN_GDB_COMMAND_H

#include <kern/gdb/cpu.h>

/* The dialogue while everything stands still, until gdb resumes: fills in the actions. tell: begin
 * with why c has stopped. */
void gdb_talk(struct GdbCpu *c, bool tell);
/* Run the command line that gdb sent for the kernel monitor, on the CPU that is to. */
void gdb_monitor_line(struct GdbCpu *c);
/* gdb has gone (detached): everything is to run as if there were none. */
extern bool gdb_attached;

#endif
