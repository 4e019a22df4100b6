/*
 * The virtual machine control block: one page that the CPU reads at VMRUN and writes at an exit
 * (APM 2 "VMCB Layout"). Memory like any other, so a guest's state can be read on any CPU.
 */
#ifndef JOS_VMM_SVM_VMCB_H
#define JOS_VMM_SVM_VMCB_H

#include <inc/types.h>

struct SvmVcpu;
struct Vcpu;

struct VmcbSegment {
    uint16_t selector, attributes; /* VMCB_SEG_* */
    uint32_t limit;                /* bytes - 1 */
    uint64_t base;
};

/* Words of intercepts, as struct Vmcb has them. */
enum InterceptWord {
    INTERCEPT_CR,         /* reads of CRn: bit n; writes: bit 16 + n */
    INTERCEPT_DR,         /* the same of DRn */
    INTERCEPT_EXCEPTIONS, /* a bit a vector */
    INTERCEPT_MISC1,
    INTERCEPT_MISC2,
    INTERCEPT_MISC3,
    NINTERCEPTS
};

struct Vmcb {
    /* Control area */
    uint32_t intercepts[NINTERCEPTS];
    uint8_t reserved_18[0x3c - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm, msrpm; /* physical addresses of the permission maps */
    uint64_t tsc_offset;
    uint32_t asid;
    uint32_t tlb_control;      /* TLB_* */
    uint64_t virtual_intr;     /* VINTR_* */
    uint64_t interrupt_shadow; /* SHADOW_* */
    uint64_t exit_code, exit_info1, exit_info2;
    uint64_t exit_int_info; /* EVENT_*, and the error code above them */
    uint64_t nested_paging; /* NESTED_* */
    uint64_t avic_bar, ghcb;
    uint64_t event_inject; /* like exit_int_info */
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint64_t clean; /* what the CPU may have kept from the last exit; 0: nothing */
    uint64_t next_rip;
    uint8_t fetched; /* bytes of the instruction, where the CPU has decode assists */
    uint8_t bytes[15];
    uint8_t reserved_e0[0x400 - 0xe0];

    /* State-save area */
    struct VmcbSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_4a0[0x4cb - 0x4a0];
    uint8_t cpl;
    uint8_t reserved_4cc[4];
    uint64_t efer;
    uint8_t reserved_4d8[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved_580[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved_5e0[0x5f8 - 0x5e0];
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;
    uint8_t reserved_648[0x668 - 0x648];
    uint64_t pat;
    uint64_t debugctl, branch_from, branch_to, exception_from, exception_to;
    uint8_t reserved_698[0x1000 - 0x698];
};

#define VMCB_AT(member, offset) \
    _Static_assert(__builtin_offsetof(struct Vmcb, member) == (offset), "VMCB: " #member)
_Static_assert(sizeof(struct Vmcb) == 0x1000, "the VMCB is one page");
VMCB_AT(pause_threshold, 0x3c);
VMCB_AT(iopm, 0x40);
VMCB_AT(tsc_offset, 0x50);
VMCB_AT(asid, 0x58);
VMCB_AT(virtual_intr, 0x60);
VMCB_AT(exit_code, 0x70);
VMCB_AT(exit_int_info, 0x88);
VMCB_AT(nested_paging, 0x90);
VMCB_AT(event_inject, 0xa8);
VMCB_AT(nested_cr3, 0xb0);
VMCB_AT(next_rip, 0xc8);
VMCB_AT(bytes, 0xd1);
VMCB_AT(es, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(cr2, 0x640);
VMCB_AT(pat, 0x668);
VMCB_AT(exception_to, 0x690);

/* The fields by the manual's names: dump, checker and messages have their names from here. */
#define VMCB_FIELD_LIST(X)                             \
    X(INTERCEPT_CR, intercepts[INTERCEPT_CR])          \
    X(INTERCEPT_DR, intercepts[INTERCEPT_DR])          \
    X(INTERCEPT_EXC, intercepts[INTERCEPT_EXCEPTIONS]) \
    X(INTERCEPT_MISC1, intercepts[INTERCEPT_MISC1])    \
    X(INTERCEPT_MISC2, intercepts[INTERCEPT_MISC2])    \
    X(INTERCEPT_MISC3, intercepts[INTERCEPT_MISC3])    \
    X(IOPM_BASE_PA, iopm)                              \
    X(MSRPM_BASE_PA, msrpm)                            \
    X(TSC_OFFSET, tsc_offset)                          \
    X(GUEST_ASID, asid)                                \
    X(TLB_CONTROL, tlb_control)                        \
    X(V_INTR, virtual_intr)                            \
    X(INTERRUPT_SHADOW, interrupt_shadow)              \
    X(EXITCODE, exit_code)                             \
    X(EXITINFO1, exit_info1)                           \
    X(EXITINFO2, exit_info2)                           \
    X(EXITINTINFO, exit_int_info)                      \
    X(NP_ENABLE, nested_paging)                        \
    X(EVENTINJ, event_inject)                          \
    X(N_CR3, nested_cr3)                               \
    X(LBR_VIRTUALIZATION, lbr_control)                 \
    X(VMCB_CLEAN, clean)                               \
    X(NRIP, next_rip)                                  \
    X(ES_SEL, es.selector)                             \
    X(ES_ATTRIB, es.attributes)                        \
    X(ES_LIMIT, es.limit)                              \
    X(ES_BASE, es.base)                                \
    X(CS_SEL, cs.selector)                             \
    X(CS_ATTRIB, cs.attributes)                        \
    X(CS_LIMIT, cs.limit)                              \
    X(CS_BASE, cs.base)                                \
    X(SS_SEL, ss.selector)                             \
    X(SS_ATTRIB, ss.attributes)                        \
    X(SS_LIMIT, ss.limit)                              \
    X(SS_BASE, ss.base)                                \
    X(DS_SEL, ds.selector)                             \
    X(DS_ATTRIB, ds.attributes)                        \
    X(DS_LIMIT, ds.limit)                              \
    X(DS_BASE, ds.base)                                \
    X(FS_SEL, fs.selector)                             \
    X(FS_ATTRIB, fs.attributes)                        \
    X(FS_LIMIT, fs.limit)                              \
    X(FS_BASE, fs.base)                                \
    X(GS_SEL, gs.selector)                             \
    X(GS_ATTRIB, gs.attributes)                        \
    X(GS_LIMIT, gs.limit)                              \
    X(GS_BASE, gs.base)                                \
    X(GDTR_LIMIT, gdtr.limit)                          \
    X(GDTR_BASE, gdtr.base)                            \
    X(LDTR_SEL, ldtr.selector)                         \
    X(LDTR_ATTRIB, ldtr.attributes)                    \
    X(LDTR_LIMIT, ldtr.limit)                          \
    X(LDTR_BASE, ldtr.base)                            \
    X(IDTR_LIMIT, idtr.limit)                          \
    X(IDTR_BASE, idtr.base)                            \
    X(TR_SEL, tr.selector)                             \
    X(TR_ATTRIB, tr.attributes)                        \
    X(TR_LIMIT, tr.limit)                              \
    X(TR_BASE, tr.base)                                \
    X(CPL, cpl)                                        \
    X(EFER, efer)                                      \
    X(CR4, cr4)                                        \
    X(CR3, cr3)                                        \
    X(CR0, cr0)                                        \
    X(DR7, dr7)                                        \
    X(DR6, dr6)                                        \
    X(RFLAGS, rflags)                                  \
    X(RIP, rip)                                        \
    X(RSP, rsp)                                        \
    X(RAX, rax)                                        \
    X(STAR, star)                                      \
    X(LSTAR, lstar)                                    \
    X(CSTAR, cstar)                                    \
    X(SFMASK, sfmask)                                  \
    X(KERNEL_GS_BASE, kernel_gs_base)                  \
    X(SYSENTER_CS, sysenter_cs)                        \
    X(SYSENTER_ESP, sysenter_esp)                      \
    X(SYSENTER_EIP, sysenter_eip)                      \
    X(CR2, cr2)                                        \
    X(G_PAT, pat)                                      \
    X(DBGCTL, debugctl)

enum VmcbField {
#define VMCB_FIELD_ENUM(name, member) VMCB_##name,
    VMCB_FIELD_LIST(VMCB_FIELD_ENUM)
#undef VMCB_FIELD_ENUM
    VMCB_NFIELDS
};

/* Controls and state of a new vCPU. */
void vmcb_init(struct SvmVcpu *s);
/* CR4.MCE is the host's while a guest runs: machine checks are to exit. */
uint64_t svm_host_cr4(void);
void svm_set_exceptions(struct Vcpu *v, uint32_t more);
/* Set or clear bits of a word of intercepts. */
void vmcb_intercept(struct Vmcb *b, enum InterceptWord word, uint32_t bits, bool on);
const char *vmcb_field_name(enum VmcbField field);
uint64_t vmcb_read(const struct Vmcb *b, enum VmcbField field);
void vmcb_write(struct Vmcb *b, enum VmcbField field, uint64_t value);
/* All fields of *b on the console. */
void vmcb_print(const struct Vmcb *b);

#endif
