/*
 * echo [-n] [WORD...]: print the words.
 */
#include <inc/lib.h>

int umain(int argc, char **argv)
{
    static char buf[PGSIZE];
    bool newline = argc < 2 || strcmp(argv[1], "-n") != 0;
    int first = newline ? 1 : 2;
    size_t len = 0;

    /* The kernel limits a program's arguments to less than buf. */
    for (int i = first; i < argc; i++)
        len += snprintf(buf + len, sizeof(buf) - len, "%s%s", i > first ? " " : "", argv[i]);
    if (newline)
        buf[len++] = '\n';
    return writen(1, buf, len) < 0;
}
