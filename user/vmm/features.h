/*
 * Features of a guest's CPU on the command line of vmm.
 */
#ifndef JOS_USER_VMM_FEATURES_H
#define JOS_USER_VMM_FEATURES_H

#include <inc/cpufeatures.h>

/* -C FEATURE=off: add it to *off. 0; -E_INVAL after a sentence. */
int features_option(struct CpuWords *off, const char *arg);
/* Is there any? */
bool features_any(const struct CpuWords *off);

#endif
