/*
 * The calls from the kernel up to the VMM.
 */
#include <kern/hooks.h>

struct GuestHooks guest_hooks;

void guest_hooks_register(const struct GuestHooks *hooks)
{
    guest_hooks = *hooks;
}
