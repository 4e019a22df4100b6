/*
 * vms: list the guests: state, CPU time, memory touched, exits, what the disk takes of the host's
 * and may take, and the monitor's id.
 */
#include <inc/lib.h>

USAGE("vms");

/* What a guest that is not running waits for, in words. */
static const char *const waits[] = {
    [WAIT_NONE] = "loading",  [WAIT_HLT] = "idle",      [WAIT_MONITOR] = "stopped",
    [WAIT_HOSTRECV] = "disk", [WAIT_HOSTSEND] = "disk", [WAIT_PAUSE] = "paused",
};

static const char *state(const volatile struct Env *e)
{
    uint32_t status = e->env_status, wait = e->env_wait;

    if (e->env_marks & ENV_MARK_PAUSED)
        return "paused";
    if (!env_status_is_alive(status))
        return "ended";
    if (status != ENV_NOT_RUNNABLE)
        return "running";
    return wait < ARRAY_SIZE(waits) && waits[wait] ? waits[wait] : "?";
}

/* Of all its disks, in KiB, in buffers of `size` bytes; "-": it has none. */
static void disk_words(envid_t guest, char *used, char *limit, size_t size)
{
    struct GuestDiskInfo info;
    uint64_t blocks = 0, most = 0;
    uint32_t n = 0;

    for (; guest_disk(guest, n, &info) == 0; n++) {
        blocks += info.used;
        most += info.limit;
    }
    strlcpy(used, "-", size);
    strlcpy(limit, "-", size);
    if (n == 0)
        return;
    snprintf(used, size, "%lu", blocks * (BLKSIZE / 1024ul));
    snprintf(limit, size, "%lu", most * (BLKSIZE / 1024ul));
}

static void print_guest(const volatile struct Env *e, uint64_t ticks_per_ms)
{
    struct GuestStats stats = { 0 };
    char name[ENV_NAME_LEN], used[24], limit[24];

    env_get_name(e->env_id, name);
    sys_guest_stats(e->env_id, &stats); /* of one that ends right now: zeroes */
    disk_words(e->env_id, used, limit, sizeof(used));
    printf("%-16s %-8s %9lu %9lu %9lu %9s %9s %08x\n", name, state(e), e->env_ticks / ticks_per_ms,
           stats.pages * (PGSIZE / 1024), stats.exits, used, limit, e->env_parent_id);
}

int umain(int argc, char **argv)
{
    struct SysInfo info;

    (void)argv;
    if (argc > 1)
        return usage();
    sys_sysinfo(&info);
    printf("%-16s %-8s %9s %9s %9s %9s %9s %s\n", "NAME", "STATE", "CPU ms", "KiB", "EXITS",
           "DISK KiB", "OF KiB", "MONITOR");
    for (int i = 0; i < NENV; i++)
        if (envs[i].env_type == ENV_TYPE_GUEST && envs[i].env_status != ENV_FREE)
            print_guest(&envs[i], MAX(info.tsc_khz, (uint64_t)1));
    return 0;
}
