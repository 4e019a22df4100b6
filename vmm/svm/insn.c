/*
 * Instructions that exited, from the guest's memory: their lengths and operands, where the CPU does
 * not report them. An exit is by an instruction that the CPU has decoded, so it is only to be found
 * out which prefixes and operands it has (APM 3 "Instruction Format").
 */
#include <inc/string.h>
#include <vmm/backend.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/state.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/svm/svm_vcpu.h>

#define OP_TWO_BYTES 0x0f
#define OP_INT       0xcd
#define OP_IN_FIRST  0xe4 /* IN and OUT with a port in the instruction */
#define OP_OUT_LAST  0xe7
#define OP2_GROUP7   0x01 /* VMRUN and its likes, LMSW, XSETBV: the ModRM byte says which */
#define OP2_MOV_CR   0x20 /* MOV to and from control and debug registers */
#define OP2_MOV_LAST 0x23
#define REX_FIRST    0x40
#define REX_LAST     0x4f
#define REX_B        1
#define MODRM_RM(m)  ((m)&7)

static uint64_t linear_rip(const struct Vmcb *b)
{
    return b->rip + (svm_in_64bit(b) ? 0 : b->cs.base);
}

/* Note a prefix. false: it is none. */
static bool take_prefix(struct SvmInsn *insn, uint8_t byte, bool long_mode)
{
    static const uint8_t overrides[] = { [VSEG_ES] = 0x26, [VSEG_CS] = 0x2e, [VSEG_SS] = 0x36,
                                         [VSEG_DS] = 0x3e, [VSEG_FS] = 0x64, [VSEG_GS] = 0x65 };
    for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
        if (byte != overrides[i])
            continue;
        insn->segment = i;
        return true;
    }
    if (long_mode && byte >= REX_FIRST && byte <= REX_LAST) {
        insn->rex = byte;
        return true;
    }
    insn->operand16 |= byte == 0x66;
    insn->address_size |= byte == 0x67;
    insn->rep |= byte == 0xf2 || byte == 0xf3;
    return byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3;
}

/* Does another byte follow that is needed here? */
static bool has_more(const struct SvmInsn *insn)
{
    if (insn->two_bytes)
        return insn->opcode == OP2_GROUP7 ||
               (insn->opcode >= OP2_MOV_CR && insn->opcode <= OP2_MOV_LAST);
    return insn->opcode == OP_INT || (insn->opcode >= OP_IN_FIRST && insn->opcode <= OP_OUT_LAST);
}

bool svm_decode(struct SvmVcpu *s, struct SvmInsn *insn)
{
    const struct Vmcb *b = s->vmcb;
    struct PagingMode m;
    uint64_t va = linear_rip(b);
    uint32_t n = 0;
    bool long_mode = svm_in_64bit(b);
    *insn = (struct SvmInsn){ .segment = -1 };
    svm_paging_mode(&s->v, &m);
    do
        if (n == GUEST_INSN_MAX || !guest_fetch(&s->v, &m, va + n++, &insn->opcode))
            return false;
    while (take_prefix(insn, insn->opcode, long_mode));
    insn->two_bytes = insn->opcode == OP_TWO_BYTES;
    if (insn->two_bytes && !guest_fetch(&s->v, &m, va + n++, &insn->opcode))
        return false;
    if (has_more(insn) &&
        !guest_fetch(&s->v, &m, va + n++, insn->two_bytes ? &insn->modrm : &insn->operand))
        return false;
    insn->length = n;
    return true;
}

/* Of the exits whose instructions go on, without prefixes. */
static uint32_t usual_length(uint64_t code)
{
    switch (code) {
    case SVM_EXIT_HLT:
    case SVM_EXIT_ICEBP:
        return 1;
    case SVM_EXIT_VMMCALL:
    case SVM_EXIT_CR_READ ... SVM_EXIT_DR_WRITE + 0xf:
        return 3;
    }
    return 2;
}

/* Remember it, if it lies in one page with what is compared of it. */
static void remember(struct SvmVcpu *s, struct InsnCache *c, uint64_t next)
{
    const struct Vmcb *b = s->vmcb;
    struct PagingMode m;
    gpa_t gpa;
    void *hva;
    size_t len = sizeof(c->bytes);
    uint64_t va = linear_rip(b);
    svm_paging_mode(&s->v, &m);
    if (next - b->rip > len || (uint32_t)next < (uint32_t)b->rip || PGOFF(va) > PGSIZE - len ||
        guest_walk(&s->v, &m, va, 0, &gpa) != WALK_OK ||
        gmem_host(s->v.vm, gpa, &len, GMEM_PEEK, &hva) < 0 || !hva)
        return;
    *c = (struct InsnCache){ .at = b->rip + b->cs.base, .cr3 = b->cr3, .where = hva, .next = next };
    memcpy(&c->bytes, hva, sizeof(c->bytes));
}

uint64_t __attribute__((noinline)) svm_next_rip(struct SvmVcpu *s, struct InsnCache *c)
{
    const struct Vmcb *b = s->vmcb;
    struct SvmInsn insn;
    if (!svm_decode(s, &insn)) /* its page is gone from the tables, but was not flushed */
        return b->rip + usual_length(b->exit_code);
    remember(s, c, b->rip + insn.length);
    return b->rip + insn.length;
}

void svm_forget_insns(struct SvmVcpu *s)
{
    static const uint64_t nothing;
    for (int i = 0; i < NINSNS; i++)
        s->insns[i] = (struct InsnCache){ .where = &nothing, .bytes = ~nothing };
}

int svm_modrm_gpr(const struct SvmInsn *insn)
{
    return MODRM_RM(insn->modrm) | (insn->rex & REX_B ? 8 : 0);
}
