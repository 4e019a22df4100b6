/*
 * kill ID...: end environments. IDs are hexadecimal, as ps shows them.
 */
#include <inc/lib.h>

USAGE("kill ID...");

int umain(int argc, char **argv)
{
    int status = 0;

    if (argc < 2)
        return usage();
    for (int i = 1; i < argc; i++) {
        char *end;
        unsigned long id = strtoul(argv[i], &end, 16);
        int r = *argv[i] && *end == '\0' && id > 0 && id <= INT32_MAX ? sys_env_destroy(id)
                                                                      : -E_BAD_ENV;
        if (r < 0) {
            warn("%s: %e", argv[i], r);
            status = 1;
        }
    }
    return status;
}
