/*
 * Command-line arguments: options in the manner of POSIX getopt, and sizes.
 */
#include <inc/lib.h>

char *optarg;
int optind = 1;
int optopt;

static const char *cluster = ""; /* rest of "-abc" that is still to be looked at */

/* Start on the next argument; false if it is not an option. "--" ends the options and is skipped.
 */
static bool next_cluster(int argc, char *const argv[])
{
    if (optind >= argc || argv[optind][0] != '-' || argv[optind][1] == '\0')
        return false;
    cluster = argv[optind++] + 1;
    return strcmp(cluster, "-") != 0;
}

/* Complain, unless optstring starts with a colon. */
static int bad_option(const char *optstring, const char *what)
{
    if (optstring[0] == ':')
        return what[0] == 'm' ? ':' : '?';
    warn("%s -%c", what, optopt);
    return '?';
}

/*
 * Returns the next option's letter, -1 at the end of the options, '?' for an unknown option or a
 * missing argument (said in words on fd 2; with a leading colon in optstring, ':' and silence
 * instead).
 */
int getopt(int argc, char *const argv[], const char *optstring)
{
    optarg = NULL;
    if (*cluster == '\0' && !next_cluster(argc, argv)) {
        cluster = "";
        return -1;
    }
    optopt = *cluster++;
    const char *o = strchr(optstring, optopt);
    if (!o || optopt == ':')
        return bad_option(optstring, "unknown option");
    if (o[1] != ':')
        return optopt;

    if (*cluster)
        optarg = (char *)cluster;
    else if (optind < argc)
        optarg = argv[optind++];
    else
        return bad_option(optstring, "missing argument after option");
    cluster = "";
    return optopt;
}

int parse_size(const char *s, uint64_t *value)
{
    static const char suffixes[] = "KMGT";
    char *end;

    if (*s < '0' || *s > '9')
        return -E_INVAL;
    uint64_t v = strtoul(s, &end, 0);
    int shift = 0;
    if (*end) {
        char upper = *end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end;
        const char *suffix = strchr(suffixes, upper);
        if (!suffix || end[1])
            return -E_INVAL;
        shift = 10 * (suffix - suffixes + 1);
    }
    /* A saturated number is too large, whatever was meant. */
    if (v == ~0ul || v << shift >> shift != v)
        return -E_INVAL;
    *value = v << shift;
    return 0;
}
