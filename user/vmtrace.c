/*
 * vmtrace: print the exits of a guest that was started with `vmm -t`, as lines for people or as
 * JSON for tools (conf/exitplot).
 */
#include <inc/lib.h>
#include <inc/vmtrace.h>

#define PART 16 /* entries that are read at a time */

USAGE("vmtrace [-json] NAME");

static void print_json(uint64_t n, const struct GuestTraceEntry *e, bool first)
{
    char detail[80], action[64];

    vmtrace_detail(detail, sizeof(detail), e);
    vmtrace_action(action, sizeof(action), e);
    printf("%s\n{\"n\":%lu,\"tsc\":%lu,\"rip\":\"0x%lx\",\"reason\":%u,\"name\":\"%s\","
           "\"words\":\"%s\",\"code\":\"0x%x\",\"info\":\"0x%lx\",\"detail\":\"%s\","
           "\"action\":\"%s\",\"next\":\"%s\",\"ticks\":%u}",
           first ? "" : ",", n, e->tsc, e->rip, e->reason, vmexit_name(e->reason),
           vmexit_words(e->reason), e->code, e->info, detail, vmaction_name(e->action), action,
           e->ticks);
}

static void print_text(uint64_t n, const struct GuestTraceEntry *e)
{
    char line[VMTRACE_LINE];

    vmtrace_line(line, sizeof(line), n, e);
    printf("%s\n", line);
}

/* All that is kept now; what the guest adds meanwhile is left to the next call. 0 or -E_*. */
static int print_trace(envid_t guest, bool json)
{
    struct GuestTraceEntry entries[PART];
    struct GuestStats stats;
    uint64_t next = 0;
    bool first = true;
    int64_t n;

    if ((n = sys_guest_stats(guest, &stats)) < 0)
        return n;
    while (next < stats.exits && (n = sys_guest_trace(guest, &next, entries, PART)) > 0) {
        for (int64_t i = 0; i < n; i++, first = false) {
            if (json)
                print_json(next + i, &entries[i], first);
            else
                print_text(next + i, &entries[i]);
        }
        next += n;
    }
    return MIN(n, (int64_t)0);
}

int umain(int argc, char **argv)
{
    bool json = argc > 1 && (strcmp(argv[1], "-json") == 0 || strcmp(argv[1], "--json") == 0);
    struct SysInfo info;
    int r;

    if (argc != 2 + json || argv[argc - 1][0] == '-')
        return usage();
    const char *name = argv[argc - 1];
    envid_t guest = guest_named(name, 0);
    if (guest == 0) {
        warn("no guest named %s; vms lists guests", name);
        return 1;
    }
    struct GuestTraceEntry entry;
    uint64_t first = 0;
    if (sys_guest_trace(guest, &first, &entry, 0) == -E_NOT_FOUND) {
        warn("guest %s is not traced; start it with vmm -t", name);
        return 1;
    }
    if (json) {
        sys_sysinfo(&info);
        printf("{\"guest\":\"%s\",\"tsc_khz\":%lu,\"exits\":[", name, info.tsc_khz);
    } else {
        printf("%6s %14s %-16s %s\n", "EXIT", "TICK", "RIP", "REASON");
    }
    if ((r = print_trace(guest, json)) < 0)
        warn("guest %s: %e", name, r);
    if (json)
        printf("\n]}\n");
    return r < 0;
}
