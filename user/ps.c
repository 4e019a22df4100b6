/*
 * ps: list the environments.
 */
#include <inc/lib.h>

USAGE("ps");

static const char *const statuses[] = {
    [ENV_RUNNABLE] = "ready", [ENV_RUNNING] = "running", [ENV_NOT_RUNNABLE] = "waiting",
    [ENV_DYING] = "dying",    [ENV_ZOMBIE] = "ended",
};

static const char *const types[] = {
    [ENV_TYPE_USER] = "user",
    [ENV_TYPE_FS] = "fs",
    [ENV_TYPE_INIT] = "init",
    [ENV_TYPE_GUEST] = "guest",
};

static const char *word(const char *const words[], size_t n, uint32_t i)
{
    return i < n && words[i] ? words[i] : "?";
}

static void print_env(const volatile struct Env *e)
{
    char name[ENV_NAME_LEN];

    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = e->env_name[i];
    name[sizeof(name) - 1] = '\0';
    printf("%08x %08x %-7s %-5s %6u %8u %14lu %s\n", e->env_id, e->env_parent_id,
           word(statuses, ARRAY_SIZE(statuses), e->env_status),
           word(types, ARRAY_SIZE(types), e->env_type), e->env_pages, e->env_runs, e->env_ticks,
           name);
}

int umain(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return usage();
    printf("%-8s %-8s %-7s %-5s %6s %8s %14s %s\n", "ID", "PARENT", "STATUS", "TYPE", "PAGES",
           "RUNS", "TICKS", "NAME");
    for (int i = 0; i < NENV; i++)
        if (envs[i].env_status != ENV_FREE)
            print_env(&envs[i]);
    return 0;
}
