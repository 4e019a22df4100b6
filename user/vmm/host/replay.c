/*
 * replay [-n COUNT] [-s SEED] [FILE or FOLDER]...: gives a target the contents of files, and COUNT
 * random inputs. An input that hurts is in the file crash-input if it was a random one.
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
#define CRASH_FILE "crash-input"

static unsigned nfiles;
static const uint8_t *current; /* a random input */
static size_t current_size;

/* Sanitizers, where there are any, call this back before they end the program. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
    FILE *file = current ? fopen(CRASH_FILE, "wb") : NULL;
    if (!file)
        return;
    fwrite(current, 1, current_size, file);
    fclose(file);
    current = NULL;
    fprintf(stderr, "the input is in " CRASH_FILE "\n");
}

static void on_abort(int signal)
{
    (void)signal;
    keep_input();
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
        current = data;
        current_size = n;
        LLVMFuzzerTestOneInput(data, n);
        current = NULL;
        free(data);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    random_start(1);
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input);
    for (int c; (c = getopt(argc, argv, "n:s:")) != -1;) {
        if (c == 'n')
            count = strtoul(optarg, NULL, 0);
        else if (c == 's')
            random_start(strtoull(optarg, NULL, 0));
        else
            return 2;
    }
    for (int i = optind; i < argc; i++)
        replay(argv[i]);
    replay_random(count);
    printf("%s: ok, %u files, %lu random inputs\n",
           strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0], nfiles, count);
    return 0;
}
