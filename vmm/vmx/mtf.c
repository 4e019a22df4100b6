/*
 * The monitor trap flag (SDM "Monitor Trap Flag"): a VM exit after the next instruction, or before
 * the handler that the instruction or an event has called. It is used where a test finds
 * that the CPU has it and that it works, since a CPU that only claims to have it would let a guest
 * run away, or stand.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/gdb/stub.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/debug/debug.h>
#include <vmm/vmx/asm_vmtry.h>
#include <vmm/vmx/ctls.h>
#include <vmm/vmx/exit.h>
#include <vmm/vmx/mtf.h>
#include <vmm/vmx/run.h>
#include <vmm/vmlife.h>
#include <vmm/gmem.h>
#include <vmm/vmx/vmcs_load.h>

#define OP_NOP       0x90
#define OP_HLT       0xf4
#define TEST_MEMSIZE (4ul << 20)
#define TEST_ENTRY   (1ul << 20)

static enum {
    MTF_UNKNOWN,
    MTF_WORKS,
    MTF_FAILS, /* not there, or not as the manual says */
} mtf;         /* of this machine's CPUs */

static bool is_advertised(void)
{
    return vmx_ctl_capability(CTL_PROC) >> 32 & PROC_MTF;
}

/* A guest with two NOPs, and a HLT that exits if nothing else does. */
static bool prepare(struct Vcpu *v)
{
    static const uint8_t code[] = { OP_NOP, OP_NOP, OP_HLT };
    size_t len = sizeof(code);
    void *hva;
    if (gmem_host(v->vm, TEST_ENTRY, &len, GMEM_WRITE, &hva) < 0 || !vmcs_load(v))
        return false;
    memcpy(hva, code, sizeof(code));
    vmwrite(VMCS_HOST_RIP, (uint64_t)asm_vmtry_exit);
    vmwrite(VMCS_HOST_CR3, rcr3()); /* the monitor's system call goes on after the test */
    vmwrite(VMCS_PIN_CONTROLS, vmx_caps.pin & ~PIN_EXTINT); /* they wait until the test is over */
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc | PROC_MTF);
    vmwrite(VMCS_PREEMPT_TIMER, UINT32_MAX);
    invept(INVEPT_ALL, 0); /* the tables' frames may have been another guest's */
    return true;
}

/* Does the exit come after the first NOP? If another event causes the exit, the test is made again
 * for the next guest. */
static void test(struct Vcpu *v)
{
    if (!prepare(v))
        return;
    bool entered = asm_vmtry() == VMX_OK;
    cpu_load_tables(this_cpu());
    gdb_debug_registers();
    uint64_t reason = entered ? vmread(VMCS_EXIT_REASON) : 0;
    if (entered && reason == EXIT_REASON_EXCEPTION) { /* an NMI: the host's */
        asm volatile("int %0" : : "i"(T_NMI) : "memory");
        return;
    }
    bool works = reason == EXIT_REASON_MTF && vmread(VMCS_GUEST_RIP) == TEST_ENTRY + 1;
    mtf = works ? MTF_WORKS : MTF_FAILS;
    if (!works)
        cprintf("vmm: this CPU's monitor trap flag does not work (%s); guests are stepped by "
                "RFLAGS.TF\n",
                entered ? vmx_reason_words(reason & EXIT_REASON_BASIC) : "the entry fails");
}

void mtf_test(void)
{
    static struct Env env; /* a name for the test's guest */
    struct Vcpu *v;
    if (mtf != MTF_UNKNOWN || vmx_init_vmxon() < 0)
        return;
    if (!is_advertised()) {
        mtf = MTF_FAILS;
        return;
    }
    if (vm_alloc(&v, TEST_MEMSIZE, TEST_ENTRY, 0) < 0)
        return;
    v->env = &env;
    test(v);
    vm_drop(v->vm);
}

bool mtf_step(struct Vcpu *v, bool on)
{
    if (mtf != MTF_WORKS)
        return false;
    vmx(v)->proc = on ? vmx(v)->proc | PROC_MTF : vmx(v)->proc & ~PROC_MTF;
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc);
    return true;
}

bool handle_mtf(struct Vcpu *v)
{
    return vmx_end(v, debug_stepped(v));
}
