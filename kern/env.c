/*
 * The env table, and the way from an id to an env. How envs come and go is in kern/envlife.c.
 */
#include <inc/error.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/spinlock.h>

struct Env envs[NENV] __attribute__((section(".bss.envs"), aligned(PGSIZE)));
struct spinlock env_table_lock = SPINLOCK_INIT("env table");
struct spinlock env_locks[NENV];
struct spinlock env_mem_locks[NENV];

static envid_t file_server; /* set once, at boot */

bool env_lock_both(const struct Env *held, const struct Env *e)
{
    if (held < e) {
        env_lock(e);
        return true;
    }
    env_unlock(held);
    env_lock(e);
    env_lock(held);
    return false;
}

/* Without a lock: whoever needs to know that the env of this id is still there locks it and asks
 * again. A child that was found stays until the caller, its parent, has read its status. */
int envid2env(envid_t id, struct Env **store, bool checkperm)
{
    struct Env *e;
    uint32_t status;

    if (id == 0) {
        *store = curenv;
        return 0;
    }
    *store = NULL;
    if (id < 0)
        return -E_BAD_ENV;
    e = env_slot(id);
    status = READ_ONCE(e->env_status);
    if (READ_ONCE(e->env_id) != id || status == ENV_FREE || status == ENV_DYING)
        return -E_BAD_ENV;
    if (checkperm && e != curenv && READ_ONCE(e->env_parent_id) != curenv->env_id)
        return -E_BAD_ENV;
    *store = e;
    return 0;
}

void env_is_file_server(const struct Env *e)
{
    file_server = e->env_id;
}

struct Env *env_file_server(void)
{
    struct Env *e = env_slot(READ_ONCE(file_server));

    return READ_ONCE(e->env_id) == file_server && env_is_alive(e) ? e : NULL;
}
