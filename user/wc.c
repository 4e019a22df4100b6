/*
 * wc [-lwc] [FILE...]: count lines, words and bytes.
 */
#include <inc/lib.h>

USAGE("wc [-lwc] [FILE...]");

enum {
    LINES,
    WORDS,
    BYTES,
    NCOUNTS,
};

static bool wanted[NCOUNTS];
static uint64_t total[NCOUNTS];
static char buf[PGSIZE];

static void print(const uint64_t counts[], const char *name)
{
    char line[MAXPATHLEN + 80];
    size_t len = 0;

    for (int i = 0; i < NCOUNTS; i++)
        if (wanted[i])
            len += snprintf(line + len, sizeof(line) - len, "%s%lu", len ? " " : "", counts[i]);
    printf("%s%s%s\n", line, name ? " " : "", name ? name : "");
}

static int count(int fd, const char *name)
{
    uint64_t counts[NCOUNTS] = { 0 };
    bool in_word = false;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        counts[BYTES] += n;
        for (ssize_t i = 0; i < n; i++) {
            bool space = buf[i] == ' ' || (buf[i] >= '\t' && buf[i] <= '\r');
            counts[LINES] += buf[i] == '\n';
            counts[WORDS] += !space && !in_word;
            in_word = !space;
        }
    }
    if (n < 0) {
        warn("%s: %e", name ? name : "standard input", (int)n);
        return 1;
    }
    print(counts, name);
    for (int i = 0; i < NCOUNTS; i++)
        total[i] += counts[i];
    return 0;
}

static int count_file(const char *name)
{
    int fd = open(name, O_RDONLY);
    if (fd < 0) {
        warn("%s: %e", name, fd);
        return 1;
    }
    int r = count(fd, name);
    close(fd);
    return r;
}

int umain(int argc, char **argv)
{
    static const char letters[] = "lwc";
    int c, status = 0;

    while ((c = getopt(argc, argv, letters)) != -1) {
        if (c == '?')
            return usage();
        wanted[strchr(letters, c) - letters] = true;
    }
    if (!wanted[LINES] && !wanted[WORDS] && !wanted[BYTES])
        wanted[LINES] = wanted[WORDS] = wanted[BYTES] = true;
    if (optind == argc)
        return count(0, NULL);
    for (int i = optind; i < argc; i++)
        status |= count_file(argv[i]);
    if (argc - optind > 1)
        print(total, "total");
    return status;
}
