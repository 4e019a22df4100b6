/*
 * Executing one instruction of a guest for its debugger. Where the CPU can bound the
 * instruction by itself, the guest sees nothing. Otherwise RFLAGS.TF does, and the guest must
 * not see that: what would show TF, or would not be bounded by it, is known by its opcode and done
 * in another way. All exceptions exit meanwhile, so that no handler finds TF in its frame; they are
 * injected with the guest's own flags, and the step ends at the handler's first instruction.
 */
#include <inc/mmu.h>
#include <inc/x86.h>
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/debug/drs.h>

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

static bool is_prefix_byte(uint8_t byte, bool long_mode)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                        0x66, 0x67, 0xf0, 0xf2, 0xf3 };
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (byte == prefixes[i])
            return true;
    return long_mode && byte >= REX_FIRST && byte <= REX_LAST;
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
static struct Insn decode_insn(struct Vcpu *v)
{
    struct PagingMode m;
    backend->paging_mode(v, &m);
    bool long_mode = backend->in_64bit(v);
    uint64_t base = long_mode ? 0 : backend->get_segment(v, VSEG_CS).base;
    uint64_t va = backend->get(v, VREG_RIP) + base;
    struct Insn insn = { .kind = INSN_OTHER };
    uint32_t n = 0;
    do {
        if (n == MAX_INSN || !guest_fetch(v, &m, va + n, &insn.opcode))
            return insn;
        n++;
    } while (is_prefix_byte(insn.opcode, long_mode));
    bool two = insn.opcode == OP_TWO_BYTES || insn.opcode == OP_INT;
    if (two && !guest_fetch(v, &m, va + n, &insn.operand))
        return insn;
    insn.length = n + two;
    insn.kind = kind_of(insn.opcode, insn.operand);
    return insn;
}

/* INT n and its likes clear TF on their way into the handler, so they are injected instead. */
static void inject_software(struct Vcpu *v, const struct Insn *insn)
{
    uint32_t info = EVENT_SOFT_INT | insn->operand;
    if (insn->opcode == OP_INT3)
        info = EVENT_SOFT_EXC | T_BRKPT;
    else if (insn->opcode == OP_INT1)
        info = EVENT_PRIV_EXC | T_DEBUG;
    v->event = (struct Event){ .info = EVENT_VALID | info, .length = insn->length };
    vcpu_attn(v, ATTN_EVENT);
}

/* The flat segment that SYSCALL loads. */
static void load_flat(struct Vcpu *v, enum VcpuSegment n, uint16_t selector, uint32_t attributes)
{
    struct Segment s = { .selector = selector, .attributes = attributes, .limit = UINT32_MAX };
    backend->set_segment(v, n, &s);
}

/* SYSCALL in 64-bit mode saves TF in R11, and whether a trap follows it is up to the CPU. So it is
 * executed here, as SDM "SYSCALL-Fast System Call" has it. */
static void emulate_syscall(struct Vcpu *v, uint32_t length)
{
    struct Trapframe *tf = &v->env->env_tf;
    uint64_t flags = backend->get(v, VREG_RFLAGS) & ~(uint64_t)FL_RF;
    uint64_t mask = backend->get(v, VREG_SFMASK);
    uint16_t cs = (backend->get(v, VREG_STAR) >> STAR_SYSCALL & 0xffff) & ~RPL;
    tf->tf_rcx = backend->get(v, VREG_RIP) + length;
    tf->tf_r11 = flags;
    backend->set(v, VREG_RIP, backend->get(v, VREG_LSTAR));
    backend->set(v, VREG_RFLAGS, (flags & ~mask) | FL_ONE);
    load_flat(v, VSEG_CS, cs, VSEG_CODE64);
    load_flat(v, VSEG_SS, cs + 8, VSEG_DATA32);
    backend->set(v, VREG_BLOCKING, 0);
    if ((flags & FL_TF) && !(mask & FL_TF)) /* the guest steps itself */
        vcpu_debug_trap(v, DR6_BS);
}

static void set_tf(struct Vcpu *v, bool on)
{
    uint64_t flags = backend->get(v, VREG_RFLAGS);
    backend->set(v, VREG_RFLAGS, on ? flags | FL_TF : flags & ~(uint64_t)FL_TF);
}

/* TF is set, and a blocking by STI or MOV SS, which would end with this instruction, is not wanted
 * with it (SDM "Checks on Guest Non-Register State"). No interrupt comes meanwhile. */
static void begin_trap(struct Vcpu *v, enum StepInsn insn)
{
    struct GuestDebug *d = v->debug;
    d->mode = STEP_TRAP;
    d->insn = insn;
    d->guest_tf = backend->get(v, VREG_RFLAGS) & FL_TF;
    set_tf(v, true);
    vcpu_unblock(v);
}

/* false: the CPU cannot. */
static bool begin_on_cpu(struct Vcpu *v)
{
    if (!backend->step(v, true))
        return false;
    v->debug->mode = STEP_CPU;
    v->debug->step_rip = backend->get(v, VREG_RIP);
    return true;
}

bool step_begin(struct Vcpu *v)
{
    struct GuestDebug *d = v->debug;
    v->halted = false; /* a debug exception ends HLT */
    if (!(v->event.info & EVENT_VALID)) {
        struct Insn insn = decode_insn(v);
        bool syscall = insn.kind == INSN_SYSCALL && backend->in_64bit(v) &&
                       (backend->get(v, VREG_EFER) & EFER_SCE);
        if (insn.kind == INSN_INT) { /* INT3 exits while there is a debugger */
            inject_software(v, &insn);
        } else if (begin_on_cpu(v)) {
            return true;
        } else if (syscall) {
            emulate_syscall(v, insn.length);
            return false;
        } else {
            begin_trap(v, insn.kind);
        }
    }
    if (v->event.info & EVENT_VALID)
        d->mode = STEP_EVENT;
    backend->set_exceptions(v, UINT32_MAX);
    return true;
}

/* PUSHF has shown our TF: bit 0 of the second byte on top of the stack, whatever the size. */
static void hide_pushed_tf(struct Vcpu *v)
{
    uint64_t base = backend->in_64bit(v) ? 0 : backend->get_segment(v, VSEG_SS).base;
    struct PagingMode m;
    backend->paging_mode(v, &m);
    size_t len = 1;
    void *hva = NULL;
    gpa_t gpa;
    enum WalkResult r = guest_walk(v, &m, base + backend->get(v, VREG_RSP) + 1, 0, &gpa);
    if ((r == WALK_OK || r == WALK_FORBIDDEN) && gmem_host(v->vm, gpa, &len, GMEM_WRITE, &hva) == 0)
        *(uint8_t *)hva &= ~(FL_TF >> 8);
}

void step_end(struct Vcpu *v, bool done)
{
    struct GuestDebug *d = v->debug;
    if (d->mode == STEP_NONE)
        return;
    if (d->mode == STEP_CPU)
        backend->step(v, false);
    if (d->mode == STEP_TRAP) {
        if (!(done && d->insn == INSN_LOADS_TF))
            set_tf(v, d->guest_tf);
        if (done && d->insn == INSN_PUSHF && !d->guest_tf)
            hide_pushed_tf(v);
        if (!d->guest_tf)
            backend->set(v, VREG_PENDING_DEBUG,
                         backend->get(v, VREG_PENDING_DEBUG) & ~(uint64_t)DR6_BS);
    }
    d->mode = STEP_NONE;
    backend->set_exceptions(v, d->attached ? 1u << T_BRKPT : 0);
    vcpu_attn(v, ATTN_IRQ | ATTN_NMI); /* they have waited */
}

/* A step by the CPU stops there by itself. */
void step_to_handler(struct Vcpu *v)
{
    enum StepMode mode = v->debug->mode;
    if (mode == STEP_NONE || mode == STEP_CPU || !(v->event.info & EVENT_VALID))
        return;
    step_end(v, false);
    v->debug->mode = STEP_EVENT;
    backend->set_exceptions(v, UINT32_MAX);
    vcpu_attn(v, ATTN_DEBUG);
}
