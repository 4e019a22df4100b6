/*
 * The console as a file. Reading gives lines, echoed and with backspace; programs that want single
 * keys call sys_cgetc, and the shell has readline.
 */
#include "internal.h"

#define CTRL(c) ((c)&0x1f)
#define DEL     0x7f

bool iscons(int fdnum)
{
    const struct Dev *dev;
    struct Fd *fd;
    return fd_dev(fdnum, O_ACCMODE, &fd, &dev) == 0 && dev == &devcons;
}

int opencons(void)
{
    struct Fd *fd;
    int r = fd_make(&devcons, O_RDWR, &fd);
    return r < 0 ? r : fd_number(fd);
}

/* Ends with a newline, when buf is full, or at Ctrl-D; 0 for Ctrl-D on an empty line. */
static ssize_t cons_read(struct Fd *fd, void *buf, size_t n)
{
    char *line = buf;
    size_t len = 0;
    (void)fd;

    while (len < n) {
        int c = sys_cgetc(true);
        if (c < 0)
            return c;
        if (c == CTRL('D'))
            return len;
        if (c == DEL || c == CTRL('H')) {
            if (len > 0)
                sys_cputs("\b \b", 3);
            len -= len > 0;
            continue;
        }
        char ch = c == '\r' ? '\n' : c;
        sys_cputs(&ch, 1);
        line[len++] = ch;
        if (ch == '\n')
            break;
    }
    return len;
}

static ssize_t cons_write(struct Fd *fd, const void *buf, size_t n)
{
    (void)fd;
    int r = sys_cputs(buf, n);
    return r < 0 ? r : (ssize_t)n;
}

static int cons_stat(struct Fd *fd, struct Stat *st)
{
    (void)fd;
    (void)st;
    return 0;
}

const struct Dev devcons = {
    .dev_id = 'c',
    .dev_name = "console",
    .dev_read = cons_read,
    .dev_write = cons_write,
    .dev_stat = cons_stat,
};

/* ---- For readline ---- */

int term_key(bool wait)
{
    return MAX(sys_cgetc(wait), 0);
}

void term_write(const char *s, size_t len)
{
    sys_cputs(s, len);
}
