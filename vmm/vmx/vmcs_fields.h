/*
 * The fields of the VMCS in the order of their encodings (SDM "Field Encoding in VMCS"). The enums,
 * the names in messages and the dump come from this one list.
 */
#ifndef JOS_VMM_VMX_VMCS_FIELDS_H
#define JOS_VMM_VMX_VMCS_FIELDS_H

#define VMCS_FIELD_LIST(X)                               \
    /* 16 bits: control, guest, host */                  \
    X(VPID, 0x0000)                                      \
    X(POSTED_VECTOR, 0x0002)                             \
    X(GUEST_ES_SEL, 0x0800)                              \
    X(GUEST_CS_SEL, 0x0802)                              \
    X(GUEST_SS_SEL, 0x0804)                              \
    X(GUEST_DS_SEL, 0x0806)                              \
    X(GUEST_FS_SEL, 0x0808)                              \
    X(GUEST_GS_SEL, 0x080a)                              \
    X(GUEST_LDTR_SEL, 0x080c)                            \
    X(GUEST_TR_SEL, 0x080e)                              \
    X(HOST_ES_SEL, 0x0c00)                               \
    X(HOST_CS_SEL, 0x0c02)                               \
    X(HOST_SS_SEL, 0x0c04)                               \
    X(HOST_DS_SEL, 0x0c06)                               \
    X(HOST_FS_SEL, 0x0c08)                               \
    X(HOST_GS_SEL, 0x0c0a)                               \
    X(HOST_TR_SEL, 0x0c0c)                               \
    /* 64 bits: control, read-only, guest, host */       \
    X(IO_BITMAP_A, 0x2000)                               \
    X(IO_BITMAP_B, 0x2002)                               \
    X(MSR_BITMAP, 0x2004)                                \
    X(EXIT_MSR_STORE_ADDR, 0x2006)                       \
    X(EXIT_MSR_LOAD_ADDR, 0x2008)                        \
    X(ENTRY_MSR_LOAD_ADDR, 0x200a)                       \
    X(PML_ADDR, 0x200e)                                  \
    X(TSC_OFFSET, 0x2010)                                \
    X(VIRTUAL_APIC_ADDR, 0x2012)                         \
    X(APIC_ACCESS_ADDR, 0x2014)                          \
    X(POSTED_DESC_ADDR, 0x2016)                          \
    X(VMFUNC_CONTROLS, 0x2018)                           \
    X(EPT_POINTER, 0x201a)                               \
    X(EPTP_LIST_ADDR, 0x2024)                            \
    X(VMREAD_BITMAP, 0x2026)                             \
    X(VMWRITE_BITMAP, 0x2028)                            \
    X(VE_INFO_ADDR, 0x202a)                              \
    X(ENCLS_BITMAP, 0x202e)                              \
    X(GUEST_PHYSICAL_ADDRESS, 0x2400)                    \
    X(LINK_POINTER, 0x2800)                              \
    X(GUEST_DEBUGCTL, 0x2802)                            \
    X(GUEST_PAT, 0x2804)                                 \
    X(GUEST_EFER, 0x2806)                                \
    X(GUEST_PERF_CTRL, 0x2808)                           \
    X(GUEST_PDPTE0, 0x280a)                              \
    X(GUEST_PDPTE1, 0x280c)                              \
    X(GUEST_PDPTE2, 0x280e)                              \
    X(GUEST_PDPTE3, 0x2810)                              \
    X(GUEST_BNDCFGS, 0x2812)                             \
    X(HOST_PAT, 0x2c00)                                  \
    X(HOST_EFER, 0x2c02)                                 \
    X(HOST_PERF_CTRL, 0x2c04)                            \
    /* 32 bits: control, read-only, guest, host */       \
    X(PIN_CONTROLS, 0x4000)                              \
    X(PROC_CONTROLS, 0x4002)                             \
    X(EXCEPTION_BITMAP, 0x4004)                          \
    X(PF_ERROR_MASK, 0x4006)                             \
    X(PF_ERROR_MATCH, 0x4008)                            \
    X(CR3_TARGET_COUNT, 0x400a)                          \
    X(EXIT_CONTROLS, 0x400c)                             \
    X(EXIT_MSR_STORE_COUNT, 0x400e)                      \
    X(EXIT_MSR_LOAD_COUNT, 0x4010)                       \
    X(ENTRY_CONTROLS, 0x4012)                            \
    X(ENTRY_MSR_LOAD_COUNT, 0x4014)                      \
    X(ENTRY_INTR_INFO, 0x4016)                           \
    X(ENTRY_INTR_ERROR, 0x4018)                          \
    X(ENTRY_INSTR_LENGTH, 0x401a)                        \
    X(TPR_THRESHOLD, 0x401c)                             \
    X(PROC2_CONTROLS, 0x401e)                            \
    X(INSTRUCTION_ERROR, 0x4400)                         \
    X(EXIT_REASON, 0x4402)                               \
    X(EXIT_INTR_INFO, 0x4404)                            \
    X(EXIT_INTR_ERROR, 0x4406)                           \
    X(IDT_VECTORING_INFO, 0x4408)                        \
    X(IDT_VECTORING_ERROR, 0x440a)                       \
    X(EXIT_INSTR_LENGTH, 0x440c)                         \
    X(EXIT_INSTR_INFO, 0x440e)                           \
    X(GUEST_ES_LIMIT, 0x4800)                            \
    X(GUEST_CS_LIMIT, 0x4802)                            \
    X(GUEST_SS_LIMIT, 0x4804)                            \
    X(GUEST_DS_LIMIT, 0x4806)                            \
    X(GUEST_FS_LIMIT, 0x4808)                            \
    X(GUEST_GS_LIMIT, 0x480a)                            \
    X(GUEST_LDTR_LIMIT, 0x480c)                          \
    X(GUEST_TR_LIMIT, 0x480e)                            \
    X(GUEST_GDTR_LIMIT, 0x4810)                          \
    X(GUEST_IDTR_LIMIT, 0x4812)                          \
    X(GUEST_ES_AR, 0x4814)                               \
    X(GUEST_CS_AR, 0x4816)                               \
    X(GUEST_SS_AR, 0x4818)                               \
    X(GUEST_DS_AR, 0x481a)                               \
    X(GUEST_FS_AR, 0x481c)                               \
    X(GUEST_GS_AR, 0x481e)                               \
    X(GUEST_LDTR_AR, 0x4820)                             \
    X(GUEST_TR_AR, 0x4822)                               \
    X(GUEST_INTERRUPTIBILITY, 0x4824)                    \
    X(GUEST_ACTIVITY, 0x4826)                            \
    X(GUEST_SYSENTER_CS, 0x482a)                         \
    X(PREEMPT_TIMER, 0x482e)                             \
    X(HOST_SYSENTER_CS, 0x4c00)                          \
    /* natural width: control, read-only, guest, host */ \
    X(CR0_MASK, 0x6000)                                  \
    X(CR4_MASK, 0x6002)                                  \
    X(CR0_SHADOW, 0x6004)                                \
    X(CR4_SHADOW, 0x6006)                                \
    X(EXIT_QUALIFICATION, 0x6400)                        \
    X(GUEST_LINEAR_ADDRESS, 0x640a)                      \
    X(GUEST_CR0, 0x6800)                                 \
    X(GUEST_CR3, 0x6802)                                 \
    X(GUEST_CR4, 0x6804)                                 \
    X(GUEST_ES_BASE, 0x6806)                             \
    X(GUEST_CS_BASE, 0x6808)                             \
    X(GUEST_SS_BASE, 0x680a)                             \
    X(GUEST_DS_BASE, 0x680c)                             \
    X(GUEST_FS_BASE, 0x680e)                             \
    X(GUEST_GS_BASE, 0x6810)                             \
    X(GUEST_LDTR_BASE, 0x6812)                           \
    X(GUEST_TR_BASE, 0x6814)                             \
    X(GUEST_GDTR_BASE, 0x6816)                           \
    X(GUEST_IDTR_BASE, 0x6818)                           \
    X(GUEST_DR7, 0x681a)                                 \
    X(GUEST_RSP, 0x681c)                                 \
    X(GUEST_RIP, 0x681e)                                 \
    X(GUEST_RFLAGS, 0x6820)                              \
    X(GUEST_PENDING_DBG, 0x6822)                         \
    X(GUEST_SYSENTER_ESP, 0x6824)                        \
    X(GUEST_SYSENTER_EIP, 0x6826)                        \
    X(HOST_CR0, 0x6c00)                                  \
    X(HOST_CR3, 0x6c02)                                  \
    X(HOST_CR4, 0x6c04)                                  \
    X(HOST_FS_BASE, 0x6c06)                              \
    X(HOST_GS_BASE, 0x6c08)                              \
    X(HOST_TR_BASE, 0x6c0a)                              \
    X(HOST_GDTR_BASE, 0x6c0c)                            \
    X(HOST_IDTR_BASE, 0x6c0e)                            \
    X(HOST_SYSENTER_ESP, 0x6c10)                         \
    X(HOST_SYSENTER_EIP, 0x6c12)                         \
    X(HOST_RSP, 0x6c14)                                  \
    X(HOST_RIP, 0x6c16)

enum VmcsField {
#define VMCS_FIELD_ENUM(name, encoding) VMCS_##name = encoding,
    VMCS_FIELD_LIST(VMCS_FIELD_ENUM)
#undef VMCS_FIELD_ENUM
};

/* Places in that list. */
enum VmcsIndex {
#define VMCS_FIELD_INDEX(name, encoding) VMCS_INDEX_##name,
    VMCS_FIELD_LIST(VMCS_FIELD_INDEX)
#undef VMCS_FIELD_INDEX
    VMCS_NFIELDS
};

#endif
