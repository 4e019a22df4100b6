/*
 * Per-CPU state, reached through GS. Everything a CPU owns alone is here; there is no other
 * per-CPU static variable.
 */
#ifndef JOS_KERN_CPU_H
#define JOS_KERN_CPU_H

#include <inc/mmu.h>
#include <inc/x86.h>
#include <kern/env.h>
#include <kern/idt.h>
#include <kern/spinlock.h>

#define NCPU        8
#define KSTACK_SIZE 20480 /* its lowest page is a guard and never mapped */

struct Cpu {
    struct Cpu *cpu_self;    /* GS:0 */
    uint64_t cpu_kstack_top; /* GS:8, of this CPU's kernel stack */
    uint64_t cpu_scratch;    /* GS:16, user RSP during SYSCALL entry */
    struct Env *cpu_env;     /* env running here, NULL when idle */
    uint32_t cpu_num;
    uint32_t cpu_apicid;
    volatile bool cpu_started;        /* runs kernel code of its own */
    volatile physaddr_t cpu_cr3;      /* address space that is loaded; set before CR3 is */
    volatile uint32_t cpu_flush_req;  /* TLB flushes that other CPUs asked for, */
    volatile uint32_t cpu_flush_done; /* and that were done */
    struct spinlock cpu_queue_lock;   /* protects cpu_queue, and which of it gets a CPU */
    struct EnvList cpu_queue;         /* runnable envs */
    struct spinlock cpu_timer_lock;   /* protects the next two */
    struct Env *cpu_timers;           /* envs with a deadline that blocked here, earliest first */
    uint64_t cpu_first_deadline;      /* of them; ~0: none. Others may only make it later */
    struct Taskstate cpu_tss; /* rsp[0]: end of curenv's env_tf; traps and SYSCALL save below it */
    uint64_t cpu_gdt[8] __attribute__((aligned(16)));
    struct Pseudodesc cpu_gdtr;
    uint64_t cpu_env_since;      /* TSC when cpu_env got the CPU */
    uint64_t cpu_timer_deadline; /* TSC the local APIC timer is armed for; ~0: not */
    uint64_t cpu_slice_end;      /* TSC when cpu_env has to make room; 0: nobody waits yet */
    bool cpu_slice_over;         /* that time has come while somebody waited; or cpu_preempt */
    bool cpu_preempt;            /* somebody became runnable who must run at once */
    uint64_t cpu_share_at; /* TSC from which on the next env is who has waited longest anywhere */
    uint64_t
        cpu_timer_check; /* somebody became runnable: sched_arm_timer before user code goes on */
    bool cpu_vmx_on;     /* vmm/: in VMX root operation, or EFER.SVME is set */
    physaddr_t cpu_vmxon_region;  /* vmm/: 0: not allocated yet */
    struct Vcpu *cpu_vmcs_guest;  /* vmm/: whose VMCS is current here */
    struct Vcpu *cpu_vmcs_wanted; /* vmm/: whose VMCS another CPU waits for */
    /* LAB project cut */
    physaddr_t cpu_svm_save;   /* vmm/svm/: page for the CPU's use at VMRUN; 0: not allocated yet */
    physaddr_t cpu_svm_host;   /* vmm/svm/: page with what VMLOAD gives back to the host */
    struct Vcpu *cpu_svm_vcpu; /* vmm/svm/: who has run here last; NULL: none, or it has ended */
    uint32_t cpu_asid_generation, cpu_asid_next; /* vmm/svm/: ASIDs that are given out here */
    /* LAB project end */
    bool cpu_sched_wanted; /* an interrupt of the kernel's has found work for the scheduler */
    union {
        uint16_t one[4];
        uint64_t all;
    } cpu_selectors; /* DS, ES, FS and GS that user code has left; for cpu_drop_selectors */
    uint8_t cpu_nmi_stack[4096] __attribute__((aligned(16)));
    uint8_t cpu_df_stack[4096] __attribute__((aligned(16)));
};

extern struct Cpu cpus[NCPU];
extern uint8_t kstacks[NCPU][KSTACK_SIZE];
extern uint32_t ncpu; /* does not change once another CPU has come to the scheduler */

static inline struct Cpu *this_cpu(void)
{
    struct Cpu *c;
    asm("movq %%gs:0, %0" : "=r"(c));
    return c;
}

#define curenv (this_cpu()->cpu_env)

/* GDT, TSS, IDT, SYSCALL MSRs and control registers of this CPU. */
void cpu_init(struct Cpu *c);
/* Load GDTR and IDTR. Needed again when a guest has had the CPU: a VM exit sets both limits to
 * 0xffff (SDM "Loading Host Segment and Descriptor-Table Registers"), beyond the tables. */
static inline void cpu_load_tables(const struct Cpu *c)
{
    asm volatile("lgdt %0; lidt %1" : : "m"(c->cpu_gdtr), "m"(idt_desc));
}

/*
 * Every env starts its stay on a CPU with null selectors in DS, ES, FS and GS: what a program has
 * loaded there is neither kept for it nor seen by the next one. The bases of FS and GS are 0 for
 * all user code: every descriptor that it can load has base 0, and CR4.FSGSBASE is off. Reading is
 * cheaper than loading, and programs seldom load any.
 */
void cpu_load_null_selectors(void);
ALWAYS_INLINE void cpu_drop_selectors(struct Cpu *c)
{
    asm volatile("movw %%ds, %0; movw %%es, %1; movw %%fs, %2; movw %%gs, %3"
                 : "=m"(c->cpu_selectors.one[0]), "=m"(c->cpu_selectors.one[1]),
                   "=m"(c->cpu_selectors.one[2]), "=m"(c->cpu_selectors.one[3]));
    if (__builtin_expect(c->cpu_selectors.all != 0, 0))
        cpu_load_null_selectors();
}

/* Load an address space on this CPU, c. */
static inline void cpu_set_cr3(struct Cpu *c, physaddr_t cr3)
{
    c->cpu_cr3 = cr3;
    lcr3(cr3);
}

static inline void cpu_load_cr3(physaddr_t cr3)
{
    cpu_set_cr3(this_cpu(), cr3);
}

/* Features of the boot CPU, from CPUID, found by cpu_features_init. */
struct CpuFeatures {
    bool nx, smep, smap, umip, mce, pge, pse36, page1g, x2apic, tsc_deadline, fsgsbase;
    bool hypervisor; /* the CPUID hypervisor bit */
    uint8_t maxphyaddr;
};
extern struct CpuFeatures cpu_features;
void cpu_features_init(void);

#endif
