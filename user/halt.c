/*
 * halt [STATUS]: let all guests switch off, write everything to disk and power the machine off. In
 * a guest this ends the guest.
 */
#include <inc/lib.h>

USAGE("halt [STATUS], a number from 0 to 255");

static bool guests_run(void)
{
    for (unsigned i = 0; i < NENV; i++)
        if (envs[i].env_type == ENV_TYPE_GUEST && env_status_is_alive(envs[i].env_status))
            return true;
    return false;
}

/* vmm knows how. */
static void stop_guests(void)
{
    envid_t stopper = spawnl("/bin/vmm", "vmm", "stop", "-a", NULL);
    if (stopper < 0)
        warn("the guests are ended without notice: /bin/vmm: %e", stopper);
    else
        wait(stopper);
}

int umain(int argc, char **argv)
{
    unsigned long status = 0;
    char *end = "";

    if (argc == 2)
        status = strtoul(argv[1], &end, 10);
    if (argc > 2 || *end || status > 255 || (argc == 2 && argv[1][0] == '\0'))
        return usage();
    if (guests_run())
        stop_guests();
    int r = sync();
    if (r < 0)
        warn("sync: %e", r);
    r = sys_poweroff(status);
    warn("%e", r);
    return 1;
}
