/*
 * The queues of deadlines as pairing heaps. No env's deadline is before its parent's; the children
 * of an env are a list, of which env_timer_prev of the first leads to the parent.
 */
#include <kern/env.h>
#include <kern/timerq.h>

/* Make one heap of two roots, neither of which has neighbours: the later becomes the other's first
 * child. */
static struct Env *meld(struct Env *a, struct Env *b)
{
    struct Env *first = a->env_wake_tsc <= b->env_wake_tsc ? a : b, *child = first == a ? b : a;

    child->env_timer_prev = first;
    child->env_timer_next = first->env_timer_child;
    if (first->env_timer_child)
        first->env_timer_child->env_timer_prev = child;
    first->env_timer_child = child;
    return first;
}

/* Take the first heap off a list of siblings. */
static struct Env *pop(struct Env **list)
{
    struct Env *e = *list;

    *list = e->env_timer_next;
    e->env_timer_next = e->env_timer_prev = NULL;
    return e;
}

/* Make one heap of a list of siblings: in pairs from left to right, then all pairs from right to
 * left. That order is what bounds the cost. NULL for an empty list. */
static struct Env *meld_list(struct Env *list)
{
    struct Env *pairs = NULL, *root = NULL;

    while (list) {
        struct Env *e = pop(&list);
        if (list)
            e = meld(e, pop(&list));
        e->env_timer_next = pairs;
        pairs = e;
    }
    while (pairs) {
        struct Env *e = pop(&pairs);
        root = root ? meld(root, e) : e;
    }
    return root;
}

void timerq_insert(struct Env **first, struct Env *e)
{
    e->env_timer_child = e->env_timer_next = e->env_timer_prev = NULL;
    *first = *first ? meld(*first, e) : e;
}

void timerq_remove(struct Env **first, struct Env *e)
{
    struct Env *rest = meld_list(e->env_timer_child);

    if (e == *first) {
        *first = rest;
        return;
    }
    if (e->env_timer_prev->env_timer_child == e)
        e->env_timer_prev->env_timer_child = e->env_timer_next;
    else
        e->env_timer_prev->env_timer_next = e->env_timer_next;
    if (e->env_timer_next)
        e->env_timer_next->env_timer_prev = e->env_timer_prev;
    if (rest)
        *first = meld(*first, rest);
}
