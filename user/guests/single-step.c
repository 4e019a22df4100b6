/*
 * single-step: RFLAGS.TF over instructions that exit, one #DB after each, as over any other.
 */
#include "rt.h"

const char guest_name[] = "single-step";

#define EXPECTED 10 /* after each instruction from CPUID to the second POPF */

static volatile uint64_t traps;

static void on_debug(struct Trapframe *tf)
{
    (void)tf;
    traps++;
}

#define step_over(call)                                                  \
    asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n\t"                \
                 "cpuid; movl %0, %%eax; " call                          \
                 "; outb %%al, $0x80; movl %1, %%ecx; rdmsr; wbinvd\n\t" \
                 "pushfq; andq $~0x100, (%%rsp); popfq"                  \
                 :                                                       \
                 : "i"(VMX_VMCALL_NULL), "i"(MSR_APIC_BASE)              \
                 : "rax", "rbx", "rcx", "rdx", "memory", "cc")

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trap_handlers[T_DEBUG] = on_debug;
    trying("to step over CPUID, the hypercall, OUT, RDMSR and WBINVD");
    if (hypercall_is_vmmcall)
        step_over("vmmcall");
    else
        step_over("vmcall");
    check(traps == EXPECTED, "%lu traps, not %u", traps, EXPECTED);
    return check_result();
}
