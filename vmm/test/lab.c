/*
 * The test of exercise 0 in the kernel: finding VT-x and turning it on. VMX operation is off again
 * afterwards.
 */
#include <inc/mmu.h>
#include <vmm/guest.h>
#include <kern/sched.h>
#include <vmm/vmx/vmx.h>
#include <kern/frame.h>
#include <inc/stdio.h>
#include <inc/error.h>
#include <kern/kaddr.h>
#include <kern/cpu.h>
#include <vmm/vmx/vmcs.h>
#include <inc/string.h>
#include <vmm/test/lab.h>
#include <kern/platform.h>
#include <kern/cmdline.h>
#include <kern/dev/poweroff.h>

#define WORD_TEST "labtest"
#define WORD_OFF  "labtest-off"

/* Results are small and maybe negative; everything else is a word of bits. */
static void print_number(int64_t n)
{
    cprintf(n < 0 && n > -E_MAX ? "%ld" : "0x%lx", n);
}

void lab_property(struct LabScore *s, const char *name, const char *what, int64_t expected,
                  int64_t seen)
{
    cprintf("%s %s %d %s: ", s->word, s->nonce, s->exercise, name);
    *(seen == expected ? &s->ok : &s->failed) += 1;
    if (seen == expected) {
        cprintf("ok\n");
        return;
    }
    cprintf("FAIL expected ");
    print_number(expected);
    cprintf(" as %s; saw ", what);
    print_number(seen);
    cprintf("\n");
}

void lab_sum(const struct LabScore *s)
{
    cprintf("%s %s %d sum: %d ok, %d failed\n", s->word, s->nonce, s->exercise, s->ok, s->failed);
}

/* What a function says of this machine; the grader knows the machine. */
static void answer(const struct LabScore *s, const char *name, int r, const char *why)
{
    cprintf("%s %s %d answer of %s: %s: %s\n", s->word, s->nonce, s->exercise, name,
            r < 0 ? strerror(r) : "success", why);
}

/* ---- VMX operation ---- */

static void vmx_off(struct Cpu *c)
{
    if (c->cpu_vmx_on && (rcr4() & CR4_VMXE))
        asm volatile("vmxoff" : : : "cc");
    lcr4(rcr4() & ~(uint64_t)CR4_VMXE);
    c->cpu_vmx_on = false;
}

/* In VMX operation a VMCS can be made current. */
static int vmptrld_works(void)
{
    uint32_t *region = page_new();
    if (!region)
        return -E_NO_MEM;
    *region = vmx_caps.revision;
    enum VmxResult r = vmclear(PADDR(region));
    if (r == VMX_OK)
        r = vmptrld(PADDR(region));
    vmclear(PADDR(region));
    page_drop(region);
    return r;
}

static void fixed_bits(struct LabScore *s)
{
    const struct VmxCaps *v = &vmx_caps;
    lab_property(s, "cr0-fixed", "CR0's fixed bits that are wrong", 0,
                 (v->cr0_fixed0 & ~rcr0()) | (rcr0() & ~v->cr0_fixed1));
    lab_property(s, "cr4-fixed", "CR4's fixed bits that are wrong", 0,
                 (v->cr4_fixed0 & ~rcr4()) | (rcr4() & ~v->cr4_fixed1));
}

static void turn_on(struct LabScore *s, struct Cpu *c)
{
    const uint64_t both = FEATURE_CTL_LOCK | FEATURE_CTL_VMX;
    lab_property(s, "vmxon-result", "the result of vmx_init_vmxon", 0, vmx_init_vmxon());
    if (!(rcr4() & CR4_VMXE))
        return; /* a VMX instruction would be #UD */
    lab_property(s, "vmxon-works", "the result of VMPTRLD after it", 0, vmptrld_works());
    fixed_bits(s);
    lab_property(s, "feature-control", "IA32_FEATURE_CONTROL's bits for VMXON and lock", both,
                 rdmsr(MSR_FEATURE_CTL) & both);
    vmx_off(c);
    lab_property(s, "vmxon-locked", "the result of vmx_init_vmxon, the MSR being locked", 0,
                 vmx_init_vmxon());
}

/* A region with another revision identifier is one that VMXON refuses (SDM "VMXON"). */
static void refused(struct LabScore *s, struct Cpu *c)
{
    uint32_t *revision = KADDR(c->cpu_vmxon_region);
    vmx_off(c);
    *revision = ~vmx_caps.revision;
    lab_property(s, "vmxon-refused", "the result when VMXON fails", -E_NOT_SUPP, vmx_init_vmxon());
    lab_property(s, "vmxon-undone", "CR4.VMXE after VMXON has failed", 0, rcr4() & CR4_VMXE);
    lab_property(s, "yield-refused", "the result in sched_yield when VMXON fails", -E_NOT_SUPP,
                 sched_vmx_on(c));
    *revision = vmx_caps.revision;
}

static void by_sched_yield(struct LabScore *s, struct Cpu *c)
{
    vmx_off(c);
    lab_property(s, "yield-first", "the result in sched_yield for the first guest", 0,
                 sched_vmx_on(c));
    lab_property(s, "yield-works", "VMX operation after it", true, c->cpu_vmx_on);
    lab_property(s, "yield-again", "the result in sched_yield for the next guest", 0,
                 sched_vmx_on(c));
}

/* On a machine that can run guests. */
static void exercise_0(struct LabScore *s)
{
    struct Cpu *c = this_cpu();
    char why[160] = "";
    lab_property(s, "check-ept", "the result of vmx_check_ept", 0, vmx_check_ept(why, sizeof(why)));
    lab_property(s, "check-support", "the result of vmx_check_support", 0,
                 vmx_check_support(why, sizeof(why)));
    turn_on(s, c);
    if (c->cpu_vmxon_region != 0)
        refused(s, c);
    by_sched_yield(s, c);
    vmx_off(c);
}

static void ask(struct LabScore *s, char letter)
{
    char why[160] = "";
    int r;
    switch (letter) {
    case '0':
        exercise_0(s);
        break;
    case 's':
        r = vmx_check_support(why, sizeof(why));
        answer(s, "vmx_check_support", r, why);
        break;
    case 'e':
        r = vmx_check_ept(why, sizeof(why));
        answer(s, "vmx_check_ept", r, why);
        break;
    case 'y':
        answer(s, "sched_yield", sched_vmx_on(this_cpu()), "");
        break;
    }
}

void lab_self_test(void)
{
    char word[64];
    struct LabScore s = { .word = WORD_TEST, .nonce = word };
    if (!cmdline_word(WORD_TEST, word, sizeof(word)))
        return;
    char *colon = strchr(word, ':');
    if (colon)
        *colon++ = '\0';
    for (; colon && *colon != '\0'; colon++)
        ask(&s, *colon);
    lab_sum(&s);
    if (cmdline_word(WORD_OFF, NULL, 0))
        platform_poweroff(s.failed > 0);
}
