/*
 * The life of envs: slots, families, the end. Loading of the programs that are embedded in the
 * kernel is in kern/embed.c.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cmdline.h>
#include <kern/cpu.h>
#include <kern/dev/poweroff.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/envlist.h>
#include <kern/hooks.h>
#include <kern/ipc.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/sysdev.h>
#include <kern/waiters.h>
#include <kern/xstate.h>

#define WORD_BITS 64

/* Under env_table_lock: */
static uint64_t slots_used[NENV / WORD_BITS]; /* a bit for each slot */
static envid_t last_id[NENV];                 /* of the slot's last owner */
static uint32_t env_used;

#define GENERATION_STEP NENV
#define GENERATION_MAX  0x7fffffff

/* Registers of the x87 unit and SSE after FNINIT and as the ABI wants MXCSR (FXSAVE layout). */
#define FXSAVE_FCW   0
#define FXSAVE_MXCSR 24
#define FCW_INIT     0x37f
#define MXCSR_INIT   0x1f80

/* Are all slots free that share their frames with slot i? */
static bool page_is_free(uint32_t i)
{
    uint64_t slots = ((1ul << ENVS_PER_PAGE) - 1) << ROUNDDOWN(i, ENVS_PER_PAGE) % WORD_BITS;

    return !(slots_used[i / WORD_BITS] & slots);
}

/* The lowest free slot, so that the table takes few frames. -E_NO_FREE_ENV, -E_NO_MEM. */
static int slot_alloc(struct Env **store, const struct Env *parent)
{
    uint32_t w = 0, i;
    int r;

    if (env_used >= NENV - RESERVED_ENVS && parent && !parent->env_vital)
        return -E_NO_FREE_ENV;

    while (w < NENV / WORD_BITS && slots_used[w] == ~0ul)
        w++;
    if (w == NENV / WORD_BITS)
        return -E_NO_FREE_ENV;
    i = w * WORD_BITS + __builtin_ctzll(~slots_used[w]);
    if (page_is_free(i) && (r = envs_back(&envs[i])) < 0)
        return r;
    slots_used[w] |= 1ul << i % WORD_BITS;
    WRITE_ONCE(env_used, env_used + 1);
    *store = &envs[i];
    return 0;
}

static void slot_free(struct Env *e)
{
    uint32_t i = e - envs;

    WRITE_ONCE(e->env_status, ENV_FREE);
    last_id[i] = e->env_id;
    slots_used[i / WORD_BITS] &= ~(1ul << i % WORD_BITS);
    if (page_is_free(i))
        envs_unback(e);
    WRITE_ONCE(env_used, env_used - 1); /* last: who sees it finds the frames free */
}

uint32_t env_nused(void)
{
    return READ_ONCE(env_used);
}

/* The id of the slot's next owner: never 0, never negative, never the one before. */
static envid_t next_id(const struct Env *e)
{
    uint32_t i = e - envs;
    int64_t id = ((int64_t)last_id[i] | (NENV - 1)) + 1 + i;

    return id <= GENERATION_MAX ? id : GENERATION_STEP + i;
}

/* list: env_child or env_zombie of the parent. */
static void family_join(struct Env **list, struct Env *e)
{
    e->env_sib_prev = NULL;
    e->env_sib_next = *list;
    if (*list)
        (*list)->env_sib_prev = e;
    *list = e;
}

static void family_leave(struct Env *parent, struct Env *e)
{
    if (e->env_sib_prev)
        e->env_sib_prev->env_sib_next = e->env_sib_next;
    else if (parent->env_zombie == e)
        parent->env_zombie = e->env_sib_next;
    else
        parent->env_child = e->env_sib_next;
    if (e->env_sib_next)
        e->env_sib_next->env_sib_prev = e->env_sib_prev;
}

/* One part of a slot, in whole words: others look without a lock at what is said in kern/env.h, and
 * see what the last owner left, or zero. Eight words a turn, as an env is made often. */
static void clear(void *part)
{
    volatile uint64_t *end = (uint64_t *)((char *)part + ENV_SLOT);

    for (volatile uint64_t *w = part; w < end; w += 8) {
        w[0] = 0;
        w[1] = 0;
        w[2] = 0;
        w[3] = 0;
        w[4] = 0;
        w[5] = 0;
        w[6] = 0;
        w[7] = 0;
    }
}

static void fpu_control_reset(struct Env *e)
{
    *(uint16_t *)&e->env_fpu[FXSAVE_FCW] = FCW_INIT;
    *(uint32_t *)&e->env_fpu[FXSAVE_MXCSR] = MXCSR_INIT;
}

void env_fpu_reset(struct Env *e)
{
    memset(e->env_fpu, 0, sizeof(e->env_fpu));
    fpu_control_reset(e);
    page_drop(e->env_xstate);
    e->env_xstate = NULL;
}

/* Everything starts from zero. e is locked, since its last owner's id may be sent to. */
static void env_reset(struct Env *e, struct Env *parent, enum EnvType type)
{
    envid_t id = next_id(e);

    clear(e->env_public_page); /* the rest of each page is other envs' */
    clear(e->env_private_page);
    WRITE_ONCE(e->env_id, id);
    WRITE_ONCE(e->env_parent_id, parent ? parent->env_id : 0);
    e->env_family = parent && !parent->env_vital ? parent->env_family : id;
    e->env_type = type;
    e->env_vital = type == ENV_TYPE_FS || type == ENV_TYPE_INIT ||
                   (parent && parent->env_type == ENV_TYPE_INIT);
    WRITE_ONCE(e->env_status, ENV_NOT_RUNNABLE);
    e->env_tf.tf_cs = GD_UT | 3;
    e->env_tf.tf_ss = GD_UD | 3;
    e->env_tf.tf_rflags = FL_ONE | FL_IF | (type == ENV_TYPE_FS ? FL_IOPL : 0);
    fpu_control_reset(e);
    strlcpy(e->env_name, parent ? parent->env_name : "?", sizeof(e->env_name));
}

int env_alloc(struct Env **store, struct Env *parent, enum EnvType type)
{
    uint64_t *pml4 = NULL;
    struct Env *e;
    int r;

    if (type != ENV_TYPE_GUEST && !(pml4 = pml4_new()))
        return -E_NO_MEM;
    spin_lock(&env_table_lock);
    if ((r = slot_alloc(&e, parent)) < 0) {
        spin_unlock(&env_table_lock);
        if (pml4)
            pml4_free(pml4);
        return r;
    }
    env_lock(e);
    env_reset(e, parent, type);
    e->env_pml4 = pml4;
    e->env_table_va = ENV_NO_TABLE;
    e->env_cr3 = pml4 ? PADDR(pml4) : kern_cr3;
    env_unlock(e);
    if (parent)
        family_join(&parent->env_child, e);
    spin_unlock(&env_table_lock);
    *store = e;
    return 0;
}

/* The parent of e while it holds its slot, else NULL. */
static struct Env *parent_of(const struct Env *e)
{
    struct Env *p = env_slot(e->env_parent_id);

    return e->env_parent_id != 0 && p->env_id == e->env_parent_id ? p : NULL;
}

void env_reap(struct Env *parent, struct Env *zombie)
{
    family_leave(parent, zombie);
    slot_free(zombie);
}

/*
 * The end of an env, in three steps. end_mark takes it off everything that could make it run;
 * finish gives its memory back, without env_table_lock; env_gone makes it a zombie or forgets it.
 * An env that runs on another CPU begins its end there. Those that cannot go on without it, its
 * guests and the children that only it could start, end with it, and before it does.
 */

/* Take e, which is locked, off everything that could make it run. false: it has ended already, or
 * is to end on its own CPU. */
static bool end_running(struct Env *e, int status)
{
    do {
        if (!env_is_alive(e))
            return false;
        e->env_exit = status & 0xff;
        if (e != curenv && sched_mark(e, ENV_MARK_KILLED) == SCHED_HAS_CPU)
            return false;
    } while (!ipc_leave_senders(e)); /* e was let go of, and may be elsewhere now */
    WRITE_ONCE(e->env_status, ENV_DYING);
    WRITE_ONCE(e->env_wait, WAIT_NONE);
    sched_forget(e);
    if (e == curenv) {
        if (e->env_marks & ENV_MARK_XSTATE)
            xstate_drop(e);
        cpu_load_cr3(kern_cr3);
        WRITE_ONCE(this_cpu()->cpu_env, NULL);
    }
    return true;
}

/* Take e off everything and append it to doomed, unless it has ended or is to end on its own CPU.
 * env_table_lock is held. */
static void end_mark(struct Env *e, int status, struct EnvList *doomed)
{
    bool ends;

    env_lock(e);
    ends = end_running(e, status);
    env_unlock(e);
    if (!ends)
        return;
    ipc_env_gone(e);
    envlist_append(doomed, e);
}

/* Nothing but its parent can make it run, or it runs for its parent only. */
static bool depends_on_parent(const struct Env *e)
{
    bool depends;

    env_lock(e);
    depends = e->env_type == ENV_TYPE_GUEST || (e->env_marks & ENV_MARK_STOP) ||
              (READ_ONCE(e->env_status) == ENV_NOT_RUNNABLE && e->env_wait == WAIT_NONE);
    env_unlock(e);
    return depends;
}

/* Children that depend on e are marked, others live on without a parent, and zombies are forgotten.
 */
static void end_children(struct Env *e, struct EnvList *doomed)
{
    struct Env *next;

    for (struct Env *c = e->env_child; c; c = next) {
        next = c->env_sib_next;
        if (depends_on_parent(c)) {
            end_mark(c, EXIT_KILLED, doomed);
            continue;
        }
        family_leave(e, c);
        WRITE_ONCE(c->env_parent_id, 0);
    }
    for (struct Env *c = e->env_zombie; c; c = next) {
        next = c->env_sib_next;
        slot_free(c);
    }
    e->env_zombie = NULL;
}

/* Mark e and all that go with it; parents come before their children. A list and not a recursion,
 * since families may be deeper than the kernel stack. env_table_lock is held. */
static void end_begin(struct Env *e, int status, struct EnvList *doomed)
{
    end_mark(e, status, doomed);
    for (struct Env *d = doomed->head; d; d = d->env_next)
        end_children(d, doomed);
}

/* Does the parent sleep until this child ends, or (a monitor) until its guest has something to say?
 */
static bool waits_for(const struct Env *parent, envid_t child)
{
    if (parent->env_wait == WAIT_CHILD)
        return parent->env_wait_id == 0 || parent->env_wait_id == child;
    return parent->env_wait == WAIT_GUEST && parent->env_wait_id == child;
}

/* Nothing ends these two from outside; if they end by themselves, say so, and do not idle for ever
 * without a word. */
static void report_end(const struct Env *e)
{
    if (e->env_type == ENV_TYPE_FS)
        cprintf("The file server has ended with status %d: no file can be reached.\n", e->env_exit);
    if (e->env_type != ENV_TYPE_INIT)
        return;
    cprintf("init has ended with status %d: no shell will be started again.\n", e->env_exit);
    if (cmdline_word("graded", NULL, 0))
        platform_poweroff(EXIT_FAULT);
}

/* Tell the parent that its child, now a zombie, has ended. */
static void tell_parent(struct Env *parent, envid_t child)
{
    env_lock(parent);
    if (waits_for(parent, child))
        sched_wake(parent);
    env_unlock(parent);
}

/* The last step, for e and then for each parent whose end has waited for this one. env_table_lock
 * is held. */
static void env_gone(struct Env *e)
{
    while (e && READ_ONCE(e->env_status) == ENV_DYING && e->env_freed && !e->env_child) {
        struct Env *parent = parent_of(e);
        if (parent && READ_ONCE(parent->env_status) != ENV_DYING) {
            WRITE_ONCE(e->env_status, ENV_ZOMBIE);
            family_leave(parent, e);
            family_join(&parent->env_zombie, e);
            tell_parent(parent, e->env_id);
            return;
        }
        if (parent)
            family_leave(parent, e);
        slot_free(e);
        e = parent;
    }
}

/* Give back what e holds. */
static void finish(struct Env *e)
{
    uint64_t *pml4;

    report_end(e);
    if (e->env_type == ENV_TYPE_FS)
        sysdev_release(e->env_id);
    spin_lock(env_mem(e));
    pml4 = e->env_pml4;
    e->env_pml4 = NULL;
    e->env_table_va = ENV_NO_TABLE;
    if (e->env_type == ENV_TYPE_GUEST)
        guest_hooks.free(e);
    spin_unlock(env_mem(e));
    if (pml4)
        pml4_free(pml4);
    page_drop(e->env_xstate);
    e->env_xstate = NULL;

    spin_lock(&env_table_lock);
    e->env_freed = true;
    env_gone(e);
    spin_unlock(&env_table_lock);
}

/* Children first, so that an env's status is seen when all that it had is free. */
static void finish_all(struct EnvList *doomed)
{
    struct Env *e;

    while (doomed->head) {
        e = doomed->tail;
        envlist_remove(e);
        finish(e);
    }
}

void env_destroy(struct Env *e, int status)
{
    struct EnvList doomed = { NULL, NULL };
    bool self = e == curenv;

    spin_lock(&env_table_lock);
    end_begin(e, status, &doomed);
    spin_unlock(&env_table_lock);
    finish_all(&doomed);
    if (self)
        sched_yield();
}

int env_kill(envid_t id)
{
    struct EnvList doomed = { NULL, NULL };
    struct Env *e;
    bool self;
    int r;

    spin_lock(&env_table_lock);
    r = envid2env(id, &e, false);
    self = r == 0 && e == curenv;
    if (r == 0 && READ_ONCE(e->env_status) == ENV_ZOMBIE)
        r = -E_BAD_ENV;
    if (r == 0 && e->env_vital && !self && e->env_parent_id != curenv->env_id)
        r = -E_PERM;
    if (r == 0)
        end_begin(e, EXIT_KILLED, &doomed);
    spin_unlock(&env_table_lock);
    finish_all(&doomed);
    if (r == 0 && self)
        sched_yield();
    return r;
}
