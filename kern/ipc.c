/*
 * Messages between envs: a 64-bit value and possibly a page. A sender that finds no receiver waits
 * in the receiver's senders list; a receiver that wants to hear one env only waits in that env's
 * waiters list, so the end of an env wakes everybody who depends on it.
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
    struct PageInfo *page; /* NULL: none */
    uint64_t perm;
};

/* The page at srcva of e that a message or a mapping offers with perm; NULL in *pp for srcva >=
 * UTOP. */
int ipc_source_page(struct Env *e, uintptr_t srcva, uint64_t perm, struct PageInfo **pp)
{
    uint64_t *pte;

    *pp = NULL;
    if (srcva >= UTOP)
        return 0;
    if (srcva % PGSIZE || !perm_valid(perm))
        return -E_INVAL;
    *pp = page_lookup(e->env_pml4, srcva, &pte);
    if (!*pp || ((perm & PTE_W) && !(*pte & PTE_W)))
        return -E_INVAL;
    return 0;
}

static bool is_receiving(const struct Env *to, envid_t from)
{
    return to->env_status == ENV_NOT_RUNNABLE && to->env_wait == WAIT_RECV &&
           (to->env_ipc_recv_from == 0 || to->env_ipc_recv_from == from);
}

/* Hand m to a receiver that has stated in env_ipc_dstva where it wants a page. */
static int deliver(struct Env *to, const struct Message *m)
{
    bool map = m->page && to->env_ipc_dstva < UTOP;

    if (map) {
        int r = env_map(to, m->page, to->env_ipc_dstva, m->perm);
        if (r < 0)
            return r;
    }
    to->env_ipc_value = m->value;
    to->env_ipc_from = m->from->env_id;
    to->env_ipc_perm = map ? m->perm : 0;
    to->env_tf.tf_rax = 0;
    return 0;
}

/* Deliver now if the receiver is ready. -E_IPC_NOT_RECV if not. */
static int try_deliver(struct Env *to, const struct Message *m)
{
    int r;

    if (to->env_type == ENV_TYPE_GUEST) {
        if (m->from->env_type != ENV_TYPE_FS)
            return -E_BAD_ENV;
        r = guest_ipc_deliver(to, m->value, m->page, m->perm);
        if (r == 0 && to->env_wait == WAIT_HOSTRECV)
            sched_wake(to);
        return r;
    }
    if (!is_receiving(to, m->from->env_id))
        return -E_IPC_NOT_RECV;
    if ((r = deliver(to, m)) == 0)
        sched_wake(to);
    return r;
}

static int message_init(struct Message *m, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    m->from = curenv;
    m->value = value;
    m->perm = perm;
    return ipc_source_page(curenv, srcva, perm, &m->page);
}

static int find_target(envid_t id, struct Env **to)
{
    int r = id <= 0 ? -E_BAD_ENV : envid2env(id, to, false);

    return r == 0 && ((*to)->env_status == ENV_ZOMBIE || *to == curenv) ? -E_BAD_ENV : r;
}

int64_t sys_ipc_try_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Message m;
    struct Env *to;
    int r;

    if ((r = find_target(id, &to)) < 0 || (r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    return try_deliver(to, &m);
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
}

int64_t sys_ipc_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Message m;
    struct Env *to;
    int r;

    if ((r = find_target(id, &to)) < 0 || (r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    r = try_deliver(to, &m);
    if (r != -E_IPC_NOT_RECV || to->env_type == ENV_TYPE_GUEST)
        return r;
    curenv->env_ipc_send_srcva = srcva;
    queue_sender(to, WAIT_SEND, value, perm);
    sched_yield();
}

int ipc_guest_send(struct Env *g, struct Env *to, uint64_t value, struct PageInfo *pp,
                   uint64_t perm)
{
    struct Message m = { g, value, pp, perm };
    int r = try_deliver(to, &m);

    if (r != -E_IPC_NOT_RECV)
        return r;
    if (pp)
        page_incref(pp);
    g->env_ipc_send_page = pp;
    queue_sender(to, WAIT_HOSTSEND, value, perm);
    return 1;
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

    if (s->env_wait != WAIT_HOSTSEND)
        r = ipc_source_page(s, s->env_ipc_send_srcva, m.perm, &m.page);
    if (r == 0)
        r = deliver(curenv, &m);
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

static int64_t receive(uintptr_t dstva, envid_t from)
{
    struct Env *sender = NULL;
    int r;

    if (dstva < UTOP && dstva % PGSIZE)
        return -E_INVAL;
    if (from != 0 && (r = find_target(from, &sender)) < 0)
        return r;
    curenv->env_ipc_dstva = dstva;
    curenv->env_ipc_recv_from = from;
    if (take_queued(from))
        return 0;
    curenv->env_wait_id = from;
    sched_block(WAIT_RECV, 0);
    if (sender)
        envlist_append(&sender->env_waiters, curenv);
    sched_yield();
}

int64_t sys_ipc_recv(uintptr_t dstva, envid_t from)
{
    return receive(dstva, from);
}

int64_t sys_ipc_call(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm, uintptr_t dstva)
{
    struct Message m;
    struct Env *to;
    int r;

    if (dstva < UTOP && dstva % PGSIZE)
        return -E_INVAL;
    if ((r = find_target(id, &to)) < 0 || (r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    r = try_deliver(to, &m);
    if (r == 0)
        return receive(dstva, id);
    if (r != -E_IPC_NOT_RECV || to->env_type == ENV_TYPE_GUEST)
        return r;
    /* Queue as a sender; the receiver, when it takes the message, turns this env into a waiting
     * one. */
    curenv->env_ipc_send_srcva = srcva;
    curenv->env_ipc_dstva = dstva;
    queue_sender(to, WAIT_CALL, value, perm);
    sched_yield();
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
