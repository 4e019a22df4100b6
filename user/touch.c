/*
 * touch PATH...: make files that do not exist.
 */
#include <inc/lib.h>

USAGE("touch PATH...");

int umain(int argc, char **argv)
{
    int status = 0;

    if (argc < 2)
        return usage();
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_WRONLY | O_CREAT);
        if (fd < 0) {
            warn("%s: %e", argv[i], fd);
            status = 1;
            continue;
        }
        close(fd);
    }
    return status;
}
