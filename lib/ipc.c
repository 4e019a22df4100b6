/*
 * Messages between envs. The kernel does the waiting; this file gives the calls the shape that
 * programs like.
 */
#include <inc/lib.h>

#define NO_PAGE ((void *)UTOP)

void ipc_send(envid_t to, uint64_t value, void *page, uint64_t perm)
{
    int r = sys_ipc_send(to, value, page ? page : NO_PAGE, perm);
    if (r == -E_INVAL)
        panic("ipc_send: page %p with permission %#lx: %e", page, perm, r);
}

int64_t ipc_recv(envid_t *from, void *page, uint64_t *perm)
{
    struct IpcMessage m = { 0 };
    int r = sys_ipc_recv(page ? page : NO_PAGE, 0, &m);
    if (from)
        *from = m.from;
    if (perm)
        *perm = m.perm;
    return r < 0 ? r : (int64_t)m.value;
}

envid_t ipc_find_env(enum EnvType type)
{
    for (int i = 0; i < NENV; i++)
        if (envs[i].env_status != ENV_FREE && envs[i].env_type == type)
            return envs[i].env_id;
    return 0;
}

int ipc_host_send(uint64_t value, void *page, uint64_t perm)
{
    return sys_host_ipc_send(value, page ? page : NO_PAGE, perm);
}

int64_t ipc_host_recv(void *page)
{
    return sys_host_ipc_recv(page ? page : NO_PAGE);
}
