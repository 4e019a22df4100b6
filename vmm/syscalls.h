/*
 * System calls of monitors.
 */
#ifndef JOS_VMM_SYSCALLS_H
#define JOS_VMM_SYSCALLS_H

#include <inc/env.h>
#include <inc/vmm.h>

/* System calls (inc/lib.h has the contracts). Pointers are user addresses of the current env.
 * Others are in stop.h, trace.h and backtrace.h. */
int64_t sys_guest_check(uintptr_t why, size_t whysize);
int64_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, uintptr_t why, size_t whysize);
int64_t sys_guest_features(envid_t guest, uintptr_t off);
int64_t sys_ept_map(envid_t srcenv, uintptr_t srcva, envid_t guest, gpa_t gpa, uint64_t perm);
int64_t sys_guest_irq(envid_t guest, int vector);
int64_t sys_guest_msi(envid_t guest, uint64_t address, uint32_t data);
int64_t sys_guest_apic(envid_t guest, uint32_t offset, unsigned size, bool write, uint64_t value);
int64_t sys_guest_mem(envid_t guest, gpa_t gpa, uintptr_t buf, size_t len, bool write);
int64_t sys_guest_map(envid_t guest, gpa_t gpa, uintptr_t va, uint64_t perm);
int64_t sys_guest_stats(envid_t guest, uintptr_t stats);
int64_t sys_guest_pause(envid_t guest, bool paused);
int64_t sys_guest_debug(envid_t guest, int op, uint64_t arg, uintptr_t buf);

#endif
