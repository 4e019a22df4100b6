/*
 * The address spaces of envs: what the kernel maps there, and the system calls that change them.
 */
#ifndef JOS_KERN_SYSMEM_H
#define JOS_KERN_SYSMEM_H

#include <inc/mmu.h>
#include <kern/env.h>

/* May a user ask for a mapping with these bits? PTE_P and PTE_U must be there, and nothing unknown.
 * (What is writable is never executable: env_map sees to that.) */
static inline bool perm_valid(uint64_t perm)
{
    return (perm & (PTE_P | PTE_U)) == (PTE_P | PTE_U) && !(perm & ~PTE_SYSCALL);
}
/* Map pp in the user space of e and keep count (env_pages). env_mem is held. -E_NO_MEM. */
int env_map(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm);
/* The frame at page-aligned va of e, to be mapped elsewhere with perm (as system calls take it, for
 * one page or several), with a reference for the caller. Takes env_mem. -E_INVAL. */
int env_page_take(struct Env *e, uintptr_t va, uint64_t perm, struct PageInfo **pp);
/* The other half: map pp as the page that va of e is in. The mapping takes over the caller's
 * reference, unless the result is an error. Takes env_mem. -E_NO_MEM. */
int env_page_give(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm);
/* Unmap the page of e that va is in, if it is mapped. Takes env_mem. */
void env_page_drop(struct Env *e, uintptr_t va);
/* The same three for n pages in a row. An error changes nothing, but the references that were to be
 * given are dropped. */
int env_pages_take(struct Env *e, uintptr_t va, size_t n, uint64_t perm, struct PageInfo *pp[]);
int env_pages_give(struct Env *e, struct PageInfo *const pp[], size_t n, uintptr_t va,
                   uint64_t perm);
void env_pages_drop(struct Env *e, uintptr_t va, size_t n);
/* Could env_pages_take take them? 0 or -E_INVAL. */
int env_pages_check(struct Env *e, uintptr_t va, size_t n, uint64_t perm);

/* System calls; inc/lib.h has the contracts. */
int64_t sys_page_alloc(envid_t env, uintptr_t va, uint64_t perm);
int64_t sys_page_map(envid_t srcenv, uintptr_t srcva, envid_t dstenv, uintptr_t dstva,
                     uint64_t perm);
int64_t sys_page_unmap(envid_t env, uintptr_t va);
int64_t sys_page_fork(envid_t child, uintptr_t from, uintptr_t to);

#endif
