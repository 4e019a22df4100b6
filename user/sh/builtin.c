/*
 * Commands that are part of the shell, since they concern the shell itself.
 */
#include "sh.h"

static int number_arg(const char *s, int *value)
{
    char *end;
    *value = strtol(s, &end, 10);
    return *s && *end == '\0' ? 0 : -E_INVAL;
}

static int do_exit(int argc, const char **argv)
{
    int status = vars.status;
    if (argc > 2 || (argc == 2 && number_arg(argv[1], &status) < 0)) {
        warn("usage: exit [STATUS]");
        return 2;
    }
    exit(status);
}

static int do_wait(int argc, const char **argv)
{
    int status = 0;
    if (argc == 1) {
        envid_t ended;
        while ((ended = sys_env_wait(0, &status, false)) > 0)
            continue;
        return ended == -E_INTR ? cancel() : 0;
    }
    for (int i = 1; i < argc; i++) {
        status = wait(strtoul(argv[i], NULL, 16));
        if (status == -E_INTR)
            return cancel();
        if (status < 0) {
            warn("wait: %s: %e", argv[i], status);
            status = NOT_FOUND;
        }
    }
    return status;
}

static int do_history(int argc, const char **argv)
{
    const char *line;
    (void)argc;
    (void)argv;
    for (int i = 0; (line = readline_history(i)); i++)
        printf("%4d  %s\n", i + 1, line);
    return 0;
}

static int do_cd(int argc, const char **argv)
{
    (void)argc;
    (void)argv;
    warn("cd: there is no current directory: every path starts at /");
    return 1;
}

static int do_help(int argc, const char **argv);

static const struct {
    const char *name;
    Builtin run;
    const char *help;
} builtins[] = {
    { "cd", do_cd, "there is no current directory" },
    { "exit", do_exit, "[STATUS]  end this shell" },
    { "help", do_help, "this list" },
    { "history", do_history, "the lines typed before" },
    { "wait", do_wait, "[ID...]  wait for background programs, all or these" },
};

static int do_help(int argc, const char **argv)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        printf("%-8s %s\n", builtins[i].name, builtins[i].help);
    printf("Programs are in /bin: ls /bin. cmd <IN >OUT >>OUT | ; & && || $? 'text' \"text\" #\n");
    return 0;
}

Builtin find_builtin(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        if (strcmp(name, builtins[i].name) == 0)
            return builtins[i].run;
    return NULL;
}
