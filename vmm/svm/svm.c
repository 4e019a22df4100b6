/*
 * Finding out whether this machine can run guests by SVM, turning it on, and the ASIDs of each CPU.
 * Detection explains in words what is missing and what to run instead; it changes nothing.
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/dev/lapic.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/xstate.h>
#include <vmm/backend.h>
#include <vmm/cpuid.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/perms.h>
#include <vmm/svm/svm.h>
#include <vmm/vapic.h>
#include <vmm/svm/svm_vcpu.h>

struct SvmCaps svm_caps;

#define SVM_ADVICE "run `make qemu-nox`, whose TCG emulates it, or use an AMD machine"

/* CR4 bits that a guest may set, as far as CPUs with SVM differ in them. */
static uint64_t guest_cr4(void)
{
    uint64_t missing = (cpu_features.umip ? 0 : CR4_UMIP) |
                       (cpu_features.fsgsbase ? 0 : CR4_FSGSBASE) |
                       (cpu_features.smep ? 0 : CR4_SMEP) | (cpu_features.smap ? 0 : CR4_SMAP);
    /* CR3 with a PCID would need flushes that nobody has tried. */
    return ~(missing | CR4_PCIDE | (xstate_xcr0 ? 0 : CR4_OSXSAVE));
}

/* Nested page tables are the CPU's usual ones, of which each page is a user's (APM 2 "Nested Versus
 * Guest Page Faults, Fault Ordering"). A page that can be written, or holds code, can be read. */
static void describe_features(void)
{
    if (stage2.table != 0)
        return; /* guests use them */
    struct Stage2Format f = {
        .table = NPTE_RIGHTS | PTE_W,
        .write = PTE_W,
        .fetch = PTE_NX,
        .fetch_flip = PTE_NX,
        .has_large = true,
    };
    for (uint32_t set = 0; set <= GUEST_RWX; set++)
        f.rights[set] =
            NPTE_RIGHTS | (set & GUEST_WRITE ? PTE_W : 0) | (set & GUEST_FETCH ? 0 : PTE_NX);
    stage2 = f;
    guest_features = (struct GuestFeatures){
        .pat = true,
        .rdtscp = svm_caps.rdtscp,
        .cr4 = guest_cr4(),
        .xcr0 = xstate_xcr0,
        .xcr0_all = xstate_all,
    };
}

static bool under_tcg(void)
{
    struct CpuidRegs r = cpuid(HV_CPUID_BASE, 0);
    uint32_t signature[3] = { r.ebx, r.ecx, r.edx };
    return cpu_features.hypervisor && memcmp(signature, "TCGTCGTCGTCG", sizeof(signature)) == 0;
}

int svm_check(char *why, size_t size)
{
    /* Leaves above the maximum answer with another one's data. */
    bool has_leaf = cpuid(CPUID_EXT_MAX, 0).eax >= CPUID_SVM;
    struct CpuidRegs features = cpuid(CPUID_EXT_FEATURES, 0);
    if (!has_leaf || !(features.ecx & EXT_ECX_SVM)) {
        snprintf(why, size, "this CPU has no SVM (CPUID.80000001H:ECX.SVM is 0); " SVM_ADVICE);
        return -E_NOT_SUPP;
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        snprintf(why, size,
                 "SVM is switched off by the firmware (VM_CR = 0x%lx); enable it in the firmware's "
                 "set-up, or run `make qemu-nox`",
                 rdmsr(MSR_VM_CR));
        return -E_NOT_SUPP;
    }
    struct CpuidRegs svm = cpuid(CPUID_SVM, 0);
    if (!(svm.edx & SVM_EDX_NP)) {
        snprintf(why, size, "this CPU has SVM, but no nested paging; " SVM_ADVICE);
        return -E_NOT_SUPP;
    }
    svm_caps = (struct SvmCaps){
        .asids = svm.ebx,
        .nrips = svm.edx & SVM_EDX_NRIPS,
        .flush_asid = svm.edx & SVM_EDX_FLUSH_ASID,
        .rdtscp = features.edx & EXT_EDX_RDTSCP,
        .repeats_interrupts = ncpu > 1 && under_tcg(),
    };
    describe_features();
    return 0;
}

/* A page of this CPU's own, allocated once and kept. */
static int page_for(physaddr_t *pa)
{
    if (*pa != 0)
        return 0;
    void *page = page_new();
    if (!page)
        return -E_NO_MEM;
    *pa = PADDR(page);
    return 0;
}

int svm_turn_on(void)
{
    struct Cpu *c = this_cpu();
    char why[160];
    if (c->cpu_vmx_on)
        return 0;
    int r = svm_check(why, sizeof(why));
    if (r < 0) {
        cprintf("vmm: %s\n", why);
        return r;
    }
    if (page_for(&c->cpu_svm_save) < 0 || page_for(&c->cpu_svm_host) < 0) {
        cprintf("vmm: no memory for the host's state\n");
        return -E_NO_MEM;
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, c->cpu_svm_save);
    /* What VMLOAD gives back at each exit does not change: the kernel's GS and TR, and the MSRs of
     * SYSCALL. FS and GS are to be those that an env starts with, and not this one's. */
    cpu_load_null_selectors();
    asm volatile("vmsave %%rax" : : "a"(c->cpu_svm_host) : "memory");
    c->cpu_asid_generation = 1;
    c->cpu_asid_next = svm_caps.asids; /* the first one flushes what the firmware has left */
    c->cpu_vmx_on = true;
    svm_perms_init();
    cpuid_init();
    vapic_timer_init();
    return 0;
}

/* An ASID that no entry has used here since the last flush of all. They come round again. */
static void new_asid(struct SvmVcpu *s, struct Cpu *c)
{
    if (c->cpu_asid_next >= svm_caps.asids) {
        c->cpu_asid_generation++;
        c->cpu_asid_next = 1;
        s->vmcb->tlb_control = TLB_FLUSH_ALL;
    }
    s->vmcb->asid = c->cpu_asid_next++;
    s->asid_cpu = c->cpu_num;
    s->asid_generation = c->cpu_asid_generation;
}

void svm_flush(struct SvmVcpu *s)
{
    struct Cpu *c = this_cpu();
    if (svm_caps.flush_asid && svm_asid_is_valid(s, c))
        s->vmcb->tlb_control = TLB_FLUSH_ASID;
    else
        new_asid(s, c);
    svm_forget_insns(s);
    s->untidy = true;
    look_around_soon(&s->v); /* the entry after this one need not do it again */
}
