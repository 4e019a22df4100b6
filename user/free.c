/*
 * free [-d]: how much memory is free, and with -d how much of the disk.
 */
#include <inc/lib.h>

USAGE("free [-d]");

static int print_disk(void)
{
    uint64_t total, free_blocks;
    int r = statfs(&total, &free_blocks);
    if (r < 0) {
        warn("disk: %e", r);
        return 1;
    }
    printf("disk: %lu blocks of 4 KiB, %lu free\n", total, free_blocks);
    return 0;
}

int umain(int argc, char **argv)
{
    struct SysInfo info;
    bool disk = argc == 2 && strcmp(argv[1], "-d") == 0;

    if (argc > 1 && !disk)
        return usage();
    sys_sysinfo(&info);
    printf("memory: %lu pages of 4 KiB, %lu free\n", info.pages_total, info.pages_free);
    return disk ? print_disk() : 0;
}
