/*
 * replay [-e ONE_IN] [-n COUNT] [-s SEED] [FILE or FOLDER]...: gives a target the contents of
 * files, and COUNT random inputs. With -e, fields of files, of all sizes and at all offsets, take
 * numbers at the edges, too: one in ONE_IN of all these. An input that hurts, unless
 * it was a file's own, is in a file beside the program: its name with "-input".
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <user/vmm/host/random.h>
#include <user/vmm/host/target.h>

#define LARGEST    (1 << 20)
#define RANDOM_MAX 512 /* bytes of a random input */

static unsigned nfiles;
static unsigned long edges; /* one in so many; 0: none */
static unsigned long nedges;
static const uint8_t *current; /* an input that is in no file */
static size_t current_size;
static char kept[4096]; /* the file for it, beside the program's */

/* Sanitizers, where there are any, call this back before they end the program. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

#pragma weak LLVMFuzzerInitialize

static void keep_input(void)
{
    FILE *file = current ? fopen(kept, "wb") : NULL;
    if (!file)
        return;
    fwrite(current, 1, current_size, file);
    fclose(file);
    current = NULL;
    fprintf(stderr, "the input is in %s\n", kept);
}

static void on_abort(int signal)
{
    (void)signal;
    keep_input();
}

static void try(const uint8_t *data, size_t n)
{
    current = data;
    current_size = n;
    LLVMFuzzerTestOneInput(data, n);
    current = NULL;
}

/* Where they are zeroes, most inputs have no field. */
static bool is_interesting(const uint8_t *p, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (p[i])
            return true;
    return false;
}

/* The field of `size` bytes at `at`, with the numbers around its own, the ends of the range, and
 * powers of two; the same numbers as they are in a file beside it. */
static void try_edges(uint8_t *data, size_t n, size_t at, unsigned size)
{
    uint64_t old = 0, all = size == 8 ? ~0ul : (1ul << 8 * size) - 1;
    memcpy(&old, data + at, size);
    for (unsigned bit = 0; bit <= 8 * size; bit++) {
        uint64_t power = bit == 64 ? 0 : 1ul << bit;
        const uint64_t values[] = { power,       power - 1,   power + 1,  old + power,
                                    old - power, old ^ power, all - power };
        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            if (random_below(edges) != 0)
                continue;
            memcpy(data + at, &values[i], size);
            try(data, n);
            nedges++;
        }
    }
    memcpy(data + at, &old, size);
}

static void replay_edges(uint8_t *data, size_t n)
{
    for (unsigned size = 1; size <= 8; size *= 2)
        for (size_t at = 0; at + size <= n; at++)
            if (is_interesting(data + at, size))
                try_edges(data, n, at, size);
}

static void replay_file(const char *path)
{
    static uint8_t buf[LARGEST];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(2);
    }
    size_t n = fread(buf, 1, sizeof(buf), file);
    fclose(file);
    uint8_t *data = malloc(n + 1); /* of its own size, so that what is read beyond it is seen */
    memcpy(data, buf, n);
    LLVMFuzzerTestOneInput(data, n);
    if (edges)
        replay_edges(data, n);
    free(data);
    nfiles++;
}

static void replay(const char *path)
{
    char name[4096];
    DIR *dir = opendir(path);
    if (!dir) {
        replay_file(path);
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
        if (d->d_name[0] != '.')
            replay_file(name);
    }
    closedir(dir);
}

static void replay_random(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        size_t n = random_below(RANDOM_MAX);
        uint8_t *data = malloc(n + 1);
        for (size_t k = 0; k < n; k++)
            data[k] = random_bits();
        try(data, n);
        free(data);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    random_start(1);
    snprintf(kept, sizeof(kept), "%s-input", argv[0]);
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input);
    for (int c; (c = getopt(argc, argv, "e:n:s:")) != -1;) {
        if (c == 'n')
            count = strtoul(optarg, NULL, 0);
        else if (c == 'e')
            edges = strtoul(optarg, NULL, 0);
        else if (c == 's')
            random_start(strtoull(optarg, NULL, 0));
        else
            return 2;
    }
    for (int i = optind; i < argc; i++)
        replay(argv[i]);
    replay_random(count);
    const char *slash = strrchr(argv[0], '/');
    printf("%s: ok, %u files, %lu inputs with edges, %lu random ones\n",
           slash ? slash + 1 : argv[0], nfiles, nedges, count);
    return 0;
}
