/*
 * Which back end this machine has.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <vmm/backend.h>

const struct Backend *backend = &vmx_backend;
struct Stage2Format stage2;
struct GuestFeatures guest_features;

/* LAB project cut */
#define WHY_MAX 256

/* A CPU has one of the two at most. */
void backend_choose(void)
{
    char why[WHY_MAX];
    if (backend->check(why, sizeof(why)) < 0 && svm_backend.check(why, sizeof(why)) == 0)
        backend = &svm_backend;
}

/* LAB project end */
int backend_check(char *why, size_t size)
{
    int r = backend->check(why, size);
    /* LAB project cut */
    char other[WHY_MAX];
    if (r < 0 && svm_backend.check(other, sizeof(other)) < 0) {
        size_t n = strlen(why);
        snprintf(why + n, size - n, ". For AMD's SVM: %s", other);
    }
    /* LAB project end */
    return r;
}
