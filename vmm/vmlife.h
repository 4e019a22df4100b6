/*
 * A guest's life.
 */
#ifndef JOS_VMM_VMLIFE_H
#define JOS_VMM_VMLIFE_H

#include <inc/types.h>

struct Env;
struct Trapframe;
struct Vcpu;
struct Vm;

/* A machine with one vCPU that has no env yet, in *store. -E_NO_MEM. vm_drop gives everything back.
 */
int vm_alloc(struct Vcpu **store, uint64_t memsize, gpa_t entry, int flags);
void vm_drop(struct Vm *vm);
/* Give back everything a guest holds: its env has ended. */
void guest_free(struct Env *e);
/* sys_env_set_trapframe on a guest. */
int64_t guest_set_trapframe(struct Env *e, const struct Trapframe *tf);

#endif
