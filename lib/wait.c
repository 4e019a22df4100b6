/*
 * Waiting for a child to end.
 */
#include <inc/lib.h>

int wait(envid_t child)
{
    int status = 0;
    envid_t id = sys_env_wait(child, &status, false);
    return id < 0 ? id : status;
}
