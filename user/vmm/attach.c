/*
 * Who has the host's console. A monitor owns it while a client waits for the answer to its
 * MON_ATTACH, and gives it back with that answer; a client that dies takes it along. Output is kept
 * in a ring, so that the next client sees what it missed.
 */
#include <user/vmm/attach.h>
#include <user/vmm/console.h>
#include <user/vmm/run.h>

#define HISTORY_SIZE 16384
#define ANSWER_PAGE  ((struct MonLog *)UTEMP)

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
    for (size_t done = 0, now; done < n; done += now, history.head += now) {
        size_t at = history.head % HISTORY_SIZE;
        now = MIN(n - done, HISTORY_SIZE - at);
        memcpy(history.buf + at, s + done, now);
    }
    if (!attached())
        return;
    if (on_console || on_request)
        sys_cputs(s, n);
    history.shown = history.head;
}

static void answer(envid_t to, int64_t value)
{
    sys_ipc_try_send(to, value, (void *)UTOP, 0);
}

static uint64_t oldest_kept(void)
{
    return history.head - MIN(history.head, (uint64_t)HISTORY_SIZE);
}

static void take_console(envid_t from, uint64_t value)
{
    (void)value;
    if (attached() && client == from)
        return; /* it started this monitor */
    if (attached()) {
        answer(from, -E_BUSY);
        return;
    }
    client = from;
    on_request = true;
    uint64_t oldest = oldest_kept();
    show(MAX(oldest, MIN(history.shown, last_line(oldest))));
}

/* Each answer has a page of its own, so that it does not change while the client reads it. */
static void send_log(envid_t from, uint64_t value)
{
    int r = sys_page_alloc(0, ANSWER_PAGE, PTE_P | PTE_U | PTE_W);
    if (r < 0) {
        answer(from, r);
        return;
    }
    struct MonLog *log = ANSWER_PAGE;
    uint64_t at = MIN(MAX(MON_LOG_FROM(value), oldest_kept()), history.head);
    log->start = at;
    log->end = history.head;
    for (size_t i = 0; i < sizeof(log->text) && at < history.head; i++)
        log->text[i] = history.buf[at++ % HISTORY_SIZE];
    sys_ipc_try_send(from, 0, log, PTE_P | PTE_U);
    sys_page_unmap(0, log);
}

static void press_button(envid_t from, uint64_t value)
{
    (void)value;
    answer(from, press_power());
}

static void answer_ping(envid_t from, uint64_t value)
{
    (void)value;
    answer(from, 0);
}

static void (*const requests[])(envid_t from, uint64_t value) = {
    [MON_ATTACH] = take_console,
    [MON_STOP] = press_button,
    [MON_LOG] = send_log,
    [MON_PING] = answer_ping,
};

void attach_message(envid_t from, uint64_t value)
{
    unsigned request = MON_REQUEST(value);
    if (request < ARRAY_SIZE(requests) && requests[request])
        requests[request](from, value);
    else
        answer(from, -E_INVAL);
}

void attach_end(uint64_t value)
{
    if (!attached())
        return;
    if (cons_mid_line()) /* not in the history: the guest is still in its line */
        sys_cputs("\n", 1);
    envid_t to = client;
    client = 0;
    answer(to, value);
}
