/*
 * The first program, which the kernel carries in its image: opens the console, runs what the
 * kernel's command line asks for, then keeps a shell running.
 *
 *     run=NAME     run /bin/NAME first, with the words after "--" as its arguments
 *     thenhalt     power off afterwards, with the program's status
 */
#include <inc/lib.h>

#define MAX_WORDS 64

struct Request {
    const char *run; /* NULL: nothing */
    bool halt;
    const char *argv[MAX_WORDS + 1];
};

/* Cut the text into words, in place. */
static int split(char *text, char *words[], int max)
{
    int n = 0;
    for (char *p = text; *p && n < max; n++) {
        while (*p == ' ')
            p++;
        if (*p == '\0')
            break;
        words[n] = p;
        p = strfind(p, ' ');
        if (*p)
            *p++ = '\0';
    }
    return n;
}

static void parse_cmdline(char *cmdline, struct Request *rq)
{
    static const char run[] = "run=";
    char *words[MAX_WORDS];
    int n = split(cmdline, words, MAX_WORDS), i = 0, argc = 1;

    for (; i < n && strcmp(words[i], "--") != 0; i++) {
        if (strncmp(words[i], run, sizeof(run) - 1) == 0)
            rq->run = words[i] + sizeof(run) - 1;
        else if (strcmp(words[i], "thenhalt") == 0)
            rq->halt = true;
    }
    rq->argv[0] = rq->run;
    for (i++; i < n; i++)
        rq->argv[argc++] = words[i];
}

static void open_console(void)
{
    int fd = opencons();
    if (fd != 0)
        panic("no console: %e", fd);
    dup(0, 1);
    dup(0, 2);
}

/* The power button: what programs have not written yet is lost, as on a PC. */
static void switch_off(void)
{
    printf("init: the power button was pressed\n");
    sync();
    sys_poweroff(0);
}

/* Wait for a child (0: any). Returns its id, or -E_*. */
static envid_t wait_for(envid_t child, int *status)
{
    envid_t ended = sys_env_wait(child, status, false);
    if (ended == -E_POWER)
        switch_off();
    return ended;
}

/* Run the program that was asked for; returns its exit status. */
static int run_request(const struct Request *rq)
{
    char path[MAXPATHLEN];

    snprintf(path, sizeof(path), "%s%s", strchr(rq->run, '/') ? "" : "/bin/", rq->run);
    envid_t child = spawn(path, (const char **)rq->argv);
    if (child < 0) {
        printf("init: %s: %e\n", path, child);
        return 127;
    }
    int status = 0;
    wait_for(child, &status);
    if (status != 0)
        printf("init: %s exited with status %d\n", rq->run, status);
    return status;
}

/* Programs whose parents have ended may become children of this one: they are waited for as well.
 */
static void run_shell(void)
{
    int status;
    envid_t ended, shell = spawnl("/bin/sh", "sh", NULL);

    if (shell < 0) {
        printf("init: no shell: /bin/sh: %e. Is there a disk with a file system?\n", shell);
        sys_poweroff(1);
    }
    do
        ended = wait_for(0, &status);
    while (ended != shell && ended > 0);
    printf("init: the shell ended with status %d; here is another\n", status);
}

int umain(int argc, char **argv)
{
    static char cmdline[512];
    struct Request rq = { .run = NULL };

    (void)argc;
    (void)argv;
    binaryname = "init";
    sys_env_set_name(0, binaryname);
    open_console();
    if (ipc_find_env(ENV_TYPE_FS) == 0)
        printf("init: no file server: nothing can be loaded from disk\n");

    sys_cmdline(cmdline, sizeof(cmdline));
    parse_cmdline(cmdline, &rq);
    int status = rq.run ? run_request(&rq) : 0;
    if (rq.halt) {
        sync();
        sys_poweroff(status);
    }
    for (;;)
        run_shell();
}
