/*
 * Who has the host's console. A monitor owns it while a client waits for the answer to its
 * MON_ATTACH, and gives it back with that answer; a client that dies takes it along. Output is kept
 * in a ring, so that the next client sees what it missed.
 */
#include <user/vmm/attach.h>
#include <user/vmm/console.h>

#define HISTORY_SIZE 16384

static struct {
    char buf[HISTORY_SIZE];
    uint64_t head;  /* bytes of output so far; byte i is in buf[i % HISTORY_SIZE] */
    uint64_t shown; /* head when somebody was attached last */
} history;

static envid_t client; /* 0: none */
static bool on_request;

void attach_start(envid_t id)
{
    client = id;
}

bool attached(void)
{
    if (client && !env_alive(client))
        client = 0;
    return client != 0;
}

bool attached_on_request(void)
{
    return attached() && on_request;
}

/* Print what the ring has from byte `from` on. */
static void show(uint64_t from)
{
    while (from < history.head) {
        size_t at = from % HISTORY_SIZE;
        size_t n = MIN(history.head - from, HISTORY_SIZE - at);
        sys_cputs(history.buf + at, n);
        from += n;
    }
    history.shown = history.head;
}

/* Where an unfinished line at the end of the output starts. */
static uint64_t last_line(uint64_t oldest)
{
    uint64_t at = history.head;
    while (at > oldest && history.buf[(at - 1) % HISTORY_SIZE] != '\n')
        at--;
    return at;
}

void attach_output(const char *s, size_t n, bool on_console)
{
    for (size_t i = 0; i < n; i++)
        history.buf[history.head++ % HISTORY_SIZE] = s[i];
    if (!attached())
        return;
    if (on_console || on_request)
        sys_cputs(s, n);
    history.shown = history.head;
}

void attach_answer(envid_t to, int64_t value)
{
    sys_ipc_try_send(to, value, (void *)UTOP, 0);
}

void attach_client(envid_t from)
{
    if (attached() && client == from)
        return; /* it started this monitor */
    if (attached()) {
        attach_answer(from, -E_BUSY);
        return;
    }
    client = from;
    on_request = true;
    uint64_t oldest = history.head - MIN(history.head, (uint64_t)HISTORY_SIZE);
    show(MAX(oldest, MIN(history.shown, last_line(oldest))));
}

void attach_end(uint64_t value)
{
    if (!attached())
        return;
    if (cons_mid_line()) /* not in the history: the guest is still in its line */
        sys_cputs("\n", 1);
    envid_t to = client;
    client = 0;
    attach_answer(to, value);
}
