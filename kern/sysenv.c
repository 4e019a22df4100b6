/*
 * System calls about envs: making, starting, ending and waiting for them.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/frame.h>
#include <kern/hooks.h>
#include <kern/intkey.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/sysenv.h>
#include <kern/trapentry.h>
#include <kern/uaccess.h>
#include <kern/xstate.h>

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
 * env_table_lock is held. */
static struct Env *find_zombie(envid_t id, bool *alive)
{
    struct Env *c = env_slot(id);
    uint32_t status;

    if (id == 0) {
        *alive = curenv->env_child != NULL;
        return curenv->env_zombie;
    }
    status = READ_ONCE(c->env_status);
    *alive = c->env_id == id && c->env_parent_id == curenv->env_id && status != ENV_FREE;
    return *alive && status == ENV_ZOMBIE ? c : NULL;
}

/* env_table_lock is held, so the child does not end before e waits. If e is interrupted meanwhile,
 * it does not wait, but comes again. */
static void await_child(struct Env *e, envid_t id)
{
    env_lock(e);
    WRITE_ONCE(e->env_wait_id, id);
    sched_restart();
    if (!e->env_interrupted)
        sched_block(WAIT_CHILD, 0);
    env_unlock(e);
}

static bool power_pressed; /* and init has not heard of it; under env_table_lock */

static struct Env *find_init(void)
{
    for (struct Env *e = envs; e < envs + NENV; e++)
        if (e->env_type == ENV_TYPE_INIT && env_is_alive(e))
            return e;
    return NULL;
}

void sysenv_press_power(void)
{
    spin_lock(&env_table_lock);
    power_pressed = true;
    struct Env *init = find_init();
    if (init) {
        env_lock(init);
        if (init->env_wait == WAIT_CHILD)
            sched_wake_at_once(init);
        env_unlock(init);
    }
    spin_unlock(&env_table_lock);
}

/* Does the caller have to be told? env_table_lock is held. */
static bool take_power_press(void)
{
    if (!power_pressed || curenv->env_type != ENV_TYPE_INIT)
        return false;
    power_pressed = false;
    return true;
}

int64_t sys_env_wait(envid_t id, uintptr_t status, bool nohang)
{
    struct Env *zombie;
    bool alive;

    if (!nohang && __builtin_expect(intkey_take(), 0))
        return -E_INTR;
    spin_lock(&env_table_lock);
    if (__builtin_expect(take_power_press(), 0)) {
        spin_unlock(&env_table_lock);
        return -E_POWER;
    }
    zombie = find_zombie(id, &alive);
    if (!zombie && alive && !nohang)
        await_child(curenv, id);
    spin_unlock(&env_table_lock);
    if (!zombie && alive && !nohang)
        sched_yield();
    if (!zombie)
        return alive ? 0 : -E_BAD_ENV;

    /* Nobody but its parent can make a zombie go away, so it is safe to look at it without the
     * lock. */
    envid_t zombie_id = zombie->env_id;
    if (status && copyout(status, &zombie->env_exit, sizeof(zombie->env_exit)) < 0)
        return -E_FAULT;
    spin_lock(&env_table_lock);
    env_reap(curenv, zombie);
    spin_unlock(&env_table_lock);
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
    spin_lock(&env_table_lock); /* a child that e makes meanwhile inherits the name */
    strlcpy(e->env_name, buf, sizeof(e->env_name));
    spin_unlock(&env_table_lock);
    return 0;
}

/* The new env e, which somebody may be ending already, gets extended state. */
static void give_xstate(struct Env *e, struct XsaveArea *xstate)
{
    env_lock(e);
    bool alive = env_is_alive(e);
    if (alive)
        e->env_xstate = xstate;
    env_unlock(e);
    if (!alive)
        page_drop(xstate);
}

int64_t sys_exofork(void)
{
    struct XsaveArea *xstate;
    struct Env *e;
    int r;

    if ((r = xstate_copy(&xstate)) < 0)
        return r;
    if ((r = env_alloc(&e, curenv, ENV_TYPE_USER)) < 0) {
        page_drop(xstate);
        return r;
    }
    if (xstate)
        give_xstate(e, xstate);
    env_fpu_save();
    memcpy(e->env_fpu, curenv->env_fpu, sizeof(e->env_fpu));
    e->env_tf = curenv->env_tf;
    e->env_tf.tf_rflags &= ~FL_IOPL;
    e->env_tf.tf_rax = 0;
    e->env_pgfault_upcall = 0;
    return e->env_id;
}

/* Lock a child of the caller, or the caller itself, that has not begun to end; it does not while it
 * is locked. -E_BAD_ENV, and nothing is locked. */
static int lock_child(envid_t id, struct Env **e)
{
    int r = envid2env(id, e, true);

    if (r < 0)
        return r;
    env_lock(*e);
    if (env_is_alive(*e))
        return 0;
    env_unlock(*e);
    return -E_BAD_ENV;
}

/* Only an env that waits for nothing else can be started. One that runs on another CPU stops when
 * it leaves that, which happens at once. e is locked. */
static void change_status(struct Env *e, uint32_t status)
{
    if (status != ENV_RUNNABLE) {
        sched_mark(e, ENV_MARK_STOP);
        return;
    }
    WRITE_ONCE(e->env_marks, e->env_marks & ~ENV_MARK_STOP);
    if (READ_ONCE(e->env_status) == ENV_NOT_RUNNABLE && e->env_wait == WAIT_NONE && !env_has_cpu(e))
        sched_ready(e);
}

int64_t sys_env_set_status(envid_t id, uint32_t status)
{
    struct Env *e;
    int r;

    if (status != ENV_RUNNABLE && status != ENV_NOT_RUNNABLE)
        return -E_INVAL;
    if ((r = lock_child(id, &e)) < 0)
        return r;
    if (e != curenv)
        change_status(e, status);
    else if (status != ENV_RUNNABLE)
        r = -E_INVAL;
    env_unlock(e);
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

/* e is locked. */
static int change_trapframe(struct Env *e, struct Trapframe *tf)
{
    if (e->env_type == ENV_TYPE_GUEST)
        return guest_hooks.set_trapframe(e, tf);
    if (tf->tf_rip >= UTOP || tf->tf_rsp > UTOP)
        return -E_INVAL;
    sanitize(tf, e);
    e->env_tf = *tf;
    e->env_call_done = 0;
    return 0;
}

/* The same for an env other than the current one, which may be about to get a CPU. */
static int change_other_trapframe(struct Env *e, struct Trapframe *tf)
{
    enum SchedPlace place = sched_mark(e, 0);
    int r = place == SCHED_HAS_CPU ? -E_BUSY : change_trapframe(e, tf);

    if (r == 0)
        env_fpu_reset(e);
    if (place == SCHED_QUEUED)
        sched_ready(e);
    return r;
}

int64_t sys_env_set_trapframe(envid_t id, uintptr_t utf)
{
    struct Trapframe tf;
    struct Env *e;
    int r;

    if ((r = copyin(&tf, utf, sizeof(tf))) < 0)
        return r;
    if ((r = lock_child(id, &e)) < 0)
        return r;
    r = e == curenv ? change_trapframe(e, &tf) : change_other_trapframe(e, &tf);
    env_unlock(e);
    if (r == 0 && e == curenv)
        env_pop_tf(&e->env_tf);
    return r;
}

int64_t sys_env_set_pgfault_upcall(envid_t id, uintptr_t upcall)
{
    struct Env *e;
    int r;

    if ((r = lock_child(id, &e)) < 0)
        return r;
    if (upcall >= UTOP)
        r = -E_INVAL;
    else
        WRITE_ONCE(e->env_pgfault_upcall, upcall);
    env_unlock(e);
    return r;
}
