/*
 * Messages between envs: a 64-bit value and possibly a page, or a row of some. A receiver finds
 * them in its registers: value in RDX, sender in RSI, permission of the pages in RDI (0: none
 * came), with their number (inc/syscall.h). Of several pages the first one goes the way of a single
 * one; the others are looked up when the receiver takes the message, and follow. A sender
 * that finds no receiver waits in the receiver's senders list, whose lock is the receiver's. A
 * receiver that wants to hear one env only notes that there (env_awaited), so the end of an env
 * wakes everybody who depends on it.
 */
#include <inc/error.h>
#include <inc/syscall.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/envlist.h>
#include <kern/frame.h>
#include <kern/hooks.h>
#include <kern/ipc.h>
#include <kern/sched.h>
#include <kern/sysmem.h>

/* What a sender offers. */
struct Message {
    struct Env *from;
    uint64_t value;
    struct PageInfo *page; /* NULL: none, or delivered; else with a reference */
    uint64_t perm;         /* with PERM_PAGES */
    uintptr_t srcva;       /* where the page is in the sender's memory, and others follow */
};

/* `to` is locked. */
static inline bool is_receiving(const struct Env *to, envid_t from)
{
    return to->env_wait == WAIT_RECV &&
           (to->env_ipc_recv_from == 0 || to->env_ipc_recv_from == from);
}

/* How many pages have room at dstva, which is below UTOP. */
static size_t room_for(uintptr_t dstva)
{
    return MIN(PGOFF(dstva) + 1, (UTOP + PGOFF(dstva) - dstva) / PGSIZE);
}

/* Give several pages. -E_INVAL: there is no room for them, or they are not there; -E_NO_MEM. */
static int __attribute__((noinline)) deliver_pages(struct Env *to, const struct Message *m)
{
    uint64_t perm = m->perm & ~PERM_PAGES_MASK;
    struct PageInfo *pages[PERM_PAGES_MAX];
    size_t n = PERM_PAGES_IN(m->perm);
    int r;

    if (n > room_for(to->env_ipc_dstva))
        return -E_INVAL;
    if ((r = env_pages_take(m->from, m->srcva, n, perm, pages)) < 0 ||
        (r = env_pages_give(to, pages, n, to->env_ipc_dstva, perm)) < 0)
        return r;
    to->env_ipc_more = n - 1;
    to->env_tf.tf_rdi = m->perm;
    return 0;
}

/* Give the page of m, or the pages, to a receiver that wants some. */
ALWAYS_INLINE int deliver_page(struct Env *to, struct Message *m)
{
    int r;

    if (to->env_ipc_dstva >= UTOP)
        return 0;
    if (__builtin_expect(m->perm & PERM_PAGES_MASK, 0))
        return deliver_pages(to, m);
    r = env_page_give(to, m->page, to->env_ipc_dstva, m->perm);
    if (r < 0)
        return r;
    m->page = NULL;
    to->env_tf.tf_rdi = m->perm;
    return 0;
}

/* Hand m to a receiver that has stated in env_ipc_dstva where it wants a page. */
ALWAYS_INLINE int deliver(struct Env *to, struct Message *m)
{
    int r;

    to->env_tf.tf_rdi = 0;
    if (m->page && (r = deliver_page(to, m)) < 0)
        return r;
    to->env_tf.tf_rdx = m->value;
    to->env_tf.tf_rsi = m->from->env_id;
    to->env_tf.tf_rax = 0;
    return 0;
}

static int deliver_to_guest(struct Env *to, const struct Message *m)
{
    int r;

    if (m->from->env_type != ENV_TYPE_FS)
        return -E_BAD_ENV;
    if (m->perm & PERM_PAGES_MASK)
        return -E_INVAL;
    r = guest_hooks.ipc_deliver(to, m->value, m->page, m->perm);
    if (r == 0 && to->env_wait == WAIT_HOSTRECV)
        sched_wake(to);
    return r;
}

/* Is e, which is locked, a living env of this id? */
static inline bool is_living(const struct Env *e, envid_t id)
{
    return id > 0 && e->env_id == id && env_is_alive(e);
}

/* The rest of try_deliver, if `to` is not waiting for a message of this sender. */
static int __attribute__((noinline))
not_receiving(struct Env *to, envid_t id, const struct Message *m)
{
    if (!is_living(to, id))
        return -E_BAD_ENV;
    return to->env_type == ENV_TYPE_GUEST ? deliver_to_guest(to, m) : -E_IPC_NOT_RECV;
}

/* Deliver now if `to`, the slot of this id, which is locked, has a receiver that is ready.
 * -E_IPC_NOT_RECV if not; -E_BAD_ENV: no such env. A receiver that could run here right away goes
 * to *next instead of the run queue, and the caller has to see to it. */
ALWAYS_INLINE int try_deliver(struct Env *to, envid_t id, struct Message *m, struct Env **next)
{
    int r;

    *next = NULL;
    if (to->env_id != id || !is_receiving(to, m->from->env_id))
        return not_receiving(to, id, m);
    if ((r = deliver(to, m)) == 0 && sched_unblock(to))
        *next = to;
    return r;
}

/* The page at m->srcva of m->from, if that is one. -E_INVAL. */
ALWAYS_INLINE int message_page(struct Message *m)
{
    m->page = NULL;
    return m->srcva < UTOP ? env_page_take(m->from, m->srcva, m->perm, &m->page) : 0;
}

ALWAYS_INLINE int message_init(struct Message *m, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    m->from = curenv;
    m->value = value;
    m->srcva = srcva;
    m->perm = perm;
    return message_page(m);
}

ALWAYS_INLINE void message_drop(struct Message *m)
{
    if (m->page)
        page_decref(m->page);
}

/* The current env e and `to` are locked, and are unlocked here. If e was blocked, leave it: for
 * next if there is one (which is `to`), which then runs on in the same time slice. Returns to an
 * env that goes on. */
ALWAYS_INLINE void depart(struct Env *e, struct Env *to, struct Env *next, bool blocked)
{
    if (next && blocked)
        sched_handoff(next);
    if (next)
        sched_ready(next);
    env_unlock(to);
    env_unlock(e);
    if (blocked)
        sched_yield();
}

int64_t sys_ipc_try_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Env *next, *to = env_slot(id);
    struct Message m;
    int r;

    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    env_lock(to);
    r = to == m.from ? -E_BAD_ENV : try_deliver(to, id, &m, &next);
    if (r == 0 && next)
        sched_ready(next);
    env_unlock(to);
    message_drop(&m);
    return r;
}

/* The current env e waits in the senders list of `to`. Its message stays described in its struct
 * Env. Both are locked. */
static void queue_sender(struct Env *e, struct Env *to, enum EnvWait why, uint64_t value,
                         uint64_t perm)
{
    e->env_ipc_send_value = value;
    e->env_ipc_send_perm = perm;
    WRITE_ONCE(e->env_wait_id, to->env_id);
    sched_block_env(e, why, 0);
    envlist_append(&to->env_senders, e);
    if (to->env_wait == WAIT_GUEST) /* a monitor: the message is an event for it */
        sched_wake(to);
}

/* Are all pages of m there? Of several, message_page has looked at the first one. */
static int __attribute__((noinline)) check_pages(const struct Message *m)
{
    return env_pages_check(m->from, m->srcva, PERM_PAGES_IN(m->perm), m->perm & ~PERM_PAGES_MASK);
}

/* Send, or wait in the receiver's list. 0: sent; 1: the current env is blocked (why) and its
 * message queued; -E_*. It and `to`, the slot of this id, are locked. */
ALWAYS_INLINE int send_or_queue(struct Env *to, envid_t id, struct Message *m, uintptr_t srcva,
                                enum EnvWait why, struct Env **next)
{
    int r = try_deliver(to, id, m, next);

    if (r != -E_IPC_NOT_RECV || to->env_type == ENV_TYPE_GUEST)
        return r;
    if (m->page && (m->perm & PERM_PAGES_MASK) && (r = check_pages(m)) < 0)
        return r;
    m->from->env_ipc_send_srcva = srcva;
    queue_sender(m->from, to, why, m->value, m->perm);
    return 1;
}

/* Lock the current env e and the slot of another one. false, and nothing is locked: that slot is
 * its own. */
ALWAYS_INLINE bool lock_both(struct Env *e, struct Env *to)
{
    if (to == e)
        return false;
    env_lock(e);
    env_lock_also(e, to); /* nothing is known of e yet that could be over */
    return true;
}

int64_t sys_ipc_send(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm)
{
    struct Env *next, *to = env_slot(id);
    struct Message m;
    int r;

    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    if (!lock_both(m.from, to)) {
        message_drop(&m);
        return -E_BAD_ENV;
    }
    r = send_or_queue(to, id, &m, srcva, WAIT_SEND, &next);
    message_drop(&m);
    depart(m.from, to, next, r == 1);
    return r;
}

int ipc_guest_send(struct Env *g, struct Env *to, uint64_t value, struct PageInfo *pp,
                   uint64_t perm)
{
    struct Message m = { .from = g, .value = value, .page = pp, .perm = perm };
    struct Env *next;
    int r;

    if (pp)
        page_incref(pp);
    env_lock(g);
    env_lock_also(g, to);
    r = to->env_type == ENV_TYPE_FS ? try_deliver(to, to->env_id, &m, &next) : -E_BAD_ENV;
    if (r == 0 && next)
        sched_ready(next);
    if (r == -E_IPC_NOT_RECV) {
        g->env_ipc_send_page = m.page;
        m.page = NULL;
        queue_sender(g, to, WAIT_HOSTSEND, value, perm);
        r = 1;
    }
    env_unlock(to);
    env_unlock(g);
    message_drop(&m);
    return r;
}

struct Env *ipc_lock_server(struct Env *g)
{
    struct Env *to = env_file_server();

    env_lock(g);
    if (!to)
        return NULL;
    env_lock_also(g, to);
    if (to->env_type == ENV_TYPE_FS && env_is_alive(to))
        return to;
    env_unlock(to);
    return NULL;
}

void ipc_unlock_server(struct Env *g, struct Env *to)
{
    if (to)
        env_unlock(to);
    env_unlock(g);
}

void ipc_guest_wait(struct Env *g, struct Env *to)
{
    to->env_awaited = true;
    WRITE_ONCE(g->env_wait_id, to->env_id);
    sched_block_env(g, WAIT_HOSTRECV, 0);
}

/* A queued sender's call is over: it goes on, or, after a sys_ipc_call whose message `by` has
 * taken, waits for the answer. It and `by` are locked. */
static void sender_done(struct Env *s, struct Env *by, int result)
{
    envlist_remove(s);
    if (s->env_wait == WAIT_HOSTSEND) {
        if (s->env_ipc_send_page)
            page_decref(s->env_ipc_send_page);
        s->env_ipc_send_page = NULL;
        guest_hooks.ipc_sent(s, result);
    } else {
        s->env_tf.tf_rax = result;
    }
    if (s->env_wait == WAIT_CALL && result == 0) {
        by->env_awaited = true;
        WRITE_ONCE(s->env_ipc_recv_from, by->env_id);
        WRITE_ONCE(s->env_wait, WAIT_RECV);
    } else {
        sched_wake(s);
    }
}

/* The current env e takes the message of queued sender s; both are locked. A sender whose page has
 * gone meanwhile gets the error. */
static int take_queued_from(struct Env *e, struct Env *s)
{
    struct Message m = { .from = s,
                         .value = s->env_ipc_send_value,
                         .page = s->env_ipc_send_page,
                         .srcva = s->env_ipc_send_srcva,
                         .perm = s->env_ipc_send_perm };
    int r = 0;

    s->env_ipc_send_page = NULL;
    if (s->env_wait != WAIT_HOSTSEND)
        r = message_page(&m);
    if (r == 0)
        r = deliver(e, &m);
    message_drop(&m);
    sender_done(s, e, r);
    return r;
}

/* The first sender queued at e (from != 0: of this id), locked as e is; NULL: there is none. */
static struct Env *lock_sender(struct Env *e, envid_t from)
{
    struct Env *s = e->env_senders.head;

    while (s) {
        if (from != 0 && s->env_id != from) {
            s = s->env_next;
            continue;
        }
        if (env_lock_also(e, s))
            return s;
        env_unlock(s); /* e was let go of: the list may be another one */
        s = e->env_senders.head;
    }
    return NULL;
}

/* Take a message that is queued at the current env e, which is locked. */
static bool take_queued(struct Env *e, envid_t from)
{
    struct Env *s;

    while ((s = lock_sender(e, from))) {
        int r = take_queued_from(e, s);
        env_unlock(s);
        if (r == 0)
            return true;
    }
    return false;
}

/* The current env e, which is locked, blocks until a message comes from anybody (sender is NULL),
 * or from this living env, which is locked, too. */
ALWAYS_INLINE void await_message(struct Env *e, uintptr_t dstva, struct Env *sender)
{
    e->env_ipc_dstva = dstva;
    WRITE_ONCE(e->env_ipc_recv_from, sender ? sender->env_id : 0);
    if (sender)
        sender->env_awaited = true;
    sched_block_env(e, WAIT_RECV, 0);
}

/* Take a message from anybody for the current env e, which is locked, or block it (1). */
ALWAYS_INLINE int receive_any(struct Env *e, uintptr_t dstva)
{
    e->env_ipc_dstva = dstva;
    if (e->env_senders.head && take_queued(e, 0))
        return 0;
    await_message(e, dstva, NULL);
    return 1;
}

/* The same from the env of this id only, whose slot is locked, too. -E_BAD_ENV. */
static int receive_from(struct Env *e, uintptr_t dstva, struct Env *sender, envid_t id)
{
    e->env_ipc_dstva = dstva;
    if (!is_living(sender, id))
        return -E_BAD_ENV;
    if (READ_ONCE(sender->env_on) == &e->env_senders && take_queued_from(e, sender) == 0)
        return 0;
    await_message(e, dstva, sender);
    return 1;
}

static bool dstva_valid(uintptr_t dstva)
{
    return dstva >= UTOP || PGOFF(dstva) < PERM_PAGES_MAX;
}

int64_t sys_ipc_recv(uintptr_t dstva, envid_t from)
{
    struct Env *e = curenv, *sender = env_slot(from);
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    if (from == 0) {
        env_lock(e);
        r = receive_any(e, dstva);
    } else {
        if (!lock_both(e, sender))
            return -E_BAD_ENV;
        r = receive_from(e, dstva, sender, from);
        env_unlock(sender);
    }
    env_unlock(e);
    if (r == 1)
        sched_yield();
    return r;
}

int64_t sys_ipc_try_recv(uintptr_t dstva)
{
    struct Env *e = curenv;
    bool taken;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    env_lock(e);
    e->env_ipc_dstva = dstva;
    taken = take_queued(e, 0);
    env_unlock(e);
    return taken ? 0 : -E_AGAIN;
}

/* A caller that has to queue as a sender becomes a waiting one when its message is taken
 * (sender_done). */
int64_t sys_ipc_call(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm, uintptr_t dstva)
{
    struct Env *next, *to = env_slot(id);
    struct Message m;
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    if (!lock_both(m.from, to)) {
        message_drop(&m);
        return -E_BAD_ENV;
    }
    m.from->env_ipc_dstva = dstva;
    r = send_or_queue(to, id, &m, srcva, WAIT_CALL, &next);
    if (r == 0 && next) {
        await_message(m.from, dstva, next); /* it was receiving, so it has no message queued here */
        r = 1;
    } else if (r == 0) {
        r = receive_from(m.from, dstva, to, id);
    }
    message_drop(&m);
    depart(m.from, to, next, r == 1);
    return r;
}

/* The answer to `to` is delivered, or not; now the current env e receives. Both are locked, and
 * unlocked here. */
ALWAYS_INLINE int receive_next(struct Env *e, struct Env *to, struct Env *next, uintptr_t dstva)
{
    int r;

    if (!e->env_senders.head) {
        await_message(e, dstva, NULL);
        depart(e, to, next, true);
    }
    if (next)
        sched_ready(next);
    env_unlock(to);
    if ((r = receive_any(e, dstva)) == 0) {
        env_unlock(e);
        return 0;
    }
    env_unlock(e);
    sched_yield();
}

static void __attribute__((noinline)) drop_more(struct Env *e, uintptr_t dstva)
{
    env_pages_drop(e, dstva + PGSIZE, MIN(e->env_ipc_more, room_for(dstva) - 1));
    e->env_ipc_more = 0;
}

/* Unmap what the last request has brought to the current env e, which says that it was here. */
ALWAYS_INLINE void drop_request(struct Env *e, uintptr_t dstva)
{
    env_page_drop(e, dstva);
    if (__builtin_expect(e->env_ipc_more, 0))
        drop_more(e, dstva);
}

int64_t sys_ipc_reply_recv(envid_t id, uint64_t value, uintptr_t srcva, uint64_t perm,
                           uintptr_t dstva)
{
    struct Env *next, *to = env_slot(id);
    struct Message m;
    int r;

    if (!dstva_valid(dstva))
        return -E_INVAL;
    if ((r = message_init(&m, value, srcva, perm)) < 0)
        return r;
    /* Before the client goes on, so that it finds its memory as it was. */
    if (dstva < UTOP)
        drop_request(m.from, dstva);
    if (!lock_both(m.from, to)) {
        message_drop(&m);
        return sys_ipc_recv(dstva, 0);
    }
    try_deliver(to, id, &m, &next); /* nobody there, or not receiving: the answer is dropped */
    message_drop(&m);
    return receive_next(m.from, to, next, dstva);
}

/* ---- The end of an env ---- */

/* An env is on the list of senders of env_wait_id, if on any. */
bool ipc_leave_senders(struct Env *e)
{
    if (e->env_wait == WAIT_SEND || e->env_wait == WAIT_CALL || e->env_wait == WAIT_HOSTSEND) {
        struct Env *to = env_slot(e->env_wait_id);
        bool sure = env_lock_also(e, to);
        if (sure)
            envlist_remove(e);
        env_unlock(to);
        if (!sure)
            return false;
        WRITE_ONCE(e->env_wait, WAIT_NONE);
    }
    if (e->env_ipc_send_page) {
        page_decref(e->env_ipc_send_page);
        e->env_ipc_send_page = NULL;
    }
    return true;
}

/* Does e wait for a message of the env of this id only? */
static inline bool listens_to(const struct Env *e, envid_t id)
{
    enum EnvWait why = READ_ONCE(e->env_wait);

    return (why == WAIT_RECV && READ_ONCE(e->env_ipc_recv_from) == id) ||
           (why == WAIT_HOSTRECV && READ_ONCE(e->env_wait_id) == id);
}

/* e has ended, so nobody begins to wait for it. */
static void wake_waiters(const struct Env *e)
{
    envid_t id = e->env_id;

    for (struct Env *w = envs; w < envs + NENV; w++) {
        if (!listens_to(w, id))
            continue;
        env_lock(w);
        if (listens_to(w, id)) {
            w->env_tf.tf_rax = -E_BAD_ENV;
            sched_wake(w);
        }
        env_unlock(w);
    }
}

void ipc_env_gone(struct Env *e)
{
    struct Env *s;
    bool awaited;

    env_lock(e);
    while ((s = lock_sender(e, 0))) {
        sender_done(s, e, -E_BAD_ENV);
        env_unlock(s);
    }
    awaited = e->env_awaited;
    env_unlock(e);
    if (awaited)
        wake_waiters(e);
}
