/*
 * The kernel's decoder of MOV beside the monitor's.
 */
#ifndef JOS_USER_VMM_HOST_APICMOV_H
#define JOS_USER_VMM_HOST_APICMOV_H

#include <user/vmm/insn/insn.h>

/* Both decode n bytes, at most GUEST_INSN_MAX, of code of 16, 32 or 64 bits. */
void apicmov_compare(const uint8_t *bytes, unsigned n, unsigned bits);

#endif
