/*
 * Which back end this machine has.
 */
#include <vmm/backend.h>

const struct Backend *backend = &vmx_backend;
struct Stage2Format stage2;
struct GuestFeatures guest_features;

/* LAB project cut */
/* A CPU has one of the two at most. Where neither works, that of its maker says why. */
void backend_choose(void)
{
    char why[256];
    if (backend->check(why, sizeof(why)) == 0)
        return;
    if (svm_backend.check(why, sizeof(why)) == 0)
        backend = &svm_backend;
}
/* LAB project end */
