/*
 * triple-fault: an exception without an IDT. It must end this guest, with the reason, and nothing
 * else.
 */
#include "rt.h"

const char guest_name[] = "triple-fault";

/* This guest ends before it makes a hypercall, and the lab runs it while CPUID's exit is still an
 * exercise. */
bool guest_has_vmmcall(void)
{
    return false;
}

int guest_main(const struct MultibootInfo *info)
{
    struct Pseudodesc empty = { 0, 0 };
    (void)info;
    trying("an undefined instruction without an IDT");
    asm volatile("lidt %0; ud2" : : "m"(empty));
    check_failed("the guest survived a triple fault");
    return check_result();
}
