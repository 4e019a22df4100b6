/*
 * Executing one instruction of a guest for its debugger. Where the monitor trap flag works it
 * bounds the instruction, and the guest sees nothing. Otherwise RFLAGS.TF does, and the guest must
 * not see that: what would show TF, or would not be bounded by it, is known by its opcode and done
 * in another way. All exceptions exit meanwhile, so that no handler finds TF in its frame; they are
 * injected with the guest's own flags, and the step ends at the handler's first instruction.
 */
#include <vmm/debug/debug.h>

#define MAX_INSN 15
#define MAX_WORD 8

/* Opcodes and prefixes: SDM vol. 2, "Opcode Map". */
#define OP_PUSHF     0x9c
#define OP_POPF      0x9d
#define OP_INT3      0xcc
#define OP_INT       0xcd
#define OP_IRET      0xcf
#define OP_INT1      0xf1
#define OP_TWO_BYTES 0x0f
#define OP2_SYSCALL  0x05
#define OP2_SYSRET   0x07
#define REX_FIRST    0x40
#define REX_LAST     0x4f
#define STAR_SYSCALL 32 /* selector of CS; SS follows */
#define RPL          3

struct Insn {
    enum StepInsn kind;
    uint32_t length; /* of those that are not executed by the CPU */
    uint8_t opcode, operand;
};

static bool is_prefix(uint8_t byte, bool long_mode)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                        0x66, 0x67, 0xf0, 0xf2, 0xf3 };
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (byte == prefixes[i])
            return true;
    return long_mode && byte >= REX_FIRST && byte <= REX_LAST;
}

/* The byte at a linear address. false: the guest itself cannot fetch it, and will get a fault. */
static bool fetch(struct Guest *g, const struct PagingMode *m, uint64_t va, uint8_t *byte)
{
    gpa_t gpa;
    enum WalkResult r = guest_walk_in(g, m, va, 0, &gpa);
    return (r == WALK_OK || r == WALK_FORBIDDEN) && gmem_peek(g, gpa, byte, 1) == 0;
}

static enum StepInsn kind_of(uint8_t opcode, uint8_t next)
{
    switch (opcode) {
    case OP_PUSHF:
        return INSN_PUSHF;
    case OP_POPF:
    case OP_IRET:
        return INSN_LOADS_TF;
    case OP_INT3:
    case OP_INT:
    case OP_INT1:
        return INSN_INT;
    case OP_TWO_BYTES:
        if (next == OP2_SYSCALL)
            return INSN_SYSCALL;
        return next == OP2_SYSRET ? INSN_LOADS_TF : INSN_OTHER;
    }
    return INSN_OTHER;
}

/* What the guest is about to execute. */
static struct Insn decode(struct Guest *g)
{
    struct PagingMode m = paging_mode();
    bool long_mode = guest_in_64bit();
    uint64_t va = vmread(VMCS_GUEST_RIP) + (long_mode ? 0 : vmread(VMCS_GUEST_CS_BASE));
    struct Insn insn = { .kind = INSN_OTHER };
    uint32_t n = 0;
    do {
        if (n == MAX_INSN || !fetch(g, &m, va + n, &insn.opcode))
            return insn;
        n++;
    } while (is_prefix(insn.opcode, long_mode));
    bool two = insn.opcode == OP_TWO_BYTES || insn.opcode == OP_INT;
    if (two && !fetch(g, &m, va + n, &insn.operand))
        return insn;
    insn.length = n + two;
    insn.kind = kind_of(insn.opcode, insn.operand);
    return insn;
}

/* INT n and its likes clear TF on their way into the handler, so they are injected instead. */
static void inject_software(struct Guest *g, const struct Insn *insn)
{
    uint32_t info = INTR_TYPE_SOFTINT | insn->operand;
    if (insn->opcode == OP_INT3)
        info = INTR_TYPE_SOFTEXC | T_BRKPT;
    else if (insn->opcode == OP_INT1)
        info = INTR_TYPE_PRIVEXC | T_DEBUG;
    g->event = (struct InjectEvent){ .info = INTR_VALID | info, .length = insn->length };
    guest_attn(g, ATTN_EVENT);
}

static uint64_t guest_msr(const struct Guest *g, uint32_t msr)
{
    for (int i = 0; i < NSWITCHED_MSRS; i++)
        if (g->guest_msrs[i].index == msr)
            return g->guest_msrs[i].value;
    return 0;
}

/* SYSCALL in 64-bit mode saves TF in R11, and whether a trap follows it is up to the CPU. So it is
 * executed here, as SDM "SYSCALL-Fast System Call" has it. */
static void emulate_syscall(struct Guest *g, uint32_t length)
{
    struct Trapframe *tf = &g->env->env_tf;
    uint64_t flags = vmread(VMCS_GUEST_RFLAGS) & ~(uint64_t)FL_RF;
    uint64_t cs = (guest_msr(g, MSR_STAR) >> STAR_SYSCALL & 0xffff) & ~RPL;
    tf->tf_rcx = vmread(VMCS_GUEST_RIP) + length;
    tf->tf_r11 = flags;
    vmwrite(VMCS_GUEST_RIP, guest_msr(g, MSR_LSTAR));
    vmwrite(VMCS_GUEST_RFLAGS, (flags & ~guest_msr(g, MSR_SFMASK)) | FL_ONE);
    vmwrite(VMCS_GUEST_CS_SEL, cs);
    vmwrite(VMCS_GUEST_CS_BASE, 0);
    vmwrite(VMCS_GUEST_CS_LIMIT, UINT32_MAX);
    vmwrite(VMCS_GUEST_CS_AR, AR_CODE64);
    vmwrite(VMCS_GUEST_SS_SEL, cs + 8);
    vmwrite(VMCS_GUEST_SS_BASE, 0);
    vmwrite(VMCS_GUEST_SS_LIMIT, UINT32_MAX);
    vmwrite(VMCS_GUEST_SS_AR, AR_DATA32);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
    if (flags & guest_msr(g, MSR_SFMASK) & FL_TF)
        return;
    if (flags & FL_TF) /* the guest steps itself */
        inject_debug_trap(g, DR6_BS);
}

static void set_tf(bool on)
{
    uint64_t flags = vmread(VMCS_GUEST_RFLAGS);
    vmwrite(VMCS_GUEST_RFLAGS, on ? flags | FL_TF : flags & ~(uint64_t)FL_TF);
}

/* TF is set, and a blocking by STI or MOV SS, which would end with this instruction, is not wanted
 * with it (SDM "Checks on Guest Non-Register State"). No interrupt comes meanwhile. */
static void begin_trap(struct Guest *g, enum StepInsn insn)
{
    struct GuestDebug *d = g->debug;
    d->mode = STEP_TRAP;
    d->insn = insn;
    d->guest_tf = vmread(VMCS_GUEST_RFLAGS) & FL_TF;
    set_tf(true);
    uint32_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, block & ~(BLOCK_STI | BLOCK_MOV_SS));
}

static void begin_mtf(struct Guest *g)
{
    g->debug->mode = STEP_MTF;
    g->debug->step_rip = vmread(VMCS_GUEST_RIP);
    mtf_set(g, true);
}

bool step_begin(struct Guest *g)
{
    struct GuestDebug *d = g->debug;
    g->halted = false; /* a debug exception ends HLT */
    if (!(g->event.info & INTR_VALID)) {
        struct Insn insn = decode(g);
        bool syscall =
            insn.kind == INSN_SYSCALL && guest_in_64bit() && (vmread(VMCS_GUEST_EFER) & EFER_SCE);
        if (insn.kind == INSN_INT) { /* INT3 exits while there is a debugger */
            inject_software(g, &insn);
        } else if (mtf_works()) {
            begin_mtf(g);
            return true;
        } else if (syscall) {
            emulate_syscall(g, insn.length);
            return false;
        } else {
            begin_trap(g, insn.kind);
        }
    }
    if (g->event.info & INTR_VALID)
        d->mode = STEP_EVENT;
    vmwrite(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
    return true;
}

/* PUSHF has shown our TF: bit 0 of the second byte on top of the stack, whatever the size. */
static void hide_pushed_tf(struct Guest *g)
{
    uint64_t base = guest_in_64bit() ? 0 : vmread(VMCS_GUEST_SS_BASE);
    struct PagingMode m = paging_mode();
    size_t len = 1;
    void *hva = NULL;
    gpa_t gpa;
    enum WalkResult r = guest_walk_in(g, &m, base + vmread(VMCS_GUEST_RSP) + 1, 0, &gpa);
    if ((r == WALK_OK || r == WALK_FORBIDDEN) && gmem_host(g, gpa, &len, GMEM_WRITE, &hva) == 0)
        *(uint8_t *)hva &= ~(FL_TF >> 8);
}

void step_end(struct Guest *g, bool done)
{
    struct GuestDebug *d = g->debug;
    if (d->mode == STEP_NONE)
        return;
    if (d->mode == STEP_MTF)
        mtf_set(g, false);
    if (d->mode == STEP_TRAP) {
        if (!(done && d->insn == INSN_LOADS_TF))
            set_tf(d->guest_tf);
        if (done && d->insn == INSN_PUSHF && !d->guest_tf)
            hide_pushed_tf(g);
        if (!d->guest_tf)
            vmwrite(VMCS_GUEST_PENDING_DBG,
                    vmread(VMCS_GUEST_PENDING_DBG) & ~(uint64_t)PENDING_DBG_BS);
    }
    d->mode = STEP_NONE;
    vmwrite(VMCS_EXCEPTION_BITMAP, guest_exceptions(g) | (d->attached ? 1u << T_BRKPT : 0));
    guest_attn(g, ATTN_IRQ | ATTN_NMI); /* they have waited */
}

/* The monitor trap flag stops there by itself. */
void step_to_handler(struct Guest *g)
{
    enum StepMode mode = g->debug->mode;
    if (mode == STEP_NONE || mode == STEP_MTF || !(g->event.info & INTR_VALID))
        return;
    step_end(g, false);
    g->debug->mode = STEP_EVENT;
    vmwrite(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
    guest_attn(g, ATTN_DEBUG);
}

/* SDM "VMX-Preemption Timer": with 0 it ends the stay before the first instruction, but behind the
 * delivery of an injected event. The run loop gives it another value at its next look around. */
void step_exit_at_once(void)
{
    vmwrite(VMCS_PREEMPT_TIMER, 0);
}
