/*
 * Descriptor tables, control registers and SYSCALL set-up of a CPU, and what CPUID says about it.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/trapentry.h>
#include <kern/xstate.h>

struct Cpu cpus[NCPU] __attribute__((aligned(PGSIZE)));
uint32_t ncpu = 1;
uint8_t kstacks[NCPU][KSTACK_SIZE] __attribute__((aligned(PGSIZE)));
struct CpuFeatures cpu_features;
bool user_smap; /* user_copy (kern/trapentry.S) has to open user memory with STAC */

/* CPUID bits: SDM "CPUID-CPU Identification". */
#define CPUID1_ECX_X2APIC       (1u << 21)
#define CPUID1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID1_ECX_HYPERVISOR   (1u << 31)
#define CPUID1_EDX_MCE          (1u << 7)
#define CPUID1_EDX_PGE          (1u << 13)
#define CPUID1_EDX_PSE36        (1u << 17)
#define CPUID7_EBX_FSGSBASE     (1u << 0)
#define CPUID7_EBX_SMEP         (1u << 7)
#define CPUID7_EBX_SMAP         (1u << 20)
#define CPUID7_ECX_UMIP         (1u << 2)
#define CPUIDX_EDX_NX           (1u << 20)
#define CPUIDX_EDX_PAGE1G       (1u << 26)
#define DEFAULT_MAXPHYADDR      36

void cpu_features_init(void)
{
    struct CpuFeatures *f = &cpu_features;
    uint32_t max = cpuid(0, 0).eax, max_ext = cpuid(0x80000000, 0).eax;
    struct CpuidRegs one = cpuid(1, 0), ext = cpuid(0x80000001, 0);

    f->x2apic = one.ecx & CPUID1_ECX_X2APIC;
    f->tsc_deadline = one.ecx & CPUID1_ECX_TSC_DEADLINE;
    f->hypervisor = one.ecx & CPUID1_ECX_HYPERVISOR;
    f->mce = one.edx & CPUID1_EDX_MCE;
    f->pge = one.edx & CPUID1_EDX_PGE;
    f->pse36 = one.edx & CPUID1_EDX_PSE36;
    f->nx = ext.edx & CPUIDX_EDX_NX;
    f->page1g = ext.edx & CPUIDX_EDX_PAGE1G;
    if (max >= 7) {
        struct CpuidRegs seven = cpuid(7, 0);
        f->fsgsbase = seven.ebx & CPUID7_EBX_FSGSBASE;
        f->smep = seven.ebx & CPUID7_EBX_SMEP;
        f->smap = seven.ebx & CPUID7_EBX_SMAP;
        f->umip = seven.ecx & CPUID7_ECX_UMIP;
    }
    xstate_init();
    f->maxphyaddr = max_ext >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : DEFAULT_MAXPHYADDR;
}

/* Segment descriptors of the 64-bit GDT: base and limit are ignored but for the TSS (SDM "Segment
 * Descriptors"). */
#define SEG_KCODE 0x00af9a000000ffffull
#define SEG_KDATA 0x00cf92000000ffffull
#define SEG_UDATA 0x00cff2000000ffffull
#define SEG_UCODE 0x00affa000000ffffull
#define SEG_TSS   0x0000890000000000ull /* present, available 64-bit TSS */

static void gdt_init(struct Cpu *c)
{
    uint64_t base = (uint64_t)&c->cpu_tss;
    uint64_t *g = c->cpu_gdt;

    g[GD_KT >> 3] = SEG_KCODE;
    g[GD_KD >> 3] = SEG_KDATA;
    g[GD_UD >> 3] = SEG_UDATA;
    g[GD_UT >> 3] = SEG_UCODE;
    g[GD_TSS0 >> 3] =
        SEG_TSS | (sizeof(c->cpu_tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    g[(GD_TSS0 >> 3) + 1] = base >> 32;

    c->cpu_tss.rsp[0] = c->cpu_kstack_top;
    c->cpu_tss.ist[0] = (uint64_t)(c->cpu_nmi_stack + sizeof(c->cpu_nmi_stack));
    c->cpu_tss.ist[1] = (uint64_t)(c->cpu_df_stack + sizeof(c->cpu_df_stack));
    c->cpu_tss.iomap_base = sizeof(c->cpu_tss); /* beyond the limit: no port for user code */

    c->cpu_gdtr = (struct Pseudodesc){ sizeof(c->cpu_gdt) - 1, (uint64_t)c->cpu_gdt };
    cpu_load_tables(c);
    asm volatile("ltr %w0" : : "r"((uint16_t)GD_TSS0));
    /* After a reset LDTR is valid and covers the first 64 KiB, which user code may map. */
    asm volatile("lldt %w0" : : "r"((uint16_t)0));
}

/* CR0, CR4 and EFER: everything the CPU has that protects the kernel from itself and from envs. */
static void control_init(void)
{
    const struct CpuFeatures *f = &cpu_features;
    uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE;

    cr4 |= f->mce ? CR4_MCE : 0; /* or a machine check shuts down without a word */
    cr4 |= f->pge ? CR4_PGE : 0;
    cr4 |= f->smep ? CR4_SMEP : 0;
    cr4 |= f->smap ? CR4_SMAP : 0;
    cr4 |= f->umip ? CR4_UMIP : 0;
    if (rcr4() != cr4)
        lcr4(cr4);
    user_smap = f->smap;
}

/* Loading GS clears the base of GS on Intel CPUs and keeps it on AMD's, so it is done while user
 * code's base, which is 0, is the active one. An NMI in between is safe: its entry looks at the
 * base itself (kern/trapentry.S). */
void __attribute__((noinline, cold)) cpu_load_null_selectors(void)
{
    asm volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%fs; swapgs; movl %0, %%gs; swapgs"
                 :
                 : "r"(0)
                 : "memory");
}

/* SYSCALL goes to syscall_entry with these flags cleared; SYSRET adds 8 and 16 to the user base. */
static void syscall_init(void)
{
    wrmsr(MSR_STAR, (uint64_t)((GD_UD - 8) | 3) << 48 | (uint64_t)GD_KT << 32);
    wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
    wrmsr(MSR_SFMASK, FL_IF | FL_TF | FL_DF | FL_AC | FL_NT | FL_IOPL | FL_RF);
}

void cpu_init(struct Cpu *c)
{
    c->cpu_self = c;
    c->cpu_num = c - cpus;
    c->cpu_timer_deadline = ~0ul;
    c->cpu_kstack_top = (uint64_t)kstacks[c->cpu_num] + KSTACK_SIZE;
    gdt_init(c);
    control_init();
    syscall_init();
    wrmsr(MSR_GS_BASE, (uint64_t)c);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
}
