/*
 * The permission maps of ports and MSRs.
 */
#ifndef JOS_VMM_SVM_PERMS_H
#define JOS_VMM_SVM_PERMS_H

#include <inc/types.h>

/* Physical addresses of the permission maps, which all guests share. */
physaddr_t svm_iopm(void);
physaddr_t svm_msrpm(void);
void svm_perms_init(void);

#endif
