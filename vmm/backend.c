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

/* A CPU has one of the two at most. Where neither works, that of its maker says why. */
void backend_choose(void)
{
    /* LAB project cut */
    char why[256];
    if (backend->check(why, sizeof(why)) == 0)
        return;
    if (svm_backend.check(why, sizeof(why)) == 0)
        backend = &svm_backend;
    /* LAB project end */
}
