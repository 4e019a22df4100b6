/*
 * Looking envs up in the kernel's table, which is mapped read-only. An answer may be out of date as
 * soon as it is given.
 */
#include <inc/lib.h>

bool env_alive(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    return id > 0 && e->env_id == id && env_status_is_alive(e->env_status);
}

void env_get_name(envid_t id, char *buf)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    for (size_t i = 0; i < ENV_NAME_LEN; i++)
        buf[i] = e->env_name[i];
    buf[ENV_NAME_LEN - 1] = '\0';
    if (e->env_id != id)
        strlcpy(buf, "?", ENV_NAME_LEN);
}

envid_t guest_named(const char *name, envid_t but)
{
    char other[ENV_NAME_LEN];

    for (int i = 0; i < NENV; i++) {
        envid_t id = envs[i].env_id;
        if (id == but || envs[i].env_type != ENV_TYPE_GUEST || !env_alive(id))
            continue;
        env_get_name(id, other);
        if (strcmp(name, other) == 0)
            return id;
    }
    return 0;
}
