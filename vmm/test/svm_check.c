/*
 * The test of the checker of VMCBs, at boot with the word vmxcheck-test: for each case a fresh VMCB
 * is filled in and broken, the checker judges it, and the CPU is asked the same by VMRUN. The guest
 * has no memory, so an entry that succeeds ends with a nested page fault before its first
 * instruction.
 */
#include <inc/mmu.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <vmm/msr.h>
#include <vmm/svm/check/check.h>
#include <vmm/svm/exits.h>
#include <vmm/vmlife.h>
#include <vmm/vm.h>

#define WIDE                 (1ul << 62) /* beyond every physical-address width */
#define HIGH                 (1ul << 32)
#define BAD_PAT              0x0007040600070402ul /* 2 is not a memory type */
#define INJECT(type, vector) (EVENT_VALID | (type) | (vector))

enum Base {
    BASE_32, /* 32-bit protected mode without paging: what a new guest has */
    BASE_64, /* 64-bit mode */
};

enum PokeOp {
    POKE_NONE = 0,
    POKE_SET,
    POKE_OR,
    POKE_CLEAR,
};

struct Poke {
    enum PokeOp op;
    enum VmcbField field;
    uint64_t value;
};

struct Case {
    const char *name;
    enum Base base;
    bool valid;
    struct Poke poke;
    const char *differs;   /* why an emulator is known to see it another way */
    bool panics_emulators; /* so that only the checker is asked */
};

/* clang-format off */
#define SET(f, v)   { POKE_SET, VMCB_##f, v }
#define OR(f, v)    { POKE_OR, VMCB_##f, v }
#define CLEAR(f, v) { POKE_CLEAR, VMCB_##f, v }
/* clang-format on */
#define NOT_CHECKED "an emulator that does not check it"

static const struct Case cases[] = {
    { "a new guest", BASE_32, true, { 0 }, NULL, false },
    { "64-bit mode", BASE_64, true, { 0 }, NULL, false },
    { "SVME clear", BASE_32, false, CLEAR(EFER, EFER_SVME), NULL, false },
    { "reserved EFER bit", BASE_32, false, OR(EFER, 1ul << 20), NULL, false },
    { "NW without CD", BASE_32, false, OR(CR0, CR0_NW), NULL, false },
    { "NW with CD", BASE_32, true, OR(CR0, CR0_NW | CR0_CD), NULL, false },
    { "high half of CR0", BASE_32, false, OR(CR0, HIGH), NULL, false },
    { "CR3 too wide", BASE_64, false, OR(CR3, WIDE), NOT_CHECKED, false },
    { "reserved CR4 bit", BASE_32, false, OR(CR4, 1ul << 30), NULL, false },
    { "high half of CR4", BASE_32, false, OR(CR4, HIGH), NULL, false },
    { "high half of DR6", BASE_32, false, OR(DR6, HIGH), NULL, false },
    { "high half of DR7", BASE_32, false, OR(DR7, HIGH), NULL, false },
    { "long mode without PAE", BASE_64, false, CLEAR(CR4, CR4_PAE), NULL, false },
    { "long mode without PE", BASE_64, false, CLEAR(CR0, CR0_PE), NULL, true },
    { "long mode without paging", BASE_64, true, CLEAR(CR0, CR0_PG), NULL, true },
    { "CS.L and CS.D", BASE_64, false, OR(CS_ATTRIB, VMCB_SEG_DB), NULL, false },
    { "compatibility mode", BASE_64, true, SET(CS_ATTRIB, VMCB_CODE32), NULL, false },
    { "no VMRUN intercept", BASE_32, false, CLEAR(INTERCEPT_MISC2, MISC2_VMRUN), NULL, false },
    { "I/O map too high", BASE_32, false, SET(IOPM_BASE_PA, WIDE), NULL, false },
    { "MSR map too high", BASE_32, false, SET(MSRPM_BASE_PA, WIDE), NULL, false },
    { "ASID 0", BASE_32, false, SET(GUEST_ASID, 0), NULL, false },
    { "event of type 1", BASE_32, false, SET(EVENTINJ, INJECT(0x100, 32)), NULL, false },
    { "event of type 5", BASE_32, false, SET(EVENTINJ, INJECT(0x500, 1)), NULL, false },
    { "exception 2", BASE_32, false, SET(EVENTINJ, INJECT(EVENT_EXCEPTION, 2)), NULL, false },
    { "exception 32", BASE_32, false, SET(EVENTINJ, INJECT(EVENT_EXCEPTION, 32)), NULL, false },
    { "interrupt 32", BASE_32, true, SET(EVENTINJ, INJECT(EVENT_EXTINT, 32)), NULL, false },
    { "NMI", BASE_32, true, SET(EVENTINJ, INJECT(EVENT_NMI, 2)), NULL, false },
    { "INT 0x80", BASE_32, true, SET(EVENTINJ, INJECT(EVENT_SOFT_INT, 0x80)), NULL, false },
    { "bad PAT", BASE_32, false, SET(G_PAT, BAD_PAT), NOT_CHECKED, false },
    { "nested CR3 too wide", BASE_32, false, OR(N_CR3, WIDE), NOT_CHECKED, false },
};

struct Score {
    uint32_t broken, valid, agree, known, wrong;
};

void asm_svmtry(physaddr_t vmcb);

static void make_base(struct SvmVcpu *s, enum Base base)
{
    struct Vmcb *b = s->vmcb;
    memset(b, 0, sizeof(*b));
    vmcb_init(s);
    b->asid = 1;
    if (base != BASE_64)
        return;
    b->cr0 |= CR0_PG;
    b->cr4 |= CR4_PAE;
    b->efer |= EFER_LME | EFER_LMA;
    b->cs.attributes = VMCB_CODE64;
}

static void poke(struct Vmcb *b, const struct Poke *p)
{
    uint64_t old = vmcb_read(b, p->field);
    if (p->op == POKE_SET)
        vmcb_write(b, p->field, p->value);
    else if (p->op == POKE_OR)
        vmcb_write(b, p->field, old | p->value);
    else if (p->op == POKE_CLEAR)
        vmcb_write(b, p->field, old & ~p->value);
}

/* One word for a case, counted. */
static const char *judge_case(const struct Case *c, const struct SvmCheckView *v, bool cpu_valid,
                              struct Score *score)
{
    bool valid = v->violations == 0;
    bool right = valid == c->valid && (valid || v->fields[0] == c->poke.field);
    *(c->valid ? &score->valid : &score->broken) += 1;
    if (right && (cpu_valid == valid || c->panics_emulators)) {
        score->agree++;
        return "agree";
    }
    if (right && c->differs) {
        score->known++;
        return "known";
    }
    score->wrong++;
    return "WRONG";
}

static void try_case(struct SvmVcpu *s, const struct Case *c, struct Score *score)
{
    struct SvmCheckView v;
    make_base(s, c->base);
    poke(s->vmcb, &c->poke);
    svm_check_vmcb(&v, s->vmcb, false);
    if (!c->panics_emulators)
        asm_svmtry(s->vmcb_pa);
    uint64_t code = s->vmcb->exit_code;
    bool cpu_valid = (uint32_t)code != SVM_EXIT_INVALID;
    const char *verdict = judge_case(c, &v, cpu_valid, score);
    cprintf("vmxcheck: %lu %s: %s (%s): checker: %s%s; CPU: ", c - cases, verdict, c->name,
            c->base == BASE_64 ? "64-bit" : "32-bit", v.violations ? "invalid, " : "valid",
            v.violations ? vmcb_field_name(v.fields[0]) : "");
    if (c->panics_emulators)
        cprintf("not asked, since Bochs panics\n");
    else
        cprintf("%s, exit 0x%lx%s%s\n", cpu_valid ? "valid" : "invalid", code,
                verdict[0] == 'k' ? "; " : "", verdict[0] == 'k' ? c->differs : "");
}

void svm_break_entry(struct Vcpu *v)
{
    const char *prefix = "break-", *name = v->env->env_name;
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0)
        return;
    size_t number = strtol(name + len, NULL, 10);
    if (number < ARRAY_SIZE(cases))
        poke(svm_vmcb(v), &cases[number].poke);
}

void svm_check_self_test(void)
{
    static struct Env env; /* a name for the test's guest */
    struct Vcpu *v;
    struct Score score = { 0 };
    const uint64_t memsize = 4ul << 20, entry = 1ul << 20;
    if (svm_turn_on() < 0)
        return;
    if (vm_alloc(&v, memsize, entry, 0) < 0) {
        cprintf("vmxcheck: no memory for the test\n");
        return;
    }
    v->env = &env;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        try_case(svm_vcpu(v), &cases[i], &score);
    cprintf("vmxcheck: %u rules broken and %u valid variants, %u verdicts agree with the CPU, "
            "%u known differences, %u wrong\n",
            score.broken, score.valid, score.agree, score.known, score.wrong);
    vm_drop(v->vm);
}
