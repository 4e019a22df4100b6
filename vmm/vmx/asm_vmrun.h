#ifndef JOS_VMM_VMX_ASM_VMRUN_H
#define JOS_VMM_VMX_ASM_VMRUN_H

#include <inc/types.h>

struct Trapframe;
struct Vcpu;

/* Enter the guest with the general registers in tf, where vmexit finds those it had at its exit,
 * until vmexit returns false. *host_rsp caches HOST_RSP. Returns an enum VmxResult: VMX_OK after an
 * exit, else an entry has failed. */
int asm_vmrun(struct Trapframe *tf, struct Vcpu *v, bool launched, uint64_t *host_rsp);
/* HOST_RIP; not for calling. */
extern char asm_vmexit_entry[];
/* asm_gdb.S: HOST_RIP while the kernel's gdb stub is on. */
extern char gdb_vmexit_entry[];

#endif
