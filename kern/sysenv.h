/*
 * System calls about envs. inc/lib.h has the contracts; arguments are as the user passed them.
 */
#ifndef JOS_KERN_SYSENV_H
#define JOS_KERN_SYSENV_H

#include <inc/env.h>

int64_t sys_getenvid(void);
int64_t sys_env_destroy(envid_t env);
int64_t sys_env_exit(int status);
int64_t sys_env_wait(envid_t child, uintptr_t status, bool nohang);
int64_t sys_env_set_name(envid_t env, uintptr_t name);
int64_t sys_exofork(void);
int64_t sys_env_set_status(envid_t env, uint32_t status);
int64_t sys_env_set_trapframe(envid_t env, uintptr_t tf);
int64_t sys_env_set_pgfault_upcall(envid_t env, uintptr_t upcall);

/* The power button was pressed: init's present or next sys_env_wait says so. */
void sysenv_press_power(void);

#endif
