/*
 * EPT violations: what is RAM is decided in vmm/gmem.c, what is not belongs to the monitor.
 */
#include <vmm/apic_mmio.h>
#include <vmm/backend.h>
#include <vmm/ept.h>
#include <vmm/stop.h>
#include <vmm/vmx/exit_ept.h>
#include <vmm/vmx/exits.h>
#include <vmm/vmx/inject.h>
#include <vmm/kill.h>
#include <vmm/gmem.h>
#include <vmm/verdict.h>
#include <vmm/vmx/run.h>
#include <vmm/vmx/state.h>

_Static_assert(QUAL_EPT_READ == GUEST_READ && QUAL_EPT_WRITE == GUEST_WRITE &&
                   QUAL_EPT_FETCH == GUEST_FETCH,
               "the qualification's bits");

/* One kind of access: a read-modify-write is a write. */
static uint32_t access_of(uint64_t qual)
{
    return qual & QUAL_EPT_FETCH ? GUEST_FETCH : qual & QUAL_EPT_WRITE ? GUEST_WRITE : GUEST_READ;
}

/* An access to the local APIC's page. */
static bool __attribute__((noinline)) handle_apic(struct Vcpu *v, gpa_t gpa, uint64_t qual)
{
    uint64_t cs = vmread_known(VMCS_GUEST_CS_AR), va = vmread_known(VMCS_GUEST_RIP);
    uint32_t access = access_of(qual), code = 64 | CODE_LEVEL4;
    if (v->event.info != 0)
        access |= APIC_DELIVERS;
    if (!(qual & QUAL_EPT_FINAL))
        access |= APIC_WALKS;
    if (!(cs & AR_L) || !(vmread_known(VMCS_GUEST_EFER) & EFER_LMA)) {
        code = (cs & VSEG_DB ? 32 : 16);
        va = (uint32_t)(va + vmread_known(VMCS_GUEST_CS_BASE));
    }
    uint32_t length = apic_access(v, gpa, access, va, vmread_known(VMCS_GUEST_CR3), code);
    return length > 0 ? vmx_skip_by(v, length) : vmx_leave(v);
}

bool handle_eptviolation(struct Vcpu *v)
{
    gpa_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    keep_vectored_event(v);
    if (apic_has_gpa(v, gpa))
        return handle_apic(v, gpa, qual);
    if (!gmem_is_ram(v->vm, gpa, 1)) {
        if (v->event.info != 0)
            guest_kill(v,
                       "the delivery of an exception or interrupt needs gpa 0x%lx, where there is "
                       "no memory",
                       gpa);
        else
            guest_stop_mmio(v, gpa, access_of(qual));
        return vmx_leave(v);
    }
    if (__builtin_expect(qual & QUAL_EPT_NMI_UNBLOCKED, 0))
        block_nmis_again(v);
    return gmem_fault(v, gpa, qual & QUAL_EPT_ACCESS) == DO_AGAIN ? vmx_resume(v) : vmx_leave(v);
}

/* Never by what the VMM writes: something else has changed the table. */
bool handle_eptmisconfig(struct Vcpu *v)
{
    gpa_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    uint64_t *entry = NULL;
    spin_lock(&v->vm->mem_lock);
    int r = ept_lookup_gpa(v->vm, gpa, false, &entry);
    uint64_t value = r < 0 ? 0 : *entry;
    spin_unlock(&v->vm->mem_lock);
    guest_kill(v, "EPT misconfiguration at gpa 0x%lx: entry 0x%lx", gpa, value);
    return vmx_leave(v);
}
