/*
 * Pipes: all data arrives in order, and each end learns that the other is gone.
 */
#include "test.h"

#define BIG (200 * 1024)

static char buf[5000];

static char pattern(size_t i)
{
    return i * 31 + i / 251;
}

/* A child that writes BIG bytes in pieces of odd sizes. */
static void write_big(int fd)
{
    size_t sent = 0;
    while (sent < BIG) {
        size_t n = MIN(1 + sent * 7 % sizeof(buf), BIG - sent);
        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(sent + i);
        if (write(fd, buf, n) != (ssize_t)n)
            exit(1);
        sent += n;
    }
    exit(0);
}

static void large(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    envid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        write_big(fds[1]);
    }
    close(fds[1]);
    size_t got = 0;
    ssize_t n;
    while ((n = read(fds[0], buf, 1 + got * 5 % sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK(buf[i] == pattern(got + i), "byte %zu is wrong", got + i);
        got += n;
    }
    CHECK_IS(n, 0);
    CHECK_IS(got, BIG);
    CHECK_IS(wait(child), 0);
    close(fds[0]);
}

static void writer_closes(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(write(fds[1], "abc", 3), 3);
    CHECK(!pipeisclosed(fds[0]), "closed while the writer is there");
    close(fds[1]);
    CHECK_IS(read(fds[0], buf, sizeof(buf)), 3);
    CHECK_IS(read(fds[0], buf, sizeof(buf)), 0);
    CHECK(pipeisclosed(fds[0]), "not closed without a writer");
    close(fds[0]);
}

static void reader_closes(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    close(fds[0]);
    CHECK_IS(write(fds[1], "abc", 3), -E_EOF);
    close(fds[1]);
}

/* A writer that waits for room is told when the reader dies. */
static void reader_dies(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    envid_t child = fork();
    if (child == 0) {
        close(fds[1]);
        sys_sleep_msec(30);
        exit(0);
    }
    close(fds[0]);
    ssize_t n = 0, total = 0;
    while ((n = write(fds[1], buf, sizeof(buf))) == sizeof(buf) && total < BIG)
        total += n;
    CHECK(n < (ssize_t)sizeof(buf), "%ld bytes went into a pipe that nobody reads", total);
    CHECK_IS(write(fds[1], buf, 1), -E_EOF);
    CHECK_IS(wait(child), 0);
    close(fds[1]);
}

/* A pipe is open as long as one copy of the end is. */
static void dup_keeps_open(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(dup(fds[1], 20), 20);
    close(fds[1]);
    CHECK_IS(write(20, "x", 1), 1);
    CHECK_IS(read(fds[0], buf, 10), 1);
    CHECK(!pipeisclosed(fds[0]), "closed although the copy is open");
    close(20);
    CHECK_IS(read(fds[0], buf, 10), 0);
    close(fds[0]);
}

/* The closed end is never reported while envs come and go that hold both ends. */
static void no_false_close(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    envid_t watcher = fork();
    if (watcher == 0) {
        for (;;) {
            if (pipeisclosed(fds[0]) || pipeisclosed(fds[1]))
                exit(1);
            if (sys_time_msec() % 2)
                sys_yield();
            if (read(fds[0], buf, 1) == 1)
                exit(0);
        }
    }
    for (int i = 0; i < 20; i++) {
        envid_t child = fork();
        if (child == 0) {
            dup(fds[0], 20);
            dup(fds[1], 21);
            close(20);
            exit(0);
        }
        CHECK_IS(wait(child), 0);
    }
    CHECK_IS(write(fds[1], "x", 1), 1);
    CHECK(wait(watcher) == 0, "an open pipe looked closed");
    close(fds[0]);
    close(fds[1]);
}

/* Several writers at one end: nothing is lost, and each one's bytes come in order. */
static void many_users(void)
{
    enum {
        USERS = 3,
        RECORDS = 2000
    };
    int fds[2];
    uint32_t record, sum = 0;
    envid_t writer[USERS];

    CHECK_IS(pipe(fds), 0);
    for (uint32_t w = 0; w < USERS; w++) {
        writer[w] = fork();
        if (writer[w] != 0)
            continue;
        for (uint32_t i = 0; i < RECORDS; i++) {
            record = w << 24 | i;
            if (write(fds[1], &record, sizeof(record)) != sizeof(record))
                exit(1);
        }
        exit(0);
    }
    close(fds[1]);
    uint32_t next[USERS] = { 0 };
    while (readn(fds[0], &record, sizeof(record)) == sizeof(record)) {
        uint32_t w = record >> 24;
        CHECK(w < USERS && (record & 0xffffff) == next[w], "record %#x came out of order", record);
        next[w]++;
        sum++;
    }
    CHECK_IS(sum, USERS * RECORDS);
    for (int w = 0; w < USERS; w++)
        CHECK_IS(wait(writer[w]), 0);
    close(fds[0]);
}

static const struct Test tests[] = {
    { "large", large },
    { "writer-closes", writer_closes },
    { "reader-closes", reader_closes },
    { "reader-dies", reader_dies },
    { "dup", dup_keeps_open },
    { "many-users", many_users },
    { "no-false-close", no_false_close },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
