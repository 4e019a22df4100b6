/*
 * A guest's machine: what its CPUs share. Its memory, its limits, and the message that came before
 * the guest asked for one. A guest has one vCPU today; nothing here relies on that.
 */
#ifndef JOS_VMM_VM_H
#define JOS_VMM_VM_H

#include <inc/cpufeatures.h>
#include <inc/types.h>
#include <inc/vmm.h>
#include <kern/spinlock.h>

#define VM_NVCPUS 1

struct Env;
struct PageInfo;
struct Trapframe;
struct Vcpu;

/* Statistics of the machine; those of exits belong to its vCPUs, each of which counts its own. */
struct VmStats {
    uint64_t pages, large_pages, table_pages; /* as in struct GuestStats */
};

struct Vm {
    struct Vcpu *vcpus[VM_NVCPUS];
    int flags;        /* GUEST_* */
    gpa_t entry, mbi; /* entry point, multiboot information */
    uint64_t memsize; /* bytes of RAM */
    bool checks;      /* entries are checked: the word vmxcheck */

    /* Its CPU: vmm/features.h. */
    struct CpuWords off;      /* features that it is not to have */
    struct CpuWords features; /* those that it has, and what follows from them: */
    uint64_t cr4;             /* bits that it may set */
    uint64_t xcr0;            /* likewise */

    /* The second stage. mem_lock protects its tables. */
    struct spinlock mem_lock;
    uint64_t *tables;      /* root */
    bool small_pages_only; /* ept_map_large has said -E_NOT_SUPP */

    /* One message of the host's file server's that came before the guest asked. */
    bool msg_full;
    uint64_t msg_value, msg_perm;
    struct PageInfo *msg_page;

    struct VmStats stats;
};

#endif
