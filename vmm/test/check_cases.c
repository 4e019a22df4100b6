/*
 * The cases of the test of the VM-entry checker: a valid VMCS, one rule broken, and what the manual
 * says about it; and variants that look odd but are valid. Values that break the host's state are
 * harmless ones where there is a choice, in case the CPU lets them pass.
 */
#include <vmm/test/check_cases.h>

#define WIDE          (1ul << 62)          /* beyond every physical-address width */
#define CROOKED       0x0000900000000000ul /* not canonical with 48 bits */
#define HIGH_BASE     (1ul << 32)
#define REAL_AR       0x0093
#define V86_AR        0x00f3
#define LIMIT_16      0xffff
#define AR_CONFORMING 0xc09f               /* AR_CODE32, but conforming */
#define BAD_PAT       0x0007040600070402ul /* 2 is not a memory type */

const char *const check_base_words[NBASES] = {
    [BASE_32] = "32-bit", [BASE_64] = "64-bit", [BASE_REAL] = "real mode",
    [BASE_V86] = "V86",   [BASE_PAE] = "PAE",   [BASE_RESTRICT] = "restricted",
};

#define SET(f, v)             \
    {                         \
        POKE_SET, VMCS_##f, v \
    }
#define OR(f, v)             \
    {                        \
        POKE_OR, VMCS_##f, v \
    }
#define CLEAR(f, v)             \
    {                           \
        POKE_CLEAR, VMCS_##f, v \
    }
#define MSR_INDEX(v)                                \
    {                                               \
        POKE_MSR_INDEX, VMCS_ENTRY_MSR_LOAD_ADDR, v \
    }
#define MSR_RESERVED(v)                                \
    {                                                  \
        POKE_MSR_RESERVED, VMCS_ENTRY_MSR_LOAD_ADDR, v \
    }
#define MSR_VALUE(v)                                \
    {                                               \
        POKE_MSR_VALUE, VMCS_ENTRY_MSR_LOAD_ADDR, v \
    }
#define SEG(r, ar) \
    SET(GUEST_##r##_LIMIT, LIMIT_16), SET(GUEST_##r##_SEL, 0), SET(GUEST_##r##_AR, ar)
#define SEGS(ar) SEG(CS, ar), SEG(SS, ar), SEG(DS, ar), SEG(ES, ar), SEG(FS, ar), SEG(GS, ar)

static const struct Poke pokes_32[] = { { POKE_END, 0, 0 } };
static const struct Poke pokes_64[] = {
    OR(GUEST_CR0, CR0_PG),
    OR(GUEST_CR4, CR4_PAE),
    SET(GUEST_EFER, EFER_LME | EFER_LMA),
    OR(ENTRY_CONTROLS, ENTRYC_IA32E),
    SET(GUEST_CS_AR, AR_CODE64),
    { POKE_END, 0, 0 },
};
static const struct Poke pokes_real[] = {
    CLEAR(GUEST_CR0, CR0_PE),
    SEGS(REAL_AR),
    { POKE_END, 0, 0 },
};
static const struct Poke pokes_v86[] = {
    OR(GUEST_RFLAGS, FL_VM),
    SEGS(V86_AR),
    { POKE_END, 0, 0 },
};
static const struct Poke pokes_pae[] = {
    OR(GUEST_CR0, CR0_PG),
    OR(GUEST_CR4, CR4_PAE),
    SET(GUEST_PDPTE0, 0x1001), /* present */
    { POKE_END, 0, 0 },
};
static const struct Poke pokes_restrict[] = {
    CLEAR(PROC2_CONTROLS, PROC2_UNRESTRICTED),
    OR(GUEST_CR0, CR0_PG | CR0_PE),
    { POKE_END, 0, 0 },
};

const struct Poke *check_base_pokes(enum CheckBase base)
{
    static const struct Poke *const pokes[NBASES] = {
        [BASE_32] = pokes_32,   [BASE_64] = pokes_64,   [BASE_REAL] = pokes_real,
        [BASE_V86] = pokes_v86, [BASE_PAE] = pokes_pae, [BASE_RESTRICT] = pokes_restrict,
    };
    return pokes[base];
}

#define INJECT(type, vector) (EVENT_VALID | EVENT_##type | (vector))
#define INJECT_ERROR(vector) (INJECT(EXCEPTION, vector) | EVENT_ERROR_VALID)

/* A case that breaks a rule of a class, and one that breaks none. */
#define BAD(class, base, name, ...)                                \
    {                                                              \
        name, BASE_##base, CHECK_##class, { __VA_ARGS__ }, 0, NULL \
    }
#define GOOD(base, name, ...)                                 \
    {                                                         \
        name, BASE_##base, CHECK_OK, { __VA_ARGS__ }, 0, NULL \
    }
/* Another field than the last one is to blame. */
#define BLAME(field, class, base, name, ...)                                  \
    {                                                                         \
        name, BASE_##base, CHECK_##class, { __VA_ARGS__ }, VMCS_##field, NULL \
    }

/* An emulator is known to see it another way. */
#define KNOWN(why, class, base, name, ...)                        \
    {                                                             \
        name, BASE_##base, CHECK_##class, { __VA_ARGS__ }, 0, why \
    }
#define NOT_CHECKED "Bochs does not check it"
#define WRITES_ALL  "Bochs with ignore_bad_msrs writes all MSRs that it does not have"

const struct CheckCase check_cases[] = {
    /* ---- valid: the guests themselves ---- */
    GOOD(32, "a new guest", { POKE_END, 0, 0 }),
    GOOD(64, "a 64-bit guest", { POKE_END, 0, 0 }),
    GOOD(REAL, "a guest in real mode", { POKE_END, 0, 0 }),
    GOOD(V86, "a guest in virtual-8086 mode", { POKE_END, 0, 0 }),
    GOOD(PAE, "a guest with PAE paging", { POKE_END, 0, 0 }),
    GOOD(RESTRICT, "a restricted guest", { POKE_END, 0, 0 }),

    /* ---- execution controls ---- */
    BAD(CONTROL, 32, "a pin-based control that must be 1", CLEAR(PIN_CONTROLS, 1u << 1)),
    BAD(CONTROL, 32, "a primary control that must be 1", CLEAR(PROC_CONTROLS, 1u << 1)),
    BAD(CONTROL, 32, "a primary control that must be 0", OR(PROC_CONTROLS, 1u << 0)),
    BAD(CONTROL, 32, "a secondary control that no CPU has", OR(PROC2_CONTROLS, 1u << 31)),
    BAD(CONTROL, 32, "257 CR3 targets", SET(CR3_TARGET_COUNT, 257)),
    BAD(CONTROL, 32, "I/O bitmap A not aligned", OR(PROC_CONTROLS, PROC_IO_BITMAPS),
        SET(IO_BITMAP_B, 0), SET(IO_BITMAP_A, 0x10)),
    BAD(CONTROL, 32, "I/O bitmap B too wide", OR(PROC_CONTROLS, PROC_IO_BITMAPS),
        SET(IO_BITMAP_A, 0), SET(IO_BITMAP_B, WIDE)),
    BAD(CONTROL, 32, "MSR bitmap not aligned", OR(MSR_BITMAP, 0x800)),
    BAD(CONTROL, 32, "MSR bitmap too wide", OR(MSR_BITMAP, WIDE)),
    BAD(CONTROL, 32, "virtual-APIC page not aligned", OR(PROC_CONTROLS, PROC_TPR_SHADOW),
        SET(TPR_THRESHOLD, 0), SET(VIRTUAL_APIC_ADDR, 0x100)),
    BAD(CONTROL, 32, "TPR threshold of 16", OR(PROC_CONTROLS, PROC_TPR_SHADOW),
        SET(VIRTUAL_APIC_ADDR, 0), SET(TPR_THRESHOLD, 16)),
    BLAME(PROC2_CONTROLS, CONTROL, 32, "virtual x2APIC mode without a TPR shadow",
          OR(PROC2_CONTROLS, PROC2_X2APIC)),
    BLAME(PIN_CONTROLS, CONTROL, 32, "virtual NMIs without NMI exiting",
          OR(PIN_CONTROLS, PIN_VIRTUAL_NMI), CLEAR(PIN_CONTROLS, PIN_NMI)),
    BLAME(PROC_CONTROLS, CONTROL, 32, "NMI-window exiting without virtual NMIs",
          CLEAR(PIN_CONTROLS, PIN_VIRTUAL_NMI), OR(PROC_CONTROLS, PROC_NMI_WINDOW)),
    BAD(CONTROL, 32, "APIC-access page not aligned", OR(PROC2_CONTROLS, PROC2_APIC_ACCESS),
        SET(APIC_ACCESS_ADDR, 8)),
    BAD(CONTROL, 32, "VPID 0", OR(PROC2_CONTROLS, PROC2_VPID), SET(VPID, 0)),
    BAD(CONTROL, 32, "EPT with write-combining tables", CLEAR(EPT_POINTER, 7), OR(EPT_POINTER, 1)),
    BAD(CONTROL, 32, "EPT with a walk of 3 levels", CLEAR(EPT_POINTER, 1u << 3)),
    BAD(CONTROL, 32, "EPTP with a reserved bit", OR(EPT_POINTER, 1u << 8)),
    BAD(CONTROL, 32, "EPTP too wide", OR(EPT_POINTER, WIDE)),
    BAD(CONTROL, RESTRICT, "an unrestricted guest without EPT", CLEAR(PROC2_CONTROLS, PROC2_EPT),
        OR(PROC2_CONTROLS, PROC2_UNRESTRICTED)),
    BAD(CONTROL, 32, "VM functions that no CPU has", OR(PROC2_CONTROLS, PROC2_VMFUNC),
        SET(VMFUNC_CONTROLS, 1ul << 63)),

    /* ---- exit controls ---- */
    BAD(CONTROL, 32, "an exit control that must be 1", CLEAR(EXIT_CONTROLS, 1u << 0)),
    BLAME(EXIT_CONTROLS, CONTROL, 32, "the timer saved that is not active",
          OR(EXIT_CONTROLS, EXITC_SAVE_TIMER), CLEAR(PIN_CONTROLS, PIN_TIMER)),
    BAD(CONTROL, 32, "MSR-store area not aligned", OR(EXIT_MSR_STORE_ADDR, 8)),
    BAD(CONTROL, 32, "MSR-load area of exits too wide", OR(EXIT_MSR_LOAD_ADDR, WIDE)),

    /* ---- entry controls ---- */
    BAD(CONTROL, 32, "an entry control that must be 1", CLEAR(ENTRY_CONTROLS, 1u << 0)),
    KNOWN("Bochs allows the control and finds fault with the guest state", CONTROL, 32,
          "entry to SMM", OR(ENTRY_CONTROLS, ENTRYC_SMM)),
    BAD(CONTROL, 32, "MSR-load area of entries not aligned", OR(ENTRY_MSR_LOAD_ADDR, 4)),
    BAD(CONTROL, 32, "MSR-load area of entries too wide", OR(ENTRY_MSR_LOAD_ADDR, WIDE)),
    BAD(CONTROL, 32, "an event of type 1", SET(ENTRY_INTR_INFO, EVENT_VALID | 1u << 8)),
    BAD(CONTROL, 32, "an NMI with vector 3", SET(ENTRY_INTR_INFO, INJECT(NMI, 3))),
    BAD(CONTROL, 32, "an exception with vector 32", SET(ENTRY_INTR_INFO, INJECT(EXCEPTION, 32))),
    BAD(CONTROL, 32, "#GP without an error code", SET(ENTRY_INTR_INFO, INJECT(EXCEPTION, T_GPFLT))),
    BAD(CONTROL, 32, "#UD with an error code", SET(ENTRY_INTR_INFO, INJECT_ERROR(T_ILLOP))),
    BAD(CONTROL, REAL, "#GP with an error code in real mode",
        SET(ENTRY_INTR_INFO, INJECT_ERROR(T_GPFLT))),
    BAD(CONTROL, 32, "an event with reserved bits",
        SET(ENTRY_INTR_INFO, INJECT(NMI, 2) | 1u << 20)),
    BAD(CONTROL, 32, "an error code of more than 16 bits",
        SET(ENTRY_INTR_INFO, INJECT_ERROR(T_GPFLT)), SET(ENTRY_INTR_ERROR, 1u << 16)),
    BAD(CONTROL, 32, "a software interrupt of 16 bytes",
        SET(ENTRY_INTR_INFO, INJECT(SOFT_INT, 0x80)), SET(ENTRY_INSTR_LENGTH, 16)),

    /* ---- host state ---- */
    BAD(HOST, 32, "host CR0.NE 0", CLEAR(HOST_CR0, CR0_NE)),
    BAD(HOST, 32, "host CR4.VMXE 0", CLEAR(HOST_CR4, CR4_VMXE)),
    BAD(HOST, 32, "host CR4.PAE 0", CLEAR(HOST_CR4, CR4_PAE)),
    BAD(HOST, 32, "host CR3 too wide", OR(HOST_CR3, WIDE)),
    BAD(HOST, 32, "host SYSENTER_ESP not canonical", SET(HOST_SYSENTER_ESP, CROOKED)),
    BAD(HOST, 32, "host SYSENTER_EIP not canonical", SET(HOST_SYSENTER_EIP, CROOKED)),
    BAD(HOST, 32, "host PAT with type 2", OR(EXIT_CONTROLS, EXITC_LOAD_PAT),
        SET(HOST_PAT, BAD_PAT)),
    BAD(HOST, 32, "host EFER with a reserved bit", OR(HOST_EFER, 1u << 1)),
    BAD(HOST, 32, "host EFER.LMA 0", CLEAR(HOST_EFER, EFER_LMA)),
    BAD(HOST, 32, "host DS with RPL 3", SET(HOST_DS_SEL, GD_UD | 3)),
    BAD(HOST, 32, "host GS in the LDT", SET(HOST_GS_SEL, 1u << 2)),
    BAD(HOST, 32, "host CS null", SET(HOST_CS_SEL, 0)),
    BAD(HOST, 32, "host TR null", SET(HOST_TR_SEL, 0)),
    BAD(HOST, 32, "host FS base not canonical", SET(HOST_FS_BASE, CROOKED)),
    BAD(HOST, 32, "host GS base not canonical", SET(HOST_GS_BASE, CROOKED)),
    BAD(HOST, 32, "host GDTR base not canonical", SET(HOST_GDTR_BASE, CROOKED)),
    BAD(HOST, 32, "host IDTR base not canonical", SET(HOST_IDTR_BASE, CROOKED)),
    BAD(HOST, 32, "host TR base not canonical", SET(HOST_TR_BASE, CROOKED)),
    BAD(HOST, 32, "host RIP not canonical", SET(HOST_RIP, CROOKED)),
    BLAME(HOST_EFER, HOST, 32, "a 64-bit kernel as a 32-bit host",
          CLEAR(EXIT_CONTROLS, EXITC_HOST_64)),

    /* ---- guest registers ---- */
    BAD(GUEST, 32, "guest CR0.NE 0", CLEAR(GUEST_CR0, CR0_NE)),
    BAD(GUEST, 32, "guest CR0 with a high bit", OR(GUEST_CR0, 1ul << 32)),
    BAD(GUEST, RESTRICT, "a restricted guest without paging", CLEAR(GUEST_CR0, CR0_PG)),
    BAD(GUEST, REAL, "paging in real mode", OR(GUEST_CR0, CR0_PG)),
    BAD(GUEST, 32, "guest CR4.VMXE 0", CLEAR(GUEST_CR4, CR4_VMXE)),
    BAD(GUEST, 32, "guest CR4 with a reserved bit", OR(GUEST_CR4, 1u << 31)),
    BAD(GUEST, 64, "64-bit mode without PAE", CLEAR(GUEST_CR4, CR4_PAE)),
    KNOWN(NOT_CHECKED, GUEST, 64, "64-bit mode without paging", CLEAR(GUEST_CR0, CR0_PG)),
    BAD(GUEST, 32, "PCIDE outside of IA-32e mode", OR(GUEST_CR4, CR4_PCIDE)),
    BAD(GUEST, 64, "guest CR3 too wide", SET(GUEST_CR3, WIDE)),
    BAD(GUEST, 32, "guest DR7 with a high bit", OR(GUEST_DR7, 1ul << 32)),
    KNOWN(NOT_CHECKED, GUEST, 32, "guest DEBUGCTL with a reserved bit",
          SET(GUEST_DEBUGCTL, 1u << 4)),
    BAD(GUEST, 32, "guest SYSENTER_ESP not canonical", SET(GUEST_SYSENTER_ESP, CROOKED)),
    BAD(GUEST, 32, "guest SYSENTER_EIP not canonical", SET(GUEST_SYSENTER_EIP, CROOKED)),
    BAD(GUEST, 32, "guest PAT with type 2", OR(ENTRY_CONTROLS, ENTRYC_LOAD_PAT),
        SET(GUEST_PAT, BAD_PAT)),
    BAD(GUEST, 32, "guest EFER with a reserved bit", OR(GUEST_EFER, 1u << 1)),
    BAD(GUEST, 64, "64-bit mode without EFER.LMA", CLEAR(GUEST_EFER, EFER_LMA)),
    BAD(GUEST, 64, "64-bit mode without EFER.LME", CLEAR(GUEST_EFER, EFER_LME)),
    BAD(GUEST, 32, "EFER.LMA in 32-bit mode", OR(GUEST_EFER, EFER_LMA)),

    /* ---- guest segments ---- */
    BAD(GUEST, 32, "TR in the LDT", OR(GUEST_TR_SEL, 1u << 2)),
    BAD(GUEST, 32, "LDTR in the LDT", SET(GUEST_LDTR_AR, AR_P | 2), SET(GUEST_LDTR_SEL, 1u << 2)),
    BAD(GUEST, V86, "V86 with a base of its own", SET(GUEST_DS_BASE, 0x10)),
    BAD(GUEST, V86, "V86 with a limit of 4 GiB", SET(GUEST_ES_LIMIT, 0xffffffff)),
    BAD(GUEST, V86, "V86 with DPL 0", SET(GUEST_SS_AR, REAL_AR)),
    BAD(GUEST, 64, "FS base not canonical", SET(GUEST_FS_BASE, CROOKED)),
    BAD(GUEST, 64, "TR base not canonical", SET(GUEST_TR_BASE, CROOKED)),
    BAD(GUEST, 32, "LDTR base not canonical", SET(GUEST_LDTR_AR, AR_P | 2),
        SET(GUEST_LDTR_BASE, CROOKED)),
    BAD(GUEST, 64, "CS base beyond 4 GiB", SET(GUEST_CS_BASE, HIGH_BASE)),
    BAD(GUEST, 64, "SS base beyond 4 GiB", SET(GUEST_SS_BASE, HIGH_BASE)),
    BAD(GUEST, 32, "CS that is a data segment (type 1)", SET(GUEST_CS_AR, 0xc091)),
    BAD(GUEST, 32, "CS that was not accessed (type 10)", SET(GUEST_CS_AR, 0xc09a)),
    BAD(GUEST, RESTRICT, "CS of type 3 in a restricted guest", SET(GUEST_CS_AR, AR_DATA32)),
    BAD(GUEST, 32, "SS that cannot be written (type 1)", SET(GUEST_SS_AR, 0xc091)),
    BAD(GUEST, 32, "DS that was not accessed (type 2)", SET(GUEST_DS_AR, 0xc092)),
    BAD(GUEST, 32, "ES that is code nobody may read (type 9)", SET(GUEST_ES_AR, 0xc099)),
    BAD(GUEST, 32, "CS that is a system segment", CLEAR(GUEST_CS_AR, AR_S)),
    BAD(GUEST, 32, "CS with a DPL that is not that of SS", OR(GUEST_CS_AR, 3u << 5)),
    BAD(GUEST, RESTRICT, "SS with another RPL than CS", OR(GUEST_SS_SEL, 3)),
    BAD(GUEST, RESTRICT, "SS with a DPL that is not its RPL", SET(GUEST_CS_AR, AR_CONFORMING),
        OR(GUEST_SS_AR, 3u << 5)),
    KNOWN("Bochs compares it with the RPL of CS", GUEST, 32, "CS with RPL and DPL 3, SS with DPL 0",
          OR(GUEST_CS_SEL, 3), OR(GUEST_CS_AR, 3u << 5)),
    BAD(GUEST, REAL, "SS with DPL 3 in real mode", OR(GUEST_SS_AR, 3u << 5)),
    BLAME(GUEST_DS_AR, GUEST, RESTRICT, "DS with RPL 3 and DPL 0", OR(GUEST_DS_SEL, 3)),
    BAD(GUEST, 32, "FS that is not present", CLEAR(GUEST_FS_AR, AR_P)),
    BAD(GUEST, 32, "GS with reserved bits 11:8", OR(GUEST_GS_AR, 1u << 8)),
    BAD(GUEST, 64, "64-bit CS with D/B", OR(GUEST_CS_AR, AR_DB)),
    BAD(GUEST, 32, "a limit of 4 GiB counted in bytes", CLEAR(GUEST_DS_AR, AR_G)),
    BLAME(GUEST_ES_AR, GUEST, 32, "a limit of pages that ends within one",
          SET(GUEST_ES_LIMIT, 0xfffffffe)),
    BAD(GUEST, 32, "SS with reserved high bits", OR(GUEST_SS_AR, 1u << 17)),
    BAD(GUEST, 64, "a 16-bit TSS in 64-bit mode", SET(GUEST_TR_AR, AR_P | 3)),
    BAD(GUEST, 32, "TR with a TSS that is not busy", SET(GUEST_TR_AR, AR_P | 9)),
    BAD(GUEST, 32, "TR unusable", OR(GUEST_TR_AR, AR_UNUSABLE)),
    BAD(GUEST, 32, "TR that is not present", CLEAR(GUEST_TR_AR, AR_P)),
    BAD(GUEST, 32, "LDTR with the type of a TSS", SET(GUEST_LDTR_AR, AR_P | 3)),

    /* ---- descriptor tables, RIP, RFLAGS ---- */
    BAD(GUEST, 32, "guest GDTR base not canonical", SET(GUEST_GDTR_BASE, CROOKED)),
    BAD(GUEST, 32, "guest IDTR base not canonical", SET(GUEST_IDTR_BASE, CROOKED)),
    BAD(GUEST, 32, "guest GDTR limit of 64 KiB", SET(GUEST_GDTR_LIMIT, 0x10000)),
    BAD(GUEST, 32, "guest IDTR limit of 64 KiB", SET(GUEST_IDTR_LIMIT, 0x10000)),
    BAD(GUEST, 32, "RIP beyond 4 GiB in 32-bit mode", SET(GUEST_RIP, HIGH_BASE)),
    KNOWN(NOT_CHECKED, GUEST, 64, "RIP too wide in 64-bit mode", SET(GUEST_RIP, WIDE)),
    BAD(GUEST, 32, "RFLAGS with bit 1 clear", CLEAR(GUEST_RFLAGS, FL_ONE)),
    BAD(GUEST, 32, "RFLAGS with bit 15", OR(GUEST_RFLAGS, 1u << 15)),
    BAD(GUEST, 32, "RFLAGS with bit 63", OR(GUEST_RFLAGS, 1ul << 63)),
    BAD(GUEST, REAL, "RFLAGS.VM in real mode", OR(GUEST_RFLAGS, FL_VM)),
    BLAME(GUEST_RFLAGS, GUEST, 32, "an external interrupt while IF is 0",
          SET(ENTRY_INTR_INFO, INJECT(EXTINT, 0x40))),

    /* ---- activity, interruptibility, debug exceptions, link pointer ---- */
    BAD(GUEST, 32, "activity state 4", SET(GUEST_ACTIVITY, 4)),
    BAD(GUEST, 32, "HLT at privilege level 3", OR(GUEST_CS_SEL, 3), OR(GUEST_CS_AR, 3u << 5),
        OR(GUEST_SS_AR, 3u << 5), SET(GUEST_ACTIVITY, ACTIVITY_HLT)),
    BAD(GUEST, 32, "HLT while MOV SS blocks", SET(GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS),
        SET(GUEST_ACTIVITY, ACTIVITY_HLT)),
    KNOWN(NOT_CHECKED, GUEST, 32, "#GP in activity state HLT",
          SET(ENTRY_INTR_INFO, INJECT_ERROR(T_GPFLT)), SET(GUEST_ACTIVITY, ACTIVITY_HLT)),
    BAD(GUEST, 32, "an interrupt in activity state shutdown", OR(GUEST_RFLAGS, FL_IF),
        SET(ENTRY_INTR_INFO, INJECT(EXTINT, 0x40)), SET(GUEST_ACTIVITY, ACTIVITY_SHUTDOWN)),
    BAD(GUEST, 32, "interruptibility with a reserved bit", SET(GUEST_INTERRUPTIBILITY, 1u << 5)),
    BAD(GUEST, 32, "blocking by STI and MOV SS", OR(GUEST_RFLAGS, FL_IF),
        SET(GUEST_INTERRUPTIBILITY, BLOCK_INSTRUCTION)),
    BAD(GUEST, 32, "blocking by STI while IF is 0", SET(GUEST_INTERRUPTIBILITY, BLOCK_STI)),
    BAD(GUEST, 32, "an external interrupt while STI blocks", OR(GUEST_RFLAGS, FL_IF),
        SET(ENTRY_INTR_INFO, INJECT(EXTINT, 0x40)), SET(GUEST_INTERRUPTIBILITY, BLOCK_STI)),
    BAD(GUEST, 32, "an NMI while MOV SS blocks", SET(ENTRY_INTR_INFO, INJECT(NMI, 2)),
        SET(GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS)),
    KNOWN(NOT_CHECKED, GUEST, 32, "a virtual NMI while NMIs are blocked",
          OR(PIN_CONTROLS, PIN_VIRTUAL_NMI), SET(ENTRY_INTR_INFO, INJECT(NMI, 2)),
          SET(GUEST_INTERRUPTIBILITY, BLOCK_NMI)),
    BAD(GUEST, 32, "blocking by SMI outside of SMM", SET(GUEST_INTERRUPTIBILITY, BLOCK_SMI)),
    BAD(GUEST, 32, "an enclave's interruption while MOV SS blocks",
        SET(GUEST_INTERRUPTIBILITY, BLOCK_ENCLAVE | BLOCK_MOV_SS)),
    BAD(GUEST, 32, "pending debug exceptions with a reserved bit", SET(GUEST_PENDING_DBG, 1u << 5)),
    KNOWN(NOT_CHECKED, GUEST, 32, "a single step lost under MOV SS", OR(GUEST_RFLAGS, FL_TF),
          SET(GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS), SET(GUEST_PENDING_DBG, 0)),
    KNOWN(NOT_CHECKED, GUEST, 32, "a single step from nowhere under MOV SS",
          SET(GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS), SET(GUEST_PENDING_DBG, PENDING_DBG_BS)),
    BAD(GUEST, 32, "link pointer not aligned", SET(LINK_POINTER, 0x1008)),
    BAD(GUEST, 32, "link pointer too wide", SET(LINK_POINTER, WIDE)),
    BAD(GUEST, 32, "link pointer to the VMCS itself", { POKE_VMCS, VMCS_LINK_POINTER, 0 }),
    BAD(GUEST, 32, "link pointer to no VMCS", SET(LINK_POINTER, 0x100000)),
    BAD(GUEST, PAE, "PDPTE 0 with reserved bits", OR(GUEST_PDPTE0, 1u << 1)),
    BAD(GUEST, PAE, "PDPTE 3 too wide", SET(GUEST_PDPTE3, WIDE | 1)),

    /* ---- MSR loading ---- */
    BAD(MSR, 32, "an MSR entry with reserved bits", MSR_RESERVED(1)),
    BAD(MSR, 32, "GS.base in the MSR area", MSR_INDEX(MSR_GS_BASE)),
    BAD(MSR, 32, "FS.base in the MSR area", MSR_INDEX(MSR_FS_BASE)),
    KNOWN(WRITES_ALL, MSR, 32, "the microcode update in the MSR area",
          MSR_INDEX(MSR_BIOS_UPDT_TRIG)),
    KNOWN(WRITES_ALL, MSR, 32, "the SMM monitor in the MSR area", MSR_INDEX(MSR_SMM_MONITOR_CTL)),
    KNOWN(WRITES_ALL, MSR, 32, "the local APIC's TPR in the MSR area", MSR_INDEX(MSR_X2APIC + 8)),
    BAD(MSR, 32, "kernel GS.base not canonical", MSR_VALUE(CROOKED)),

    /* ---- valid, though it looks odd ---- */
    GOOD(32, "an NMI with vector 2", SET(ENTRY_INTR_INFO, INJECT(NMI, 2))),
    GOOD(32, "#GP with an error code of 16 bits", SET(ENTRY_INTR_INFO, INJECT_ERROR(T_GPFLT)),
         SET(ENTRY_INTR_ERROR, 0x7fff)),
    GOOD(REAL, "#GP without an error code in real mode",
         SET(ENTRY_INTR_INFO, INJECT(EXCEPTION, T_GPFLT))),
    GOOD(32, "an external interrupt while IF is 1", OR(GUEST_RFLAGS, FL_IF),
         SET(ENTRY_INTR_INFO, INJECT(EXTINT, 0x40))),
    GOOD(32, "a software interrupt of 15 bytes", SET(ENTRY_INTR_INFO, INJECT(SOFT_INT, 0x80)),
         SET(ENTRY_INSTR_LENGTH, 15)),
    GOOD(32, "an event that is not valid may have any bits", SET(ENTRY_INTR_INFO, 0x7ffff1ff)),
    GOOD(32, "an MSR area without entries may lie anywhere", SET(ENTRY_MSR_LOAD_COUNT, 0),
         SET(ENTRY_MSR_LOAD_ADDR, WIDE | 5)),
    GOOD(32, "an unusable DS may have any rights", SET(GUEST_DS_AR, AR_UNUSABLE | 0x5)),
    GOOD(32, "CS of type 3 in an unrestricted guest", SET(GUEST_CS_AR, AR_DATA32)),
    GOOD(32, "DS with RPL 3 in an unrestricted guest", OR(GUEST_DS_SEL, 3)),
    KNOWN("Bochs compares it with the DPL", OK, 32, "CS with RPL 3 and DPL 0", OR(GUEST_CS_SEL, 3)),
    GOOD(32, "CR0.CD and NW are not checked", OR(GUEST_CR0, CR0_CD | CR0_NW)),
    GOOD(32, "a limit of 1 MiB counted in bytes", SET(GUEST_DS_LIMIT, 0xfffff),
         CLEAR(GUEST_DS_AR, AR_G)),
    GOOD(32, "blocking by STI while IF is 1", OR(GUEST_RFLAGS, FL_IF),
         SET(GUEST_INTERRUPTIBILITY, BLOCK_STI)),
    GOOD(32, "a single step pending under MOV SS", OR(GUEST_RFLAGS, FL_TF),
         SET(GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS), SET(GUEST_PENDING_DBG, PENDING_DBG_BS)),
    GOOD(PAE, "an absent PDPTE may have any bits", SET(GUEST_PDPTE1, WIDE | 0xe)),
    GOOD(64, "EFER.NXE and SCE", OR(GUEST_EFER, EFER_NXE | EFER_SCE)),
    GOOD(64, "compatibility mode", SET(GUEST_CS_AR, AR_CODE32)),
    GOOD(32, "PAT unused may have any types", CLEAR(ENTRY_CONTROLS, ENTRYC_LOAD_PAT),
         SET(GUEST_PAT, BAD_PAT)),
};
const size_t check_ncases = ARRAY_SIZE(check_cases);
