/*
 * The VMCB of a new vCPU: intercepts from one table, and the machine state that the Multiboot
 * specification promises to a kernel, which is 32-bit protected mode without paging (Multiboot
 * "Machine state"). And its fields by name.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/cpuid.h>
#include <vmm/debug/dr.h>
#include <vmm/features.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/perms.h>
#include <vmm/svm/svm_vcpu.h>
#include <vmm/svm/vmcb.h>

#define PAT_RESET  0x0007040600070406ul
#define CODE_SEL   0x08
#define DATA_SEL   0x10
#define TSS_SEL    0x18
#define TSS_LIMIT  0x67
#define FLAT_LIMIT 0xffffffff

/* What exits. An instruction that is not here runs in the guest; every CPU with nested paging has
 * the intercepts of the first two words of instructions, and ignores those of the third that are of
 * instructions it does not have. Exceptions are vcpu_exceptions'. */
static const struct {
    uint8_t word; /* enum InterceptWord */
    uint32_t bits;
} wanted[] = {
    { INTERCEPT_CR, CR_READ(4) | CR_READ(8) },
    { INTERCEPT_CR, CR_WRITE(4) | CR_WRITE(8) },
    { INTERCEPT_DR, DR_ALL },
    { INTERCEPT_MISC1, MISC1_INTR | MISC1_NMI | MISC1_SMI | MISC1_INIT | MISC1_SHUTDOWN },
    { INTERCEPT_MISC1, MISC1_CR0_SELECT | MISC1_TASK_SWITCH | MISC1_FERR_FREEZE },
    { INTERCEPT_MISC1, MISC1_IOIO | MISC1_MSR | MISC1_CPUID | MISC1_HLT | MISC1_RDPMC },
    { INTERCEPT_MISC1, MISC1_INVD | MISC1_INVLPGA | MISC1_RSM },
    { INTERCEPT_MISC2, MISC2_VMRUN | MISC2_VMMCALL | MISC2_VMLOAD | MISC2_VMSAVE | MISC2_STGI },
    { INTERCEPT_MISC2, MISC2_CLGI | MISC2_SKINIT | MISC2_ICEBP | MISC2_WBINVD },
    { INTERCEPT_MISC2, MISC2_MONITOR | MISC2_MWAIT | MISC2_MWAIT_ARMED | MISC2_XSETBV },
    { INTERCEPT_MISC2, MISC2_RDPRU },
    { INTERCEPT_MISC3, MISC3_INVLPGB | MISC3_INVPCID | MISC3_MCOMMIT | MISC3_TLBSYNC },
};

void vmcb_intercept(struct Vmcb *b, enum InterceptWord word, uint32_t bits, bool on)
{
    b->intercepts[word] = on ? b->intercepts[word] | bits : b->intercepts[word] & ~bits;
}

/* A double fault exits so that the one after it is noticed as a triple fault here. Vector 2 is no
 * exception. INT3 exits by its vector or, in QEMU, as INT n. */
void svm_set_exceptions(struct Vcpu *v, uint32_t more)
{
    struct Vmcb *b = svm_vmcb(v);
    uint32_t all = vcpu_exceptions(v) | more | 1u << T_DBLFLT;
    b->intercepts[INTERCEPT_EXCEPTIONS] = all & ~(1u << T_NMI);
    vmcb_intercept(b, INTERCEPT_MISC1, MISC1_INTN, all & 1u << T_BRKPT);
}

uint64_t svm_host_cr4(void)
{
    return rcr4() & CR4_MCE;
}

static void init_controls(struct SvmVcpu *s)
{
    struct Vmcb *b = s->vmcb;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        vmcb_intercept(b, wanted[i].word, wanted[i].bits, true);
    vmcb_intercept(b, INTERCEPT_MISC2, MISC2_RDTSCP, !vm_has(s->v.vm, rdtscp));
    svm_set_exceptions(&s->v, 0);
    s->dr_exits = true;
    svm_forget_insns(s);
    b->iopm = svm_iopm();
    b->msrpm = svm_msrpm();
    b->tsc_offset = s->v.tsc_offset;
    b->virtual_intr = VINTR_MASKING;
    b->nested_paging = NESTED_ON;
    b->nested_cr3 = PADDR(s->v.vm->tables);
    b->pat = PAT_RESET;
}

static void init_segments(struct Vmcb *b)
{
    const struct VmcbSegment data = { DATA_SEL, VMCB_DATA32, FLAT_LIMIT, 0 };
    b->cs = (struct VmcbSegment){ CODE_SEL, VMCB_CODE32, FLAT_LIMIT, 0 };
    b->es = b->ss = b->ds = b->fs = b->gs = data;
    b->tr = (struct VmcbSegment){ TSS_SEL, VMCB_TSS_BUSY, TSS_LIMIT, 0 };
    b->ldtr = (struct VmcbSegment){ 0, VMCB_LDT, 0, 0 };
}

void vmcb_init(struct SvmVcpu *s)
{
    struct Vmcb *b = s->vmcb;
    cpuid_vcpu_init(&s->v);
    init_controls(s);
    init_segments(b);
    b->efer = EFER_SVME;
    b->cr0 = CR0_PE | CR0_NE | CR0_ET;
    b->cr4 = svm_host_cr4();
    b->dr6 = DR6_INIT;
    b->dr7 = DR7_INIT;
    b->rflags = FL_ONE;
    b->rip = s->v.vm->entry;
}

/* ---- Fields by name ---- */

static const struct {
    const char *name;
    uint16_t offset;
    uint8_t size;
} fields[VMCB_NFIELDS] = {
#define FIELD(name, member) \
    { #name, offsetof(struct Vmcb, member), sizeof(((struct Vmcb *)0)->member) },
    VMCB_FIELD_LIST(FIELD)
#undef FIELD
};

const char *vmcb_field_name(enum VmcbField field)
{
    return fields[field].name;
}

uint64_t vmcb_read(const struct Vmcb *b, enum VmcbField field)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)b + fields[field].offset, fields[field].size);
    return value;
}

void vmcb_write(struct Vmcb *b, enum VmcbField field, uint64_t value)
{
    memcpy((char *)b + fields[field].offset, &value, fields[field].size);
}

void vmcb_print(const struct Vmcb *b)
{
    for (int i = 0; i < VMCB_NFIELDS; i++)
        cprintf("%-18s %016lx%s", fields[i].name, vmcb_read(b, i), i % 2 ? "\n" : "  ");
    if (VMCB_NFIELDS % 2)
        cprintf("\n");
}
