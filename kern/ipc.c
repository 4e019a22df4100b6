/*
 * Messages between envs: a 64-bit value and possibly a page. A sender that finds no receiver waits
 * in the receiver's senders list; a receiver that wants to hear one env only waits in that env's
 * waiters list, so the end of an env wakes everybody who depends on it. All of this is under
 * env_lock.
 */
#include <inc/error.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/envlist.h>
#include <kern/pmap.h>
#include <kern/syscall.h>
#include <vmm/guest.h>

/* What a sender offers. */
struct Message {
    struct Env *from;
    uint64_t value;
    struct PageInfo *page; /* NULL: none, or delivered; else with a reference */
    uint64_t perm;
};

static inline bool is_receiving(const struct Env *to, envid_t from)
{
    return to->env_status == ENV_NOT_RUNNABLE && to->env_wait == WAIT_RECV &&
           (to->env_ipc_recv_from == 0 || to->env_ipc_recv_from == from);
}

/* Give the page of m to a receiver that wants one. */
ALWAYS_INLINE int deliver_page(struct Env *to, struct Message *m)
{
    int r;

    if (to->env_ipc_dstva >= UTOP)
        return 0;
    r = env_page_give(to, m->page, to->env_ipc_dstva, m->perm);
    if (r < 0)
        return r;
    m->page = NULL;
    to->env_ipc_perm = m->perm;
    return 0;
}

/* Hand m to a receiver that has stated in env_ipc_dstva where it wants a page. */
ALWAYS_INLINE int deliver(struct Env *to, struct Message *m)
{
    int r;

    to->env_ipc_perm = 0;
    if (m->page && (r = deliver_page(to, m)) < 0)
        return r;
    to->env_ipc_value = m->value;
    to->env_ipc_from = m->from->env_id;
    to->env_tf.tf_rax = 0;
    return 0;
}

static int deliver_to_guest(struct Env *to, const struct Message *m)
{
    int r;

    if (m->from->env_type != ENV_TYPE_FS)
        return -E_BAD_ENV;
    r = guest_ipc_deliver(to, m->value, m->page, m->perm);
    if (r == 0 && to->env_wait == WAIT_HOSTRECV)
        sched_wake(to);
    return r;
}

/* A living env other than the current one; NULL: there is none of this id. */
static struct Env *peer(envid_t id)
{
    struct Env *e = env_slot(id);

    return id > 0 && e->env_id == id && env_is_alive(e) && e != curenv ? e : NULL;
}

/* The rest of try_deliver, if `id` is no env that waits for a message of this sender. */
static int __attribute__((noinline)) not_receiving(envid_t id, const struct Message *m)
{
    struct Env *to = peer(id);

    if (!to)
        return -E_BAD_ENV;
    return to->env_type == ENV_TYPE_GUEST ? deliver_to_guest(to, m) : -E_IPC_NOT_RECV;
}

/* Deliver now if `to`, the slot of this id, has a receiver that is ready. -E_IPC_NOT_RECV if not;
 * -E_BAD_ENV: no such env, or the sender itself. A receiver that could run here right away goes to
 * *next instead of the run queue, and the caller has to see to it. */
ALWAYS_INLINE int try_deliver(struct Env *to, envid_t id, struct Message *m, struct Env **next)
{
    int r;

    *next = NULL;
    if (to->env_id != id || !is_receiving(to, m->from->env_id))
        return not_receiving(id, m);
    if ((r = deliver(to, m)) == 0 && sched_unblock(to))
        *next = to;
    return r;
}

/* The page at srcva of e for a message; NULL for srcva >= UTOP. -E_INVAL. */
ALWAYS_INLINE int message_page(struct Env *e, uintptr_t srcva, uint64_t perm, struct PageInfo **pp)
{
    *pp = NULL;
    return srcva < UTOP ? env_page_take(e, srcva, perm, pp) : 0;
}

ALWAYS_INLINE int message_init(struct Message *m, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    m->from = curenv;
    m->value = value;
    m->perm = perm;
    return message_page(m->from, srcva, perm, &m->page);
}

ALWAYS_INLINE void message_drop(struct Message *m)
{
    if (m->page)
        page_decref(m->page);
}

/* Release env_lock and, if the current env was blocked, leave it: for next if there is one, which
 * then runs on in the same time slice. Returns to an env that goes on. */
ALWAYS_INLINE void depart(struct Env *next, bool blocked)
{
    if (next && blocked)
        sched_handoff(next);
    if (next)
        sched_ready(next);
    spin_unlock(&env_lock);
    if (blocked)
        sched_yield();
}

int64_t sys_ipc_try_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Env *next;
    struct Message m;
    int r;

    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    spin_lock(&env_lock);
    r = try_deliver(env_slot(id), id, &m, &next);
    message_drop(&m);
    depart(next, false);
    return r;
}

/* The current env waits in the senders list of `to`. Its message stays described in its struct Env.
 */
static void queue_sender(struct Env *to, enum EnvWait why, uint64_t value, uint64_t perm)
{
    curenv->env_ipc_send_value = value;
    curenv->env_ipc_send_perm = perm;
    curenv->env_wait_id = to->env_id;
    sched_block(why, 0);
    envlist_append(&to->env_senders, curenv);
    if (to->env_wait == WAIT_GUEST) /* a monitor: the message is an event for it */
        sched_wake(to);
}

/* Send, or wait in the receiver's list. 0: sent; 1: the current env is blocked (why) and its
 * message queued; -E_*. env_lock is held. */
ALWAYS_INLINE int send_or_queue(envid_t id, struct Message *m, uintptr_t srcva, enum EnvWait why,
                                struct Env **next)
{
    struct Env *to = env_slot(id);
    int r = try_deliver(to, id, m, next);

    if (r != -E_IPC_NOT_RECV || to->env_type == ENV_TYPE_GUEST)
        return r;
    curenv->env_ipc_send_srcva = srcva;
    queue_sender(to, why, m->value, m->perm);
    return 1;
}

int64_t sys_ipc_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Env *next;
    struct Message m;
    int r;

    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    spin_lock(&env_lock);
    r = send_or_queue(id, &m, srcva, WAIT_SEND, &next);
    message_drop(&m);
    depart(next, r == 1);
    return r;
}

int ipc_guest_send(struct Env *g, struct Env *to, uint64_t value, struct PageInfo *pp,
                   uint64_t perm)
{
    struct Message m = { g, value, pp, perm };
    struct Env *next = NULL;
    int r;

    if (pp)
        page_incref(pp);
    spin_lock(&env_lock);
    r = to->env_type == ENV_TYPE_FS ? try_deliver(to, to->env_id, &m, &next) : -E_BAD_ENV;
    if (next)
        sched_ready(next);
    if (r == -E_IPC_NOT_RECV) {
        g->env_ipc_send_page = m.page;
        m.page = NULL;
        queue_sender(to, WAIT_HOSTSEND, value, perm);
        r = 1;
    }
    message_drop(&m);
    spin_unlock(&env_lock);
    return r;
}

/* A queued sys_ipc_call was taken by `by`: from now on its caller waits for the answer. */
static void await_answer(struct Env *s, struct Env *by)
{
    envlist_remove(s);
    s->env_wait = WAIT_RECV;
    s->env_ipc_recv_from = by->env_id;
    envlist_append(&by->env_waiters, s);
}

/* A queued sender's call is over. */
static void sender_done(struct Env *s, int result)
{
    if (s->env_wait == WAIT_HOSTSEND) {
        if (s->env_ipc_send_page)
            page_decref(s->env_ipc_send_page);
        s->env_ipc_send_page = NULL;
        guest_ipc_sent(s, result);
    } else {
        s->env_tf.tf_rax = result;
    }
    if (s->env_wait == WAIT_CALL && result == 0)
        await_answer(s, curenv);
    else
        sched_wake(s);
}

/* Take the message of queued sender s. A sender whose page has gone meanwhile gets the error. */
static int take_from(struct Env *s)
{
    struct Message m = { s, s->env_ipc_send_value, s->env_ipc_send_page, s->env_ipc_send_perm };
    int r = 0;

    s->env_ipc_send_page = NULL;
    if (s->env_wait != WAIT_HOSTSEND)
        r = message_page(s, s->env_ipc_send_srcva, m.perm, &m.page);
    if (r == 0)
        r = deliver(curenv, &m);
    message_drop(&m);
    sender_done(s, r);
    return r;
}

static bool take_queued(envid_t from)
{
    struct Env *next;

    for (struct Env *s = curenv->env_senders.head; s; s = next) {
        next = s->env_next;
        if ((from == 0 || s->env_id == from) && take_from(s) == 0)
            return true;
    }
    return false;
}

/* The current env e blocks until a message comes from `sender` (NULL: from anybody). env_lock is
 * held. */
ALWAYS_INLINE void await_message(struct Env *e, uintptr_t dstva, struct Env *sender)
{
    e->env_ipc_dstva = dstva;
    e->env_ipc_recv_from = e->env_wait_id = sender ? sender->env_id : 0;
    sched_block_env(e, WAIT_RECV, 0);
    if (sender)
        envlist_append(&sender->env_waiters, e);
}

/* Take a message for the current env e or block it. 0: taken; 1: it is blocked; -E_*. env_lock is
 * held. */
ALWAYS_INLINE int receive(struct Env *e, uintptr_t dstva, envid_t from)
{
    struct Env *sender = NULL;

    if (from != 0 && !(sender = peer(from)))
        return -E_BAD_ENV;
    e->env_ipc_dstva = dstva;
    if (e->env_senders.head && take_queued(from))
        return 0;
    await_message(e, dstva, sender);
    return 1;
}

static bool dstva_valid(uintptr_t dstva)
{
    return dstva >= UTOP || dstva % PGSIZE == 0;
}

int64_t sys_ipc_recv(uintptr_t dstva, envid_t from)
{
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    spin_lock(&env_lock);
    r = receive(curenv, dstva, from);
    depart(NULL, r == 1);
    return r;
}

int64_t sys_ipc_try_recv(uintptr_t dstva)
{
    bool taken;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    spin_lock(&env_lock);
    curenv->env_ipc_dstva = dstva;
    taken = take_queued(0);
    spin_unlock(&env_lock);
    return taken ? 0 : -E_AGAIN;
}

/* A caller that has to queue as a sender becomes a waiting one when its message is taken
 * (await_answer). */
int64_t sys_ipc_call(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm, uintptr_t dstva)
{
    struct Env *next;
    struct Message m;
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    spin_lock(&env_lock);
    m.from->env_ipc_dstva = dstva;
    r = send_or_queue(id, &m, srcva, WAIT_CALL, &next);
    if (r == 0 && next) {
        await_message(m.from, dstva, next); /* it was receiving, so it has no message queued here */
        r = 1;
    } else if (r == 0) {
        r = receive(m.from, dstva, id);
    }
    message_drop(&m);
    depart(next, r == 1);
    return r;
}

int64_t sys_ipc_reply_recv(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm,
                           uintptr_t dstva)
{
    struct Env *next;
    struct Message m;
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    spin_lock(&env_lock);
    /* Before the client goes on, so that it finds its memory as it was. */
    if (dstva < UTOP)
        env_page_drop(m.from, dstva);
    try_deliver(env_slot(id), id, &m,
                &next); /* nobody there, or not receiving: the answer is dropped */
    r = receive(m.from, dstva, 0);
    message_drop(&m);
    depart(next, r == 1);
    return r;
}

void ipc_env_gone(struct Env *e)
{
    if (e->env_ipc_send_page) {
        page_decref(e->env_ipc_send_page);
        e->env_ipc_send_page = NULL;
    }
    while (e->env_senders.head)
        sender_done(e->env_senders.head, -E_BAD_ENV);
    while (e->env_waiters.head) {
        e->env_waiters.head->env_tf.tf_rax = -E_BAD_ENV;
        sched_wake(e->env_waiters.head);
    }
}
