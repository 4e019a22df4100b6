/*
 * VMX instructions and the fields of the current VMCS. VMREAD and VMWRITE are inline, since every
 * exit needs several; a failure goes to vmcs_access_failed, which says in words which field it was
 * and ends the guest.
 */
#ifndef JOS_VMM_VMX_VMCS_H
#define JOS_VMM_VMX_VMCS_H

#include <vmm/vmx/vmcs_fields.h>
#include <kern/cpu.h>
#include <vmm/vmx/vmx.h>

/* How a VMX instruction ended (SDM "Conventions"). */
enum VmxResult {
    VMX_OK = 0,
    VMX_FAIL_INVALID, /* no current VMCS */
    VMX_FAIL_VALID,   /* the reason is in VMCS_INSTRUCTION_ERROR */
};

/* Report a failed VMREAD or VMWRITE and end the guest whose VMCS is current. */
void vmcs_access_failed(const char *insn, enum VmcsField field) __attribute__((cold));

static inline uint64_t vmread(enum VmcsField field)
{
    uint64_t v;
    bool failed;
    asm volatile("vmread %2, %0" : "=r"(v), "=@ccbe"(failed) : "r"((uint64_t)field) : "memory");
    if (__builtin_expect(failed, 0)) {
        vmcs_access_failed("VMREAD", field);
        return 0;
    }
    return v;
}

static inline void vmwrite(enum VmcsField field, uint64_t v)
{
    bool failed;
    asm volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(v), "r"((uint64_t)field) : "memory");
    if (__builtin_expect(failed, 0))
        vmcs_access_failed("VMWRITE", field);
}

/* Read a field that this CPU may lack. false: it does, and the VM-instruction error has changed. */
static inline bool vmread_optional(enum VmcsField field, uint64_t *value)
{
    bool failed;
    asm volatile("vmread %2, %0"
                 : "=r"(*value), "=@ccbe"(failed)
                 : "r"((uint64_t)field)
                 : "memory");
    return !failed;
}

/*
 * vmread and vmwrite for the exit path itself: each exit reads half a dozen fields. These accesses
 * cannot fail: the exit has just come by the current VMCS, so there is one, and every CPU on which
 * vmx_init_vmxon succeeds has these fields and lets this kind of access through (SDM "VMREAD",
 * "VMWRITE"). Fields that a CPU may lack need vmread and vmwrite.
 */
static inline uint64_t vmread_known(enum VmcsField field)
{
    uint64_t v;
    asm volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)field) : "cc");
    return v;
}

static inline void vmwrite_known(enum VmcsField field, uint64_t v)
{
    asm volatile("vmwrite %0, %1" : : "r"(v), "r"((uint64_t)field) : "cc");
}

/* VMXON, VMCLEAR and VMPTRLD take the address of a variable that holds a physical address. */
#define VMX_POINTER_INSN(name)                                                          \
    static inline enum VmxResult name(physaddr_t pa)                                    \
    {                                                                                   \
        bool carry, zero;                                                               \
        asm volatile(#name " %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(pa) : "memory"); \
        return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;               \
    }
VMX_POINTER_INSN(vmxon)
VMX_POINTER_INSN(vmclear)
VMX_POINTER_INSN(vmptrld)
#undef VMX_POINTER_INSN

/* Drop cached translations through EPT: of one EPTP, or all (eptp is ignored). */
static inline void invept(enum InveptType type, uint64_t eptp)
{
    uint64_t desc[2] = { eptp, 0 };
    asm volatile("invept %0, %1" : : "m"(desc), "r"((uint64_t)type) : "memory", "cc");
}

/* Drop cached linear and combined translations of one VPID, or all. */
static inline void invvpid(enum InvvpidType type, uint16_t vpid)
{
    uint64_t desc[2] = { vpid, 0 };
    asm volatile("invvpid %0, %1" : : "m"(desc), "r"((uint64_t)type) : "memory", "cc");
}

/* All fields, in the order of VMCS_FIELD_LIST. */
struct VmcsFieldName {
    enum VmcsField encoding;
    const char *name;
};
extern const struct VmcsFieldName vmcs_fields[VMCS_NFIELDS];
/* Name of a field. */
const char *vmcs_field_name(enum VmcsField field);
/* Print the guest-state area of the current VMCS: after an entry that was refused because of it. */
void vmcs_dump_guest(void);
/* Words for VMCS_INSTRUCTION_ERROR. */
const char *vmx_error_words(uint32_t error);
/* Words for a result; reads the error number from the current VMCS. */
const char *vmx_result_words(enum VmxResult r);

#endif
