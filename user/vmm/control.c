/*
 * The user's side of several guests: `vmm attach|log|pause|resume|stop|kill NAME`. A guest is found
 * by its env's name; its monitor is its parent.
 */
#include <user/vmm/attach.h>
#include <user/vmm/control.h>
#include <user/vmm/report.h>

#define LOG_PAGE ((struct MonLog *)UTEMP)

#define STOP_SECONDS   30 /* that a guest has to switch off */
#define ANSWER_SECONDS 5  /* that its monitor has to answer */

bool name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < ENV_NAME_LEN && !strchr(name, '/') && name[0] != '.';
}

/* Ask a monitor that has nothing else to tell: 0 or -E_*. */
static int64_t ask(envid_t monitor, uint64_t request)
{
    struct IpcMessage m;
    int r = sys_ipc_call(monitor, request, (void *)UTOP, 0, (void *)UTOP, &m);
    return r < 0 ? r : (int64_t)m.value;
}

/* Wait for a child for so long, then end it. Has it ended by itself? */
static bool await_child(envid_t child, unsigned seconds)
{
    uint64_t until = sys_time_msec() + seconds * 1000;
    while (sys_env_wait(child, NULL, true) != child) {
        if (sys_time_msec() >= until) {
            sys_env_destroy(child);
            sys_env_wait(child, NULL, false);
            return false;
        }
        sys_sleep_msec(1);
    }
    return true;
}

/* Does the monitor answer? It does not while it waits for a pipe, say. A call has no limit of time,
 * so a child of this env makes it. */
static bool answers(const char *name, envid_t monitor)
{
    envid_t child = fork();
    if (child == 0) {
        ask(monitor, MON_PING);
        sys_env_exit(0);
    }
    if (child < 0) {
        complain("cannot ask the monitor of guest %s: %e", name, child);
        return false;
    }
    if (await_child(child, ANSWER_SECONDS))
        return true;
    complain("the monitor of guest %s does not answer; vmm kill %s ends it", name, name);
    return false;
}

/* Leave the console, with Ctrl-C, to a monitor and sleep until it is given back. The answer, or
 * -E_*. */
static int64_t lend_console(envid_t monitor)
{
    sys_cons_claim(CONS_CLAIM_KEY);
    int64_t answer = ask(monitor, MON_ATTACH);
    sys_cons_claim(CONS_CLAIM_NONE);
    return answer;
}

static int goes_on(const char *name)
{
    printf("vmm: %s goes on in the background\n", name);
    return 0;
}

int await_monitor(envid_t monitor, const char *name)
{
    if (lend_console(monitor) == MON_DETACHED)
        return goes_on(name);
    int status = wait(monitor);
    if (status == EXIT_KILLED)
        complain("guest %s was killed", name);
    return status < 0 ? 1 : status;
}

static int attach(const char *name, envid_t guest, envid_t monitor)
{
    (void)guest;
    if (!answers(name, monitor))
        return 1;
    int64_t answer = lend_console(monitor);
    if (answer == MON_DETACHED)
        return goes_on(name);
    if (answer == -E_BUSY)
        complain("guest %s has a console already", name);
    else if (answer < 0)
        complain("guest %s was killed", name);
    return answer < 0 ? 1 : MON_STATUS(answer);
}

/* Ask for the output from byte `from` on. NULL if the monitor or its guest has ended. */
static const struct MonLog *ask_log(envid_t monitor, uint64_t from)
{
    struct IpcMessage m;
    int r = sys_ipc_call(monitor, MON_LOG_VALUE(from), (void *)UTOP, 0, LOG_PAGE, &m);
    return r == 0 && (int64_t)m.value == 0 && m.perm != 0 ? LOG_PAGE : NULL;
}

/* Print what its monitor keeps of the guest's output up to now. What was overwritten before it
 * could be read is skipped. */
static int print_log(const char *name, envid_t guest, envid_t monitor)
{
    (void)guest;
    uint64_t at = 0, end = UINT64_MAX;
    char last = '\n';
    if (!answers(name, monitor))
        return 1;
    while (at < end) {
        const struct MonLog *log = ask_log(monitor, at);
        if (!log) {
            complain("cannot read the log of guest %s: it has ended", name);
            return 1;
        }
        end = MIN(end, log->end);
        if (log->start >= end)
            break;
        size_t n = MIN(end - log->start, sizeof(log->text));
        int r = writen(1, log->text, n);
        if (r < 0) {
            complain("cannot write the log of guest %s: %e", name, r);
            return 1;
        }
        at = log->start + n;
        last = log->text[n - 1];
    }
    if (last != '\n')
        putchar('\n');
    return 0;
}

static int report(const char *what, const char *name, int r)
{
    if (r < 0)
        complain("cannot %s guest %s: %e", what, name, r);
    return r < 0;
}

static int set_paused(const char *name, envid_t guest, envid_t monitor)
{
    (void)monitor;
    return report("pause", name, sys_guest_pause(guest, true));
}

static int set_running(const char *name, envid_t guest, envid_t monitor)
{
    (void)monitor;
    return report("resume", name, sys_guest_pause(guest, false));
}

/* Has this env given back what it had? One that runs on another CPU needs a moment for it. */
static bool gone(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];
    return e->env_id != id || e->env_status == ENV_FREE || e->env_status == ENV_ZOMBIE;
}

/* The monitor's death ends its guest; where that is, and its trace, if there is one, is shown
 * before, while it stands still. */
static int end_guest(const char *name, envid_t guest, envid_t monitor)
{
    struct GuestStats st;
    if (sys_guest_stats(guest, &st) == 0 && st.traced > 0 && sys_guest_pause(guest, true) == 0)
        report_end(guest);
    int r = sys_env_destroy(monitor);
    while (r == 0 && !(gone(guest) && gone(monitor)))
        sys_sleep_msec(1);
    return report("kill", name, r);
}

/* ---- The power button ---- */

/* 0; -E_NOT_SUPP: the guest does not look at its power button. */
static int64_t press_power(envid_t monitor)
{
    return ask(monitor, MON_STOP);
}

/* Wait until it has ended. false: it takes longer. */
static bool await_end(envid_t guest, envid_t monitor, uint64_t until_ms)
{
    while (!(gone(guest) && gone(monitor))) {
        if (sys_time_msec() >= until_ms)
            return false;
        sys_sleep_msec(5);
    }
    return true;
}

static bool is_paused(envid_t guest)
{
    return envs[ENVX(guest)].env_marks & ENV_MARK_PAUSED;
}

static int stop(const char *name, envid_t guest, envid_t monitor)
{
    if (is_paused(guest)) {
        complain("guest %s is paused; vmm resume %s lets it go on", name, name);
        return 1;
    }
    if (!answers(name, monitor))
        return 1;
    int64_t r = press_power(monitor);
    if (r == -E_NOT_SUPP) {
        complain("guest %s does not look at its power button; vmm kill %s ends it", name, name);
        return 1;
    }
    if (r < 0 && !gone(guest))
        return report("stop", name, r);
    if (await_end(guest, monitor, sys_time_msec() + STOP_SECONDS * 1000))
        return 0;
    complain("guest %s has not switched off within %d seconds; vmm kill %s ends it", name,
             STOP_SECONDS, name);
    return 1;
}

/* A guest that is to stop. Its monitor may not answer, so a child of this env asks it. */
struct Stopping {
    envid_t guest, monitor, asker; /* asker: 0: it has ended */
    char name[ENV_NAME_LEN];
    bool obeys;
};

static unsigned list_guests(struct Stopping *all)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NENV; i++) {
        const volatile struct Env *e = &envs[i];
        if (e->env_type != ENV_TYPE_GUEST || !env_status_is_alive(e->env_status))
            continue;
        all[n] = (struct Stopping){ .guest = e->env_id, .monitor = e->env_parent_id };
        env_get_name(e->env_id, all[n].name);
        n++;
    }
    return n;
}

static void begin_stop(struct Stopping *s)
{
    if (is_paused(s->guest))
        sys_guest_pause(s->guest, false);
    envid_t child = fork();
    if (child == 0) {
        if (press_power(s->monitor) < 0)
            sys_env_exit(1);
        printf("vmm: waiting for guest %s to switch off\n", s->name);
        sys_env_exit(0);
    }
    s->asker = MAX(child, 0);
    s->obeys = child > 0; /* as far as is known */
}

/* Has its monitor answered? */
static void look_for_answer(struct Stopping *s)
{
    int status;
    if (s->asker == 0 || sys_env_wait(s->asker, &status, true) != s->asker)
        return;
    s->asker = 0;
    s->obeys = status == 0;
}

/* Wait until it has ended, as long as it obeys. */
static bool await_stop(struct Stopping *s, uint64_t start_ms)
{
    for (; !(gone(s->guest) && gone(s->monitor)); sys_sleep_msec(5)) {
        look_for_answer(s);
        uint64_t seconds = (sys_time_msec() - start_ms) / 1000;
        if (!s->obeys || seconds >= (s->asker ? ANSWER_SECONDS : STOP_SECONDS))
            return false;
    }
    return true;
}

static void end_stop(struct Stopping *s, uint64_t start_ms)
{
    if (!await_stop(s, start_ms)) {
        if (s->asker)
            complain("guest %s is ended: its monitor does not answer", s->name);
        else if (s->obeys)
            complain("guest %s has not switched off within %d seconds: it is ended", s->name,
                     STOP_SECONDS);
        sys_env_destroy(s->monitor);
        await_end(s->guest, s->monitor, start_ms + STOP_SECONDS * 1000);
        if (s->asker)
            sys_env_destroy(s->asker);
    }
    if (s->asker)
        sys_env_wait(s->asker, NULL, false);
}

/* All guests at once: the button of each, then the rest by force. */
static int stop_all(void)
{
    static struct Stopping all[NENV];
    unsigned n = list_guests(all);
    for (unsigned i = 0; i < n; i++)
        begin_stop(&all[i]);
    uint64_t start = sys_time_msec();
    for (unsigned i = 0; i < n; i++)
        end_stop(&all[i], start);
    return 0;
}

static const struct {
    const char *word;
    int (*run)(const char *name, envid_t guest, envid_t monitor);
} commands[] = {
    { "attach", attach },      { "log", print_log }, { "pause", set_paused },
    { "resume", set_running }, { "stop", stop },     { "kill", end_guest },
};

static const char stop_word[] = "stop", all_guests[] = "-a";

int control(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], stop_word) == 0 && strcmp(argv[2], all_guests) == 0)
        return stop_all();
    for (unsigned i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[1], commands[i].word) != 0)
            continue;
        if (argc != 3) {
            complain("usage: vmm %s NAME", argv[1]);
            return 2;
        }
        envid_t guest = guest_named(argv[2], 0);
        if (guest == 0) {
            complain("no guest named %s; vms lists guests", argv[2]);
            return 1;
        }
        return commands[i].run(argv[2], guest, envs[ENVX(guest)].env_parent_id);
    }
    return -1;
}
