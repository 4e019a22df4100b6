/*
 * System calls as kernel functions. Arguments are as the user passed them, unchecked; pointers are
 * user addresses in the current address space. inc/lib.h has each call's contract.
 */
#ifndef JOS_KERN_SYSCALL_H
#define JOS_KERN_SYSCALL_H

#include <inc/env.h>
#include <inc/mmu.h>
#include <inc/syscall.h>

/* May a user ask for a mapping with these bits? PTE_P and PTE_U must be there, and nothing unknown.
 * (What is writable is never executable: env_map sees to that.) */
static inline bool perm_valid(uint64_t perm)
{
    return (perm & (PTE_P | PTE_U)) == (PTE_P | PTE_U) && !(perm & ~PTE_SYSCALL);
}
int64_t sys_ipc_try_send(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm);
int64_t sys_ipc_send(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm);
int64_t sys_ipc_recv(uintptr_t dstva, envid_t from);
int64_t sys_ipc_reply_recv(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm,
                           uintptr_t dstva);
int64_t sys_ipc_try_recv(uintptr_t dstva);
int64_t sys_ipc_call(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm, uintptr_t dstva);

int64_t sys_page_alloc(envid_t env, uintptr_t va, uint64_t perm);
int64_t sys_page_map(envid_t srcenv, uintptr_t srcva, envid_t dstenv, uintptr_t dstva,
                     uint64_t perm);
int64_t sys_page_unmap(envid_t env, uintptr_t va);
int64_t sys_page_fork(envid_t child, uintptr_t from, uintptr_t to);

int64_t sys_getenvid(void);
int64_t sys_yield(void);
int64_t sys_env_destroy(envid_t env);
int64_t sys_env_exit(int status);
int64_t sys_env_wait(envid_t child, uintptr_t status, bool nohang);
int64_t sys_env_set_name(envid_t env, uintptr_t name);
int64_t sys_exofork(void);
int64_t sys_env_set_status(envid_t env, uint32_t status);
int64_t sys_env_set_trapframe(envid_t env, uintptr_t tf);
int64_t sys_env_set_pgfault_upcall(envid_t env, uintptr_t upcall);

#endif
