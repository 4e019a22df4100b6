/*
 * bench-host: what the machine spends beside this program, for conf/bench.
 *     HOST frames USED USER GUEST SHARED    page frames in use; mappings of frames in envs and in
 *                                           guests; mappings beyond the first one of a frame
 *     HOST stolen TICKS SPAN                ticks of the span in which something else had the CPU
 *     HOST busy TICKS                       ticks in which some env, of those that still exist, had
 * a CPU `bench-host -t` prints the second line too, which takes SPAN_SECONDS, and `bench-host -b`
 * the third.
 */
#include <inc/lib.h>
#include <inc/x86.h>

USAGE("bench-host [-t | -b]");

#define SPAN_SECONDS 4
#define OWN_STEP     64 /* ticks that a turn of the loop below takes at most by itself */

/* Mappings of all frames beyond the first. A frame that was never used has no references. */
static uint64_t count_shared(uint64_t nframes)
{
    uint64_t shared = 0;
    for (uint64_t i = 0; i < nframes; i++)
        if (pages[i].pp_ref > 1)
            shared += pages[i].pp_ref - 1;
    return shared;
}

static void print_frames(const struct SysInfo *info)
{
    uint64_t user = 0, guest = 0;

    for (int i = 0; i < NENV; i++) {
        struct GuestStats stats = { 0 };
        if (envs[i].env_status == ENV_FREE)
            continue;
        if (envs[i].env_type != ENV_TYPE_GUEST)
            user += envs[i].env_pages;
        else if (sys_guest_stats(envs[i].env_id, &stats) == 0)
            guest += stats.pages;
    }
    printf("HOST frames %lu %lu %lu %lu\n", info->pages_total - info->pages_free, user, guest,
           count_shared(info->pages_total));
}

/* Read the clock without a pause: what is missing between two readings, somebody else had. */
static void print_stolen(const struct SysInfo *info)
{
    uint64_t start = read_tsc(), last = start, stolen = 0;
    uint64_t end = start + SPAN_SECONDS * 1000 * info->tsc_khz;

    while (last < end) {
        uint64_t now = read_tsc();
        if (now - last > OWN_STEP)
            stolen += now - last;
        last = now;
    }
    printf("HOST stolen %lu %lu\n", stolen, last - start);
}

static void print_busy(void)
{
    uint64_t busy = 0;

    for (int i = 0; i < NENV; i++)
        if (envs[i].env_status != ENV_FREE)
            busy += envs[i].env_ticks;
    printf("HOST busy %lu\n", busy);
}

int umain(int argc, char **argv)
{
    struct SysInfo info;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "-t") != 0 && strcmp(argv[1], "-b") != 0))
        return usage();
    sys_sysinfo(&info);
    print_frames(&info);
    if (argc > 1 && strcmp(argv[1], "-t") == 0)
        print_stolen(&info);
    if (argc > 1 && strcmp(argv[1], "-b") == 0)
        print_busy();
    return 0;
}
