/*
 * Which back end this machine has.
 */
#include <inc/stdio.h>
#include <inc/error.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <vmm/backend.h>
#include <vmm/guest.h>

const struct Backend *backend = &vmx_backend;
struct Stage2Format stage2;
struct GuestFeatures guest_features;

void backend_choose(void)
{
}
