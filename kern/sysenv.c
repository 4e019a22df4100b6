/*
 * System calls about envs: making, starting, ending and waiting for them.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/pmap.h>
#include <kern/syscall.h>
#include <kern/trap.h>
#include <vmm/guest.h>

int64_t sys_getenvid(void)
{
    return curenv->env_id;
}

int64_t sys_env_destroy(envid_t id)
{
    return env_kill(id);
}

int64_t sys_env_exit(int status)
{
    env_destroy(curenv, status);
    return 0;
}

/* A zombie child with this id (0: any), or NULL; *alive tells if a matching child is still alive.
 * env_lock is held. */
static struct Env *find_zombie(envid_t id, bool *alive)
{
    struct Env *c = env_slot(id);

    if (id == 0) {
        *alive = curenv->env_child != NULL;
        return curenv->env_zombie;
    }
    *alive = c->env_id == id && c->env_parent_id == curenv->env_id && c->env_status != ENV_FREE;
    return *alive && c->env_status == ENV_ZOMBIE ? c : NULL;
}

int64_t sys_env_wait(envid_t id, uintptr_t status, bool nohang)
{
    struct Env *zombie;
    bool alive;

    spin_lock(&env_lock);
    zombie = find_zombie(id, &alive);
    if (!zombie && alive && !nohang) {
        curenv->env_wait_id = id;
        sched_restart();
        sched_block(WAIT_CHILD, 0);
    }
    spin_unlock(&env_lock);
    if (!zombie && alive && !nohang)
        sched_yield();
    if (!zombie)
        return alive ? 0 : -E_BAD_ENV;

    /* Nobody but its parent can make a zombie go away, so it is safe to look at it without the
     * lock. */
    envid_t zombie_id = zombie->env_id;
    if (status && copyout(status, &zombie->env_exit, sizeof(zombie->env_exit)) < 0)
        return -E_FAULT;
    spin_lock(&env_lock);
    env_reap(curenv, zombie);
    spin_unlock(&env_lock);
    return zombie_id;
}

int64_t sys_env_set_name(envid_t id, uintptr_t name)
{
    char buf[ENV_NAME_LEN];
    struct Env *e;
    int r;

    if ((r = envid2env(id, &e, true)) < 0)
        return r;
    if ((r = copyinstr(buf, name, sizeof(buf))) < 0)
        return r;
    strlcpy(e->env_name, buf, sizeof(e->env_name));
    return 0;
}

int64_t sys_exofork(void)
{
    struct Env *e;
    int r;

    if ((r = env_alloc(&e, curenv, ENV_TYPE_USER)) < 0)
        return r;
    env_fpu_save();
    memcpy(e->env_fpu, curenv->env_fpu, sizeof(e->env_fpu));
    e->env_tf = curenv->env_tf;
    e->env_tf.tf_rflags &= ~FL_IOPL;
    e->env_tf.tf_rax = 0;
    e->env_pgfault_upcall = 0;
    return e->env_id;
}

/* A child of the caller, or the caller itself, that has not begun to end. It does not begin to
 * while env_lock is held. */
static int find_child(envid_t id, struct Env **e)
{
    int r = envid2env(id, e, true);

    if (r == 0 && ((*e)->env_status == ENV_DYING || (*e)->env_status == ENV_ZOMBIE))
        return -E_BAD_ENV;
    return r;
}

/* Only an env that waits for nothing else can be started. One that runs on another CPU stops when
 * it leaves that, which happens at once. env_lock is held. */
static void change_status(struct Env *e, uint32_t status)
{
    if (status == ENV_RUNNABLE) {
        e->env_stop = false;
        if (e->env_status == ENV_NOT_RUNNABLE && e->env_wait == WAIT_NONE)
            sched_ready(e);
    } else if (env_on_cpu(e)) {
        e->env_stop = true;
        cpu_kick(&cpus[e->env_cpunum]);
    } else if (e->env_status == ENV_RUNNABLE) {
        sched_remove(e);
        e->env_status = ENV_NOT_RUNNABLE;
    }
}

int64_t sys_env_set_status(envid_t id, uint32_t status)
{
    struct Env *e;
    int r;

    if (status != ENV_RUNNABLE && status != ENV_NOT_RUNNABLE)
        return -E_INVAL;
    spin_lock(&env_lock);
    r = find_child(id, &e);
    if (r == 0 && e != curenv)
        change_status(e, status);
    else if (r == 0 && status != ENV_RUNNABLE)
        r = -E_INVAL;
    spin_unlock(&env_lock);
    return r;
}

/* Force what a user frame must be: user segments and harmless flags, and a way back by IRETQ, which
 * loads all registers. */
static void sanitize(struct Trapframe *tf, const struct Env *e)
{
    tf->tf_trapno = 0;
    tf->tf_err = 0;
    tf->tf_cs = GD_UT | 3;
    tf->tf_ss = GD_UD | 3;
    tf->tf_rflags = (tf->tf_rflags & FL_USER) | FL_ONE | FL_IF | (e->env_tf.tf_rflags & FL_IOPL);
}

/* env_lock is held. */
static int change_trapframe(envid_t id, struct Trapframe *tf)
{
    struct Env *e;
    int r;

    if ((r = find_child(id, &e)) < 0)
        return r;
    if (e != curenv && env_on_cpu(e))
        return -E_BUSY;
    if (e->env_type == ENV_TYPE_GUEST)
        return guest_set_trapframe(e, tf);
    if (tf->tf_rip >= UTOP || tf->tf_rsp > UTOP)
        return -E_INVAL;
    sanitize(tf, e);
    e->env_tf = *tf;
    e->env_call_done = 0;
    return e == curenv;
}

int64_t sys_env_set_trapframe(envid_t id, uintptr_t utf)
{
    struct Trapframe tf;
    int r;

    if ((r = copyin(&tf, utf, sizeof(tf))) < 0)
        return r;
    spin_lock(&env_lock);
    r = change_trapframe(id, &tf);
    spin_unlock(&env_lock);
    if (r == 1)
        env_pop_tf(&curenv->env_tf);
    return r;
}

int64_t sys_env_set_pgfault_upcall(envid_t id, uintptr_t upcall)
{
    struct Env *e;
    int r;

    if ((r = find_child(id, &e)) < 0)
        return r;
    if (upcall >= UTOP)
        return -E_INVAL;
    e->env_pgfault_upcall = upcall;
    return 0;
}
