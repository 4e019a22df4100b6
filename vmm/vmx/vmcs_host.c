/*
 * The host-state area: what the CPU loads at each VM exit (SDM "Host-State Area"). It is this CPU's
 * own state, so it is written again when a VMCS comes to another CPU.
 */
#include <vmm/vmx/vmcs_guest.h>
#include <kern/gdb/stub.h>
#include <vmm/msr.h>
#include <vmm/vmx/asm_vmrun.h>
#include <vmm/vmx/vmcs_host.h>
#include <vmm/vmx/vmx.h>

static uint64_t idt_base(void)
{
    struct Pseudodesc d;
    asm volatile("sidt %0" : "=m"(d));
    return d.base;
}

void vmcs_host_init(struct Vcpu *v)
{
    struct Cpu *cpu = this_cpu();
    vmwrite(VMCS_HOST_CS_SEL, GD_KT);
    vmwrite(VMCS_HOST_SS_SEL, GD_KD);
    vmwrite(VMCS_HOST_DS_SEL, 0);
    vmwrite(VMCS_HOST_ES_SEL, 0);
    vmwrite(VMCS_HOST_FS_SEL, 0);
    vmwrite(VMCS_HOST_GS_SEL, 0);
    vmwrite(VMCS_HOST_TR_SEL, GD_TSS0);
    vmwrite(VMCS_HOST_CR0, rcr0());
    vmwrite(VMCS_HOST_CR3, kern_cr3);
    vmwrite(VMCS_HOST_CR4, rcr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    if (vmx_caps.exit & EXITC_LOAD_PAT)
        vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    /* An exit sets the limits of GDTR and IDTR to 0xffff; the bases come from here. */
    vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)cpu->cpu_gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, idt_base());
    vmwrite(VMCS_HOST_TR_BASE, (uint64_t)&cpu->cpu_tss);
    vmwrite(VMCS_HOST_FS_BASE, 0); /* as user code has it, which cannot set it */
    vmwrite(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
    vmwrite(VMCS_HOST_SYSENTER_CS, rdmsr(MSR_SYSENTER_CS));
    vmwrite(VMCS_HOST_SYSENTER_ESP, rdmsr(MSR_SYSENTER_ESP));
    vmwrite(VMCS_HOST_SYSENTER_EIP, rdmsr(MSR_SYSENTER_EIP));
    vmwrite(VMCS_HOST_RIP, (uint64_t)(gdb_on ? gdb_vmexit_entry : asm_vmexit_entry));
    vmx(v)->host_rsp = 0;
    for (int i = 0; switched_msrs[i] != 0; i++) {
        uint32_t msr = switched_msrs[i];
        bool have = msr != MSR_TSC_AUX || (vmx_caps.proc2 & PROC2_RDTSCP);
        vmx(v)->host_msrs[i] = (struct MsrEntry){ .index = msr, .value = have ? rdmsr(msr) : 0 };
    }
}
