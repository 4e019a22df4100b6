/*
 * Ctrl-C. While an interactive shell runs a line, it has claimed the key, which then ends its wait.
 * It ends the pipeline that it waits for, and all that those programs have started and that still
 * goes on. Programs in the background are children of the shell's, too, but none of that pipeline.
 */
#include "sh.h"

bool canceled;

int cancel(void)
{
    printf("^C\n");
    canceled = true;
    return CANCELED;
}

/* Is this env `from`, or has `from` started it? Of one whose parent has ended it is known only if
 * this shell is the first one, whose children found families. */
static bool descends(const volatile struct Env *e, envid_t from)
{
    for (int i = 0; i < NENV; i++) { /* no family is deeper, but it may change meanwhile */
        envid_t parent = e->env_parent_id;
        if (e->env_id == from || e->env_family == from)
            return true;
        e = &envs[ENVX(parent)];
        if (parent == 0 || e->env_id != parent)
            return false;
    }
    return false;
}

/* Does it belong to the pipeline, and has not ended? Guests do not count: they end with their
 * monitors. */
static bool is_left(const volatile struct Env *e, const envid_t children[], int n)
{
    if (e->env_type == ENV_TYPE_GUEST || !env_alive(e->env_id))
        return false;
    for (int i = 0; i < n; i++)
        if (children[i] > 0 && descends(e, children[i]))
            return true;
    return false;
}

/* End all that are left. Were there any? They are found first, since an env whose parent has ended
 * descends from nobody. */
static bool end_descendants(const envid_t children[], int n)
{
    static envid_t left[NENV];
    int nleft = 0;

    for (int i = 0; i < NENV; i++)
        if (is_left(&envs[i], children, n))
            left[nleft++] = envs[i].env_id;
    for (int i = 0; i < nleft; i++)
        sys_env_destroy(left[i]);
    return nleft > 0;
}

int await_pipeline(const envid_t children[], int n)
{
    int status = 0;

    for (int i = 0; i < n; i++) {
        status = children[i] < 0 ? -children[i] : wait(children[i]);
        if (status != -E_INTR)
            continue;
        /* Some may be starting others, on other CPUs. */
        while (end_descendants(children + i, n - i))
            sys_sleep_msec(1);
        for (; i < n; i++)
            while (children[i] > 0 && wait(children[i]) == -E_INTR)
                continue;
        status = cancel();
    }
    return status;
}
