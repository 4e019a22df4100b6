/*
 * Doubly linked lists of envs. An env is on at most one list, and knows which (env_on). Whether one
 * is empty may be looked at without its lock, and with a list's lock held, whether an env is on it
 * (READ_ONCE of env_on: if it is on another one, that changes under another lock). The first env's
 * env_prev, and an empty list's tail, mean nothing.
 */
#ifndef JOS_KERN_ENVLIST_H
#define JOS_KERN_ENVLIST_H

#include <inc/once.h>
#include <kern/env.h>

static inline void envlist_append(struct EnvList *l, struct Env *e)
{
    WRITE_ONCE(e->env_on, l);
    e->env_next = NULL;
    e->env_prev = l->tail;
    if (l->head)
        l->tail->env_next = e;
    else
        WRITE_ONCE(l->head, e);
    l->tail = e;
}

static inline void envlist_prepend(struct EnvList *l, struct Env *e)
{
    WRITE_ONCE(e->env_on, l);
    e->env_next = l->head;
    if (l->head)
        l->head->env_prev = e;
    else
        l->tail = e;
    WRITE_ONCE(l->head, e);
}

/* Take the first env off a list that is not empty. */
static inline struct Env *envlist_take(struct EnvList *l)
{
    struct Env *e = l->head;

    WRITE_ONCE(l->head, e->env_next);
    WRITE_ONCE(e->env_on, NULL);
    return e;
}

/* Take e off the list it is on, if any. */
static inline void envlist_remove(struct Env *e)
{
    struct EnvList *l = e->env_on;

    if (!l)
        return;
    if (l->head == e)
        WRITE_ONCE(l->head, e->env_next);
    else
        e->env_prev->env_next = e->env_next;
    if (l->tail == e)
        l->tail = e->env_prev;
    else
        e->env_next->env_prev = e->env_prev;
    WRITE_ONCE(e->env_on, NULL);
}

#endif
