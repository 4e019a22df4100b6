/*
 * What the CPU does not report of an instruction that exited.
 */
#ifndef JOS_VMM_SVM_INSN_H
#define JOS_VMM_SVM_INSN_H

#include <inc/once.h>
#include <vmm/svm/svm_vcpu.h>

struct SvmInsn {
    uint8_t length; /* bytes; 0: not an instruction that is known here */
    uint8_t opcode; /* after 0x0f, if two_bytes */
    bool two_bytes;
    uint8_t modrm;   /* if it has one */
    uint8_t operand; /* of INT n */
    uint8_t rex;
    bool operand16, address_size, rep; /* prefixes 0x66, 0x67, 0xf2 or 0xf3 */
    int segment;                       /* VSEG_* of a prefix; -1: none */
};
/* Read and decode the instruction at RIP. false: it cannot be read. */
bool svm_decode(struct SvmVcpu *s, struct SvmInsn *insn);
/* RIP of the next instruction, where it is one that exits. */
uint64_t svm_next_rip(struct SvmVcpu *s, struct InsnCache *c);
/* The same, if it was found out before. The same bytes at the same place have the same length; that
 * the guest has mapped other memory there since, without a change of CR3, hurts only the guest. */
ALWAYS_INLINE bool svm_knows_insn(struct SvmVcpu *s, struct InsnCache **entry)
{
    const struct Vmcb *b = s->vmcb;
    uint64_t at = b->rip + b->cs.base;
    struct InsnCache *c = &s->insns[at % NINSNS];
    *entry = c;
    return __builtin_expect(c->at == at && c->cr3 == b->cr3 && *c->where == c->bytes, 1);
}
/* The general register that its ModRM byte names. */
int svm_modrm_gpr(const struct SvmInsn *insn);
/* Memory of the guest has been replaced. */
void svm_forget_insns(struct SvmVcpu *s);

#endif
