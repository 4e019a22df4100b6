/*
 * The test of exercise 4: asm_vmrun, with a handler of the test's own behind every exit. The guest
 * is a page of VMCALLs, each followed by an increment of EBX, so that each way back into it shows.
 */
#include <vmm/vmx/vmcs_load.h>
#include <vmm/vmx/vmx_vcpu.h>
#include <vmm/guest.h>
#include <vmm/vmx/vmx.h>
#include <kern/frame.h>
#include <inc/stdio.h>
#include <inc/memlayout.h>
#include <inc/env.h>
#include <kern/env.h>
#include <vmm/ept.h>
#include <kern/envlife.h>
#include <kern/cpu.h>
#include <vmm/vmx/vmcs.h>
#include <inc/trap.h>
#include <vmm/vcpu.h>
#include <inc/string.h>
#include <vmm/vmlife.h>
#include <vmm/test/lab.h>
#include <inc/assert.h>
#include <kern/platform.h>
#include <kern/cmdline.h>

#define WORD_TEST   "vmruntest"
#define EXERCISE    4
#define MEMORY      0x1000000ul
#define CODE_GPA    0x1000ul
#define CALL_BYTES  3
#define STEP_BYTES  (CALL_BYTES + 2)
#define MAX_EXITS   8
#define NKEPT       5 /* rbx, r12 to r15 */
#define NO_DEADLINE UINT32_MAX

/* A bool is in AL alone: the rest is anything. */
#define ANSWER_LEAVE 0xdeadbeef00ul
#define ANSWER_ENTER 0xdeadbeef01ul

int asm_vmrun_called(struct Trapframe *tf, struct Vcpu *v, bool launched, uint64_t *host_rsp,
                     uint64_t regs[NKEPT]);
uint64_t vmrun_test_exit(struct Vcpu *v);
extern char asm_vmexit_entry_copy[];

uint64_t vmrun_test_rbp; /* of asm_vmrun's caller */

/* What the handler has seen since the last call of asm_vmrun, and what it is to do. */
static struct {
    struct Vcpu *v;
    struct Trapframe *tf;
    int stay; /* exits before it lets asm_vmrun return */
    int exits;
    uint64_t reason, argument_wrong, rbp, misaligned, ebx;
    struct Trapframe seen; /* at the first exit */
} now;

static void fill(struct Trapframe *tf, uint64_t seed)
{
    uint64_t *reg = (uint64_t *)tf;
    for (size_t i = 0; i < offsetof(struct Trapframe, tf_trapno) / sizeof(*reg); i++)
        reg[i] = (seed + i) * 0x0101010101010101ul;
    tf->tf_rbx &= UINT32_MAX; /* the guest's code is 32-bit, and adds to EBX */
}

/* In the place of vmexit. */
uint64_t vmrun_test_exit(struct Vcpu *v)
{
    uint64_t *frame = __builtin_frame_address(0);
    uint64_t reason = vmread(VMCS_EXIT_REASON);
    if (now.exits++ == 0) {
        now.seen = *now.tf;
        now.argument_wrong = v != now.v;
        now.rbp = frame[0];
        now.misaligned = (uint64_t)frame % 16;
    }
    now.reason = reason;
    now.ebx = now.tf->tf_rbx;
    if (reason != EXIT_REASON_VMCALL || now.exits >= MAX_EXITS)
        return ANSWER_LEAVE;
    vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + CALL_BYTES);
    if (now.exits > now.stay)
        return ANSWER_LEAVE;
    fill(now.tf, now.exits);
    return ANSWER_ENTER;
}

/* Call asm_vmrun with this many returns into the guest on the way. */
static int enter(struct Vcpu *v, int stay, bool launched, uint64_t kept[NKEPT])
{
    struct Trapframe *tf = &v->env->env_tf;
    now.v = v;
    now.tf = tf;
    now.stay = stay;
    now.exits = 0;
    vmwrite(VMCS_HOST_RIP, (uint64_t)asm_vmexit_entry_copy);
    vmwrite(VMCS_PREEMPT_TIMER, NO_DEADLINE);
    int r = asm_vmrun_called(tf, v, launched, &vmx(v)->host_rsp, kept);
    cpu_load_tables(this_cpu());
    return r;
}

static uint64_t wrong_registers(const struct Trapframe *tf)
{
    struct Trapframe want;
    fill(&want, 0);
    const uint64_t *seen = (const uint64_t *)tf, *wanted = (const uint64_t *)&want;
    uint64_t mask = 0;
    for (size_t i = 0; i < offsetof(struct Trapframe, tf_trapno) / sizeof(*seen); i++)
        mask |= (uint64_t)(seen[i] != wanted[i]) << i;
    return mask;
}

static void launch(struct LabScore *s, struct Vcpu *v)
{
    uint64_t kept[NKEPT] = { 11, 12, 13, 14, 15 }, changed = 0;
    fill(&v->env->env_tf, 0);
    int r = enter(v, 0, false, kept);
    lab_property(s, "launch-exits", "the number of exits after the first entry", 1, now.exits);
    lab_property(s, "launch-reason", "the reason of the exit (VMCALL)", EXIT_REASON_VMCALL,
                 now.reason);
    lab_property(s, "exit-registers", "registers that are not in their place in tf, a bit each", 0,
                 wrong_registers(&now.seen));
    lab_property(s, "exit-argument", "whether vmexit's argument is wrong", 0, now.argument_wrong);
    lab_property(s, "exit-frame", "rbp at the call of vmexit", vmrun_test_rbp, now.rbp);
    lab_property(s, "exit-stack", "the misalignment of vmexit's frame", 0, now.misaligned);
    lab_property(s, "leave-result", "the result (VMX_OK) when vmexit says false", VMX_OK, r);
    for (uint64_t i = 0; i < NKEPT; i++)
        changed += kept[i] != 11 + i;
    lab_property(s, "leave-registers", "the caller's registers that changed", 0, changed);
}

/* The VMCS is launched now. */
static void resume_launched(struct LabScore *s, struct Vcpu *v)
{
    uint64_t kept[NKEPT] = { 0 };
    int r = enter(v, 0, true, kept);
    if (r == VMX_FAIL_VALID)
        cprintf("vmruntest: %s\n", vmx_result_words(r));
    lab_property(s, "resume-result", "the result of an entry with launched", VMX_OK, r);
    lab_property(s, "resume-exits", "the number of exits after that entry", 1, now.exits);
    r = enter(v, 2, true, kept);
    lab_property(s, "loop-exits", "the number of exits when vmexit says true twice", 3, now.exits);
    struct Trapframe want;
    fill(&want, 2); /* what the handler left at the second exit, and then one step of the guest */
    lab_property(s, "loop-registers", "EBX at the third exit", want.tf_rbx + 1, now.ebx);
    lab_property(s, "loop-result", "the result (VMX_OK) after three exits", VMX_OK, r);
}

/* An entry that fails comes back with the reason; a guest that was not launched is one. */
static void failures(struct LabScore *s, struct Vcpu *v)
{
    uint64_t kept[NKEPT] = { 0 };
    lab_property(s, "launch-twice", "the result (VMX_FAIL_VALID) of an entry without launched",
                 VMX_FAIL_VALID, enter(v, 0, false, kept));
    lab_property(s, "fail-exits", "the number of exits after that", 0, now.exits);
    vmcs_unload(v);
    if (!vmcs_load(v))
        return;
    lab_property(s, "resume-new", "the result (VMX_FAIL_VALID) with launched, which is not true",
                 VMX_FAIL_VALID, enter(v, 0, true, kept));
}

static void put_code(struct Vcpu *v)
{
    static const uint8_t step[STEP_BYTES] = { 0x0f, 0x01, 0xc1, 0xff, 0xc3 }; /* vmcall; inc ebx */
    char *page = page_new();
    if (!page)
        panic("vmruntest: no memory");
    for (size_t i = 0; i + STEP_BYTES <= PGSIZE; i += STEP_BYTES)
        memcpy(page + i, step, STEP_BYTES);
    if (ept_map_hva2gpa(v->vm, page, CODE_GPA, EPTE_RWX, true) < 0)
        panic("vmruntest: no page for the guest");
    page_drop(page);
}

static void try_all(struct LabScore *s, struct Vcpu *v)
{
    put_code(v);
    if (!vmcs_load(v)) {
        cprintf("vmruntest: %s\n", v->exit.why);
        return;
    }
    invept(INVEPT_ALL, 0);
    launch(s, v);
    if (now.exits == 1) {
        resume_launched(s, v);
        failures(s, v);
    }
    lab_sum(s);
}

void vmrun_self_test(void)
{
    char word[64];
    struct LabScore s = { .word = WORD_TEST, .nonce = word, .exercise = EXERCISE };
    struct Vcpu *v;
    struct Env *e;
    if (!cmdline_word(WORD_TEST, word, sizeof(word)))
        return;
    if (vmx_init_vmxon() < 0 || vm_alloc(&v, MEMORY, CODE_GPA, 0) < 0 ||
        env_alloc(&e, NULL, ENV_TYPE_GUEST) < 0)
        panic("vmruntest: cannot make a guest");
    v->env = e;
    e->env_guest = v;
    try_all(&s, v);
    env_destroy(e, 0);
}
