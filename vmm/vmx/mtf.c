/*
 * The monitor trap flag (SDM "Monitor Trap Flag"): a VM exit behind the next instruction, or in
 * front of the handler that the instruction or an event has called. It is used where a test finds
 * that the CPU has it and that it works, since a CPU that only claims to have it would let a guest
 * run away, or stand.
 */
#include <vmm/debug/debug.h>
#include <inc/vmtrace.h>
#include <kern/gdb/stub.h>

#define OP_NOP       0x90
#define OP_HLT       0xf4
#define TEST_MEMSIZE (4ul << 20)
#define TEST_ENTRY   (1ul << 20)

extern char asm_vmtry_exit[];
int asm_vmtry(void);

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
static bool prepare(struct Guest *g)
{
    static const uint8_t code[] = { OP_NOP, OP_NOP, OP_HLT };
    size_t len = sizeof code;
    void *hva;
    if (gmem_host(g, TEST_ENTRY, &len, GMEM_WRITE, &hva) < 0 || !vmcs_load(g))
        return false;
    memcpy(hva, code, sizeof code);
    vmwrite(VMCS_HOST_RIP, (uint64_t)asm_vmtry_exit);
    vmwrite(VMCS_HOST_CR3, rcr3()); /* the monitor's system call goes on behind the test */
    vmwrite(VMCS_PIN_CONTROLS, vmx_caps.pin & ~PIN_EXTINT); /* they wait until the test is over */
    vmwrite(VMCS_PROC_CONTROLS, g->proc | PROC_MTF);
    vmwrite(VMCS_PREEMPT_TIMER, UINT32_MAX);
    invept(INVEPT_ALL, 0); /* the tables' frames may have been another guest's */
    return true;
}

/* Does the exit come behind the first NOP? Another one than the test is about leaves it open. */
static void test(struct Guest *g)
{
    if (!prepare(g))
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
                entered ? vmexit_words(reason & EXIT_REASON_BASIC) : "the entry fails");
}

void mtf_test(void)
{
    static struct Env env; /* a name for the test's guest */
    struct Guest *g;
    if (mtf != MTF_UNKNOWN || vmx_init_vmxon() < 0)
        return;
    if (!is_advertised()) {
        mtf = MTF_FAILS;
        return;
    }
    if (guest_alloc(&g, TEST_MEMSIZE, TEST_ENTRY, 0) < 0)
        return;
    g->env = &env;
    test(g);
    guest_drop(g);
}

bool mtf_works(void)
{
    return mtf == MTF_WORKS;
}

void mtf_set(struct Guest *g, bool on)
{
    g->proc = on ? g->proc | PROC_MTF : g->proc & ~PROC_MTF;
    vmwrite(VMCS_PROC_CONTROLS, g->proc);
}

/* The exit comes before the guest's own debug traps, which wait (SDM "Monitor Trap Flag"); of
 * those, the debugger's watchpoints are reported with the step. */
bool handle_mtf(struct Guest *g)
{
    if (!debug_steps(g))
        return resume(g);
    uint64_t pending = vmread(VMCS_GUEST_PENDING_DBG);
    uint64_t ours = debug_hw_hits(g->debug, pending);
    if (debug_owns_drs(g)) /* what its registers find is not the guest's */
        vmwrite(VMCS_GUEST_PENDING_DBG,
                pending & ~(uint64_t)(DR6_BREAKPOINTS | PENDING_DBG_ENABLED));
    step_end(g, true);
    return debug_stop(g, ours ? DEBUG_HW : DEBUG_STEPPED, ours);
}
