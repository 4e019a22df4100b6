/*
 * The shell. Reads lines from the console, a file, a pipe or an argument, and runs the pipelines in
 * them. Programs are spawned with the descriptors they are to have in place; only a built-in
 * command in a pipeline needs a fork.
 */
#include "sh.h"

USAGE("sh [-c COMMAND | FILE] [ARGUMENT...]");

/* The shell's own standard input and output, while 0 and 1 belong to a command. */
#define SAVED_IN  (MAXFD - 1)
#define SAVED_OUT (MAXFD - 2)

struct Vars vars;
bool interactive;

/* ---- Running ---- */

/* Make fd `to` what fd `from` is, and close that. */
static void move_fd(int from, int to)
{
    dup(from, to);
    close(from);
}

static int redirect(const char *path, int mode, int to)
{
    int fd = open(path, mode);
    if (fd < 0) {
        warn("%s: %e", path, fd);
        return fd;
    }
    move_fd(fd, to);
    return 0;
}

static int redirect_command(const struct Command *cmd)
{
    int r = 0;
    if (cmd->in)
        r = redirect(cmd->in, O_RDONLY, 0);
    if (r == 0 && cmd->out)
        r = redirect(cmd->out, O_WRONLY | O_CREAT | (cmd->append ? O_APPEND : O_TRUNC), 1);
    return r;
}

static void restore_fds(void)
{
    dup(SAVED_IN, 0);
    dup(SAVED_OUT, 1);
}

/* If the file starts with "#!", get the interpreter's path. */
static bool script_interpreter(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    if (n < 3 || buf[0] != '#' || buf[1] != '!')
        return false;
    buf[n] = '\0';
    char *start = buf + 2;
    while (*start == ' ')
        start++;
    size_t len = 0;
    while (start[len] && !strchr(" \t\r\n", start[len]))
        len++;
    memmove(buf, start, len);
    buf[len] = '\0';
    return len > 0;
}

/* Start a script with its interpreter. -E_NOT_EXEC if it is none. */
static envid_t spawn_script(const char *path, const struct Command *cmd)
{
    const char *argv[MAX_ARGS + 2];
    char interpreter[128];

    if (!script_interpreter(path, interpreter, sizeof(interpreter)))
        return -E_NOT_EXEC;
    argv[0] = interpreter;
    argv[1] = path;
    for (int i = 1; i <= cmd->argc; i++)
        argv[i + 1] = cmd->argv[i];
    return spawn(interpreter, argv);
}

/* Start a program with descriptors 0 and 1 as they are now. On failure says why and returns the
 * negated exit status that stands for it. */
static envid_t start_program(const struct Command *cmd)
{
    char path[MAXPATHLEN];
    const char *name = cmd->argv[0];

    snprintf(path, sizeof(path), "%s%s", strchr(name, '/') ? "" : "/bin/", name);
    envid_t child = spawn(path, (const char **)cmd->argv);
    if (child == -E_NOT_EXEC)
        child = spawn_script(path, cmd);
    if (child >= 0)
        return child;
    if (child == -E_NOT_FOUND || child == -E_BAD_PATH) {
        warn("%s: command not found", name);
        return -NOT_FOUND;
    }
    warn("%s: %e", name, child);
    return -NOT_EXEC;
}

/* Run a built-in command in a child. */
static envid_t start_builtin(Builtin run, const struct Command *cmd)
{
    envid_t child = fork();
    if (child < 0) {
        warn("%s: %e", cmd->argv[0], child);
        return -NOT_EXEC;
    }
    if (child > 0)
        return child;
    for (int fd = 3; fd < MAXFD; fd++)
        close(fd);
    exit(run(cmd->argc, (const char **)cmd->argv));
}

/* Start one command of a pipeline; in and out are pipe ends or -1. */
static envid_t start_command(const struct Command *cmd, int in, int out)
{
    envid_t child = -1;
    Builtin builtin = find_builtin(cmd->argv[0]);

    if (in >= 0)
        dup(in, 0);
    if (out >= 0)
        dup(out, 1);
    if (redirect_command(cmd) == 0)
        child = builtin ? start_builtin(builtin, cmd) : start_program(cmd);
    if (in >= 0 || out >= 0 || cmd->in || cmd->out)
        restore_fds();
    return child;
}

/* A pipe whose ends are handed on only by dup. */
static int make_pipe(int fds[2])
{
    int r = pipe(fds);
    if (r < 0) {
        warn("pipe: %e", r);
        return r;
    }
    fd_keep(fds[0]);
    fd_keep(fds[1]);
    return 0;
}

/* What a program in the background reads from: nothing, so that it leaves the console alone. */
static int empty_input(void)
{
    int fds[2];
    if (make_pipe(fds) < 0)
        return -1;
    close(fds[1]);
    return fds[0];
}

/* Start all commands; children[i] becomes an env id or a negated exit status. Returns how many were
 * tried. */
static int start_pipeline(const struct Pipeline *pl, envid_t children[])
{
    int i, in = pl->link == LINK_BACKGROUND ? empty_input() : -1;

    for (i = 0; i < pl->ncmds; i++) {
        int fds[2] = { -1, -1 };
        if (i + 1 < pl->ncmds && make_pipe(fds) < 0)
            break;
        children[i] = start_command(&pl->cmd[i], in, fds[1]);
        if (in >= 0)
            close(in);
        if (fds[1] >= 0)
            close(fds[1]);
        in = fds[0];
    }
    if (i < pl->ncmds && in >= 0)
        close(in);
    return i;
}

/* A single built-in runs in the shell, so that it can change it. */
static int run_builtin(Builtin run, const struct Command *cmd)
{
    int status = 1;
    if (redirect_command(cmd) == 0)
        status = run(cmd->argc, (const char **)cmd->argv);
    if (cmd->in || cmd->out)
        restore_fds();
    return status;
}

static int run_pipeline(const struct Pipeline *pl)
{
    envid_t children[MAX_PARTS];
    Builtin builtin = find_builtin(pl->cmd[0].argv[0]);

    if (builtin && pl->ncmds == 1 && pl->link != LINK_BACKGROUND)
        return run_builtin(builtin, &pl->cmd[0]);
    int started = start_pipeline(pl, children);
    if (pl->link == LINK_BACKGROUND) {
        if (interactive && started > 0 && children[started - 1] > 0)
            printf("[%x]\n", children[started - 1]);
        return 0;
    }
    return started > 0 ? await_pipeline(children, started) : 1;
}

/* Check the whole line before any of it runs. Only ; and the end may have nothing in front. */
static bool check_line(const char *line, struct Pipeline *pl)
{
    const char *p = line, *why;
    enum Link before = LINK_SEQ;

    do {
        int r = parse_pipeline(&p, pl, &why);
        bool may_be_empty = before != LINK_AND && before != LINK_OR &&
                            (pl->link == LINK_END || pl->link == LINK_SEQ);
        if (r < 0 || (pl->ncmds == 0 && !may_be_empty)) {
            warn("syntax error: %s", why ? why : "command expected");
            vars.status = 2;
            return false;
        }
        before = pl->link;
    } while (pl->link != LINK_END);
    return true;
}

static void run_line(const char *line)
{
    static struct Pipeline pl;
    const char *p = line, *why;
    enum Link before = LINK_SEQ;

    if (!check_line(line, &pl))
        return;
    do {
        if (parse_pipeline(&p, &pl, &why) < 0)
            return;
        bool skip =
            (before == LINK_AND && vars.status != 0) || (before == LINK_OR && vars.status == 0);
        if (pl.ncmds > 0 && !skip)
            vars.status = run_pipeline(&pl);
        before = pl.link;
    } while (pl.link != LINK_END && !canceled);
}

/* ---- Reading lines ---- */

/* Collect the background programs that have ended. */
static void reap(void)
{
    int status;
    envid_t id;
    while ((id = sys_env_wait(0, &status, true)) > 0) {
        if (status != 0)
            printf("[%x] ended with status %d\n", id, status);
        else
            printf("[%x] done\n", id);
    }
}

static void run_console(void)
{
    struct SysInfo info;
    char *line;

    sys_sysinfo(&info);
    interactive = true;
    for (;;) {
        reap();
        sys_cons_claim(CONS_CLAIM_KEY); /* readline's */
        line = readline(info.is_guest ? "gOS$ " : "hOS$ ");
        if (!line)
            exit(vars.status);
        canceled = false;
        sys_cons_claim(CONS_CLAIM_INTERRUPT);
        run_line(line);
    }
}

/* Input that is not the console. Of fd 0 only what is needed is read, since commands read it too.
 */
struct Input {
    int fd;
    size_t pos, len, chunk;
    char buf[512];
};

static int input_char(struct Input *in)
{
    if (in->pos == in->len) {
        ssize_t n = read(in->fd, in->buf, in->chunk);
        if (n <= 0)
            return n < 0 ? n : -E_EOF;
        in->pos = 0;
        in->len = n;
    }
    return (unsigned char)in->buf[in->pos++];
}

/* Read a line without its newline. -E_EOF: there is no more; -E_TOO_BIG: it is too long. */
static int input_line(struct Input *in, char *line, size_t size)
{
    size_t len = 0;
    for (;;) {
        int c = input_char(in);
        if (c < 0 && (c != -E_EOF || len == 0))
            return c;
        if (c < 0 || c == '\n')
            break;
        if (len + 1 >= size)
            return -E_TOO_BIG;
        line[len++] = c;
    }
    line[len] = '\0';
    return 0;
}

static void run_input(int fd)
{
    static struct Input in;
    static char line[LINE_MAX];
    int r;

    in.fd = fd;
    in.chunk = fd == 0 ? 1 : sizeof(in.buf);
    while ((r = input_line(&in, line, sizeof(line))) == 0)
        run_line(line);
    if (r == -E_EOF)
        exit(vars.status);
    warn("%e in reading commands", r);
    exit(2);
}

static void run_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        warn("%s: %e", path, fd);
        exit(NOT_FOUND);
    }
    fd_keep(fd);
    run_input(fd);
}

int umain(int argc, char **argv)
{
    dup(0, SAVED_IN);
    dup(1, SAVED_OUT);
    fd_keep(SAVED_IN);
    fd_keep(SAVED_OUT);
    vars.argc = argc;
    vars.argv = argv;

    if (argc > 1 && strcmp(argv[1], "-c") == 0) {
        if (argc == 2)
            return usage();
        vars.argc = argc - 2;
        vars.argv = argv + 2;
        run_line(argv[2]);
        return vars.status;
    }
    if (argc > 1) {
        vars.argc = argc - 1;
        vars.argv = argv + 1;
        run_file(argv[1]);
    }
    if (!iscons(0))
        run_input(0);
    run_console();
    return 0;
}
