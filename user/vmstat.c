/*
 * vmstat: exits of the guests by reason, with what each costs: ticks in the VMM, and ticks stopped
 * for the monitor. Shows them anew each second until a key is pressed, or once (-1).
 */
#include <inc/lib.h>
#include <inc/vmtrace.h>

#define CLEAR_SCREEN "\033[H\033[J"
#define PERIOD_MS    1000
#define LOOK_MS      50 /* for keys */

struct Before {
    envid_t id;
    uint64_t exits;
};
static struct Before before[NENV]; /* at the last time, for exits a second */

USAGE("vmstat [-1] [NAME]");

static void print_reason(const struct GuestStats *st, unsigned i)
{
    uint64_t n = st->reasons[i];

    printf("  %10lu %5lu%% %10lu %10lu  %s\n", n, n * 100 / MAX(st->exits, (uint64_t)1),
           st->vmm_ticks[i] / n, st->monitor_ticks[i] / n, vmexit_words(i));
}

static void print_line(const char *text)
{
    printf("%s\n", text);
}

static void print_guest(envid_t id, bool rate)
{
    struct GuestStats st;
    char name[ENV_NAME_LEN];
    struct Before *b = &before[ENVX(id)];

    env_get_name(id, name);
    if (sys_guest_stats(id, &st) < 0)
        return; /* it ends right now */
    printf("%s: %lu exits", name, st.exits);
    if (rate && b->id == id)
        printf(", %lu in the last second", (st.exits - b->exits) * 1000 / PERIOD_MS);
    printf(", last: %s\n", vmexit_words(st.last_reason));
    vmstats_unknown(&st, print_line);
    *b = (struct Before){ .id = id, .exits = st.exits };
    printf("  %10s %6s %10s %10s  %s\n", "EXITS", "SHARE", "VMM", "MONITOR", "REASON");
    for (unsigned i = 0; i < GUEST_NREASONS; i++)
        if (st.reasons[i] > 0)
            print_reason(&st, i);
}

/* Print one guest, or all of them (0). Returns how many there were. */
static unsigned print_guests(envid_t only, bool rate)
{
    unsigned count = 0;

    for (int i = 0; i < NENV; i++) {
        envid_t id = envs[i].env_id;
        if (envs[i].env_type != ENV_TYPE_GUEST || envs[i].env_status == ENV_FREE ||
            (only != 0 && id != only))
            continue;
        print_guest(id, rate);
        count++;
    }
    if (count == 0)
        printf("no guests\n");
    else
        printf("VMM, MONITOR: ticks an exit, in the kernel and until the monitor's answer\n");
    return count;
}

/* Sleep until the next look. Returns false if a key was pressed. */
static bool wait_period(void)
{
    for (int ms = 0; ms < PERIOD_MS; ms += LOOK_MS) {
        if (sys_cgetc(false) > 0)
            return false;
        sys_sleep_msec(LOOK_MS);
    }
    return true;
}

int umain(int argc, char **argv)
{
    bool once = argc > 1 && strcmp(argv[1], "-1") == 0;
    const char *name = argc > 1 + once ? argv[1 + once] : NULL;
    envid_t guest = 0;

    if (argc > 2 + once || (name && name[0] == '-'))
        return usage();
    if (name && (guest = guest_named(name, 0)) == 0) {
        warn("no guest named %s; vms lists guests", name);
        return 1;
    }
    if (once) {
        print_guests(guest, false);
        return 0;
    }
    do {
        printf(CLEAR_SCREEN);
        print_guests(guest, true);
        printf("Any key ends this.\n");
    } while (wait_period());
    return 0;
}
