/*
 * printf: conversions, flags, widths, lengths, error words; and formatted output to files.
 */
#include "test.h"

#define EXPECT(text, ...)                                                \
    do {                                                                 \
        char got[100];                                                   \
        int len = snprintf(got, sizeof(got), __VA_ARGS__);               \
        CHECK(strcmp(got, text) == 0, "'%s' and not '%s'", got, text);   \
        CHECK(len == (int)strlen(text), "length %d of '%s'", len, text); \
    } while (0)

static void numbers(void)
{
    EXPECT("-5 7 4294967295", "%d %i %u", -5, 7, -1);
    EXPECT("ff FF 377", "%x %X %o", 255, 255, 255);
    EXPECT("0xff 0XFF 0377 0", "%#x %#X %#o %#x", 255, 255, 255, 0);
    EXPECT("-9223372036854775808", "%ld", INT64_MIN);
    EXPECT("18446744073709551615", "%lu", UINT64_MAX);
    EXPECT("-1 255 -1 65535", "%hhd %hhu %hd %hu", 255, 255, 65535, 65535);
    EXPECT("1 2 3 4", "%lld %zu %td %jd", 1ll, (size_t)2, (ptrdiff_t)3, (intmax_t)4);
    EXPECT("0x1234", "%p", (void *)0x1234);
}

static void padding(void)
{
    EXPECT("    5|5    |00005|+5", "%5d|%-5d|%05d|%+d", 5, 5, 5, 5);
    EXPECT("  005| 5|-0005", "%5.3d|% d|%05d", 5, 5, -5);
    EXPECT("   ab|ab   |a", "%5s|%-5s|%.1s", "ab", "ab", "ab");
    EXPECT("    x|x    ", "%5c|%-5c", 'x', 'x');
    EXPECT("   7|7   |0.5", "%*d|%-*d|0.%.*d", 4, 7, 4, 7, 1, 5);
    EXPECT("100%", "%d%%", 100);
}

static void errors(void)
{
    EXPECT("out of memory", "%e", -E_NO_MEM);
    EXPECT("out of memory", "%e", E_NO_MEM);
    EXPECT("error -9999", "%e", -9999);
}

static void truncation(void)
{
    char buf[8] = "1234567";
    CHECK_IS(snprintf(buf, 4, "abcdef"), 6);
    CHECK(strcmp(buf, "abc") == 0, "'%s' and not 'abc'", buf);
    CHECK_IS(snprintf(NULL, 0, "%d", 12345), 5);
}

static void to_file(void)
{
    char buf[64];
    int fd = open("/tmp/printf", O_RDWR | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, "open: %e", fd);
    CHECK_IS(fprintf(fd, "%s %d\n", "line", 1), 7);
    CHECK_IS(seek(fd, 0), 0);
    CHECK_IS(read(fd, buf, sizeof(buf)), 7);
    CHECK(memcmp(buf, "line 1\n", 7) == 0, "the file holds something else");
    close(fd);
    CHECK_IS(remove("/tmp/printf"), 0);
}

static const struct Test tests[] = {
    { "numbers", numbers },       { "padding", padding }, { "errors", errors },
    { "truncation", truncation }, { "file", to_file },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
