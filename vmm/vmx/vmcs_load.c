/*
 * Which VMCS is current on which CPU.
 */
#include <kern/flush.h>
#include <kern/ipi.h>
#include <inc/stdio.h>
#include <vmm/vmx/vmcs_guest.h>
#include <vmm/vmx/vmcs_host.h>
#include <vmm/kill.h>
#include <vmm/vmx/vmcs_load.h>

/* This CPU, which has the vCPU's VMCS, puts it down. */
static void put_down(struct Vcpu *v)
{
    enum VmxResult r = vmclear(PADDR(vmx(v)->vmcs));
    if (r != VMX_OK)
        cprintf("vmm: VMCLEAR failed: %s\n", vmx_result_words(r));
    if (vmcs_owner() == v)
        this_cpu()->cpu_vmcs_guest = NULL;
    vmx(v)->launched = false;
    __atomic_store_n(&vmx(v)->vmcs_cpu, -1, __ATOMIC_RELEASE);
}

void vmx_put_down(void)
{
    struct Cpu *c = this_cpu();
    struct Vcpu *v = c->cpu_vmcs_wanted;
    if (!v)
        return;
    if (vmx(v)->vmcs_cpu == (int)c->cpu_num)
        put_down(v);
    __atomic_store_n(&c->cpu_vmcs_wanted, NULL, __ATOMIC_RELEASE);
}

/* Ask the CPU that has the vCPU's VMCS to put it down, and wait. One request at a time fits there.
 */
static void __attribute__((noinline, cold)) fetch(struct Vcpu *v, struct Cpu *c)
{
    struct Vcpu *none = NULL;
    while (!__atomic_compare_exchange_n(&c->cpu_vmcs_wanted, &none, v, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
        none = NULL;
        cpu_flush_poll();
        cpu_pause();
    }
    cpu_flush_remote(c);
}

/*
 * A VMCS is active on at most one CPU, and with several CPUs at most one is active on each: the run
 * loop unloads it each time the guest leaves its CPU, except that it stays while the guest's
 * monitor has the CPU to answer an exit. If the monitor does something else instead, the CPU's next
 * guest, or the CPU that wants this one, takes it off.
 */
void vmcs_unload(struct Vcpu *v)
{
    int cpu = __atomic_load_n(&vmx(v)->vmcs_cpu, __ATOMIC_ACQUIRE);
    if (cpu == (int)this_cpu()->cpu_num)
        put_down(v);
    else if (cpu >= 0)
        fetch(v, &cpus[cpu]);
}

/* Make the vCPU's VMCS current on this CPU. false: v has been ended. */
static bool make_current(struct Vcpu *v)
{
    enum VmxResult r = vmptrld(PADDR(vmx(v)->vmcs));
    if (r != VMX_OK)
        guest_kill(v, "VMPTRLD failed: %s", vmx_result_words(r));
    return r == VMX_OK;
}

/* Likewise where another guest's is current, and has to be as it was when that guest comes back. */
static bool vmcs_switch(struct Vcpu *v)
{
    /* LAB C begin: vmcs_switch */
    return make_current(v); /* the other one stays active on this CPU */
    /* LAB C end */
}

/* The same, where the vCPU's VMCS is on no CPU or on this one, and whatever is current. */
static bool activate(struct Vcpu *v)
{
    struct Cpu *cpu = this_cpu();
    if (vmx(v)->vmcs_cpu < 0) {
        *(uint32_t *)vmx(v)->vmcs = vmx_caps.revision;
        enum VmxResult r = vmclear(PADDR(vmx(v)->vmcs));
        if (r != VMX_OK) {
            guest_kill(v, "VMCLEAR failed: %s", vmx_result_words(r));
            return false;
        }
        vmx(v)->launched = false;
    }
    if (!(!cpu->cpu_vmcs_guest ? make_current(v) : vmcs_switch(v)))
        return false;
    cpu->cpu_vmcs_guest = v;
    return true;
}

bool vmcs_load(struct Vcpu *v)
{
    struct Cpu *cpu = this_cpu();
    if (vmcs_is_current(v))
        return true;
    if (ncpu > 1 && cpu->cpu_vmcs_guest)
        put_down(cpu->cpu_vmcs_guest);
    if (vmx(v)->vmcs_cpu >= 0 && vmx(v)->vmcs_cpu != (int)cpu->cpu_num)
        vmcs_unload(v);
    if (!activate(v))
        return false;
    if (vmx(v)->vmcs_cpu < 0) {
        vmx(v)->vmcs_cpu = cpu->cpu_num;
        vmcs_host_init(v);
        if (v->last_cpu != cpu->cpu_num) /* translations of an earlier stay here may be stale */
            vcpu_attn(v, ATTN_STAGE2_FLUSH | ATTN_TLB_FLUSH);
        v->last_cpu = cpu->cpu_num;
    }
    if (!vmx(v)->vmcs_ready) {
        vmcs_guest_init(v);
        vmx(v)->vmcs_ready = true;
    }
    return !v->doomed;
}

bool vmcs_borrow(struct Vcpu *v)
{
    struct Cpu *cpu = this_cpu();
    if (ncpu > 1 && cpu->cpu_vmcs_guest)
        vmcs_unload(cpu->cpu_vmcs_guest);
    if (vmx(v)->vmcs_cpu != (int)cpu->cpu_num)
        vmcs_unload(v);
    if (vmptrld(PADDR(vmx(v)->vmcs)) != VMX_OK)
        return false;
    cpu->cpu_vmcs_guest = NULL; /* whoever runs next loads its own */
    return true;
}

void vmcs_give_back(struct Vcpu *v)
{
    enum VmxResult r = vmx(v)->vmcs_cpu < 0 ? vmclear(PADDR(vmx(v)->vmcs)) : VMX_OK;
    if (r != VMX_OK)
        cprintf("vmm: VMCLEAR failed: %s\n", vmx_result_words(r));
}
