/*
 * double-fault: an exception whose gate is not there becomes a double fault, which arrives with
 * error code 0 on the stack that its gate names.
 */
#include "rt.h"

const char guest_name[] = "double-fault";

#define GATE_PRESENT 0x80

static uint8_t stack[4096] __attribute__((aligned(16)));

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("an undefined instruction that has no gate, nor has #NP");
    set_ist(T_DBLFLT, 1, stack + sizeof(stack));
    rt_idt[T_ILLOP].type_dpl_p &= ~GATE_PRESENT;
    rt_idt[T_SEGNP].type_dpl_p &= ~GATE_PRESENT;
    int v = CATCH("ud2", 0, 0, 0);
    check(v == T_DBLFLT, "trap %d instead of a double fault", v);
    check(caught.err == 0, "error code 0x%lx", caught.err);
    return check_result();
}
