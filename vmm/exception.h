/*
 * An intercepted exception, as the back end has decoded it.
 */
#ifndef JOS_VMM_EXCEPTION_H
#define JOS_VMM_EXCEPTION_H

#include <inc/types.h>

struct VcpuException {
    int vector;
    uint32_t info;    /* EVENT_* */
    uint32_t error;   /* its error code, if EVENT_ERROR_VALID */
    uint32_t length;  /* of the instruction, for software exceptions */
    uint64_t address; /* of a #PF: linear; of a #DB: its causes, as DR6 has them */
};

#endif
