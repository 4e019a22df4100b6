/*
 * halt [STATUS]: write everything to disk and power the machine off. In a guest this ends the
 * guest.
 */
#include <inc/lib.h>

int umain(int argc, char **argv)
{
    unsigned long status = 0;
    char *end = "";

    if (argc == 2)
        status = strtoul(argv[1], &end, 10);
    if (argc > 2 || *end || status > 255 || (argc == 2 && argv[1][0] == '\0')) {
        warn("usage: halt [STATUS], a number from 0 to 255");
        return 2;
    }
    int r = sync();
    if (r < 0)
        warn("sync: %e", r);
    r = sys_poweroff(status);
    warn("%e", r);
    return 1;
}
