/*
 * Taking all there is: envs, pages, page tables, open files, disk blocks, guests. The hog gets an
 * error when there is no more, holds what it has for a while (option -t), and gives it back when it
 * ends.
 */
#include "hostile.h"

#define BOMB_MS    20000 /* for a fork bomb to fill the table */
#define CHUNK      65536
#define HOG_FILE   "/tmp/hog"
#define MANY_FILES 1024
#define FAMILIES   8
#define MANY_DISKS 32 /* of guests; there is room for 64 */

static void keep(const char *what, uint64_t n)
{
    printf("%s: %lu, then an error\n", what, n);
    sys_sleep_msec(hold);
}

/* Run one hog in an env of its own, which gives everything back. */
static void run_hog(const char *name, void (*hog)(void))
{
    envid_t child;

    test_now = name;
    child = start_env();
    if (child == 0) {
        hog();
        exit(0);
    }
    CHECK_IS(wait(child), 0);
}

/* ---- Envs ---- */

/* Fork until nobody can, and stay until the test is over. */
static void bomb(void)
{
    while (!tally->stop) {
        envid_t child = fork();
        if (child == -E_NO_FREE_ENV || child == -E_NO_MEM)
            sys_sleep_msec(1 + roll(8));
        else if (child > 0)
            count(&tally->envs, 1);
    }
    exit(0);
}

static uint32_t envs_used(void)
{
    struct SysInfo info;

    sys_sysinfo(&info);
    return info.envs_used;
}

/* Has the number of envs stopped growing? */
static bool is_full(uint32_t *used)
{
    uint32_t now = envs_used();
    bool full = now == *used && now > NENV / 8;

    *used = now;
    return full;
}

void hog_envs(void)
{
    uint64_t end = sys_time_msec() + BOMB_MS;
    uint32_t used = 0;
    envid_t child;

    test_now = "envs";
    tally->stop = 0;
    child = start_env();
    if (child == 0)
        bomb();
    while (!is_full(&used)) {
        sys_sleep_msec(100);
        CHECK(sys_time_msec() < end, "%u envs after %d ms", used, BOMB_MS);
    }
    CHECK(used < NENV, "a fork bomb has taken all %d slots", NENV);
    keep("envs", used);
    tally->stop = 1;
    while (envs_used() > used - used / 2 && sys_time_msec() < end + hold)
        sys_sleep_msec(10);
    CHECK_IS(end_env(child, BOMB_MS), 0);
}

/* ---- Memory ---- */

static void take_pages(void)
{
    uintptr_t va = UHEAP;
    int r;

    while ((r = sys_page_alloc(0, (void *)va, PERM_RW)) == 0)
        va += PGSIZE;
    CHECK_IS(r, -E_NO_MEM);
    keep("pages", (va - UHEAP) / PGSIZE);
}

void hog_memory(void)
{
    run_hog("pages", take_pages);
}

/* One page, mapped so thinly that each mapping takes a page table. */
static void take_tables(void)
{
    uintptr_t va = UHEAP;
    int r;

    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    while ((r = sys_page_map(0, (void *)UTEMP, 0, (void *)va, PERM_RO)) == 0)
        va += PGSIZE_2M;
    CHECK_IS(r, -E_NO_MEM);
    keep("page tables", (va - UHEAP) / PGSIZE_2M);
}

void hog_tables(void)
{
    run_hog("tables", take_tables);
}

/* ---- Files ---- */

/* Ask the server for files without the library's table of descriptors. */
static int open_raw(char *fd)
{
    union Fsipc *request = (union Fsipc *)UTEMP;
    struct IpcMessage answer;
    int r;

    strlcpy(request->open.path, "/README", MAXPATHLEN);
    request->open.mode = O_RDONLY;
    r = sys_ipc_call(ipc_find_env(ENV_TYPE_FS), FSREQ_OPEN, request, PERM_RW, fd, &answer);
    return r < 0 ? r : (int)answer.value;
}

static void take_files(void)
{
    envid_t child[FAMILIES];
    int n = 0, r;

    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW | PTE_SHARE), 0);
    while ((r = open_raw((char *)UHEAP + n * PGSIZE)) == 0 && n < MANY_FILES)
        n++;
    CHECK_IS(r, -E_MAX_OPEN);
    for (int i = 0; i < FAMILIES; i++) { /* children have no share of their own */
        child[i] = start_env();
        if (child[i] == 0)
            exit(-open_raw((char *)UHEAP + MANY_FILES * PGSIZE));
        CHECK_IS(wait(child[i]), E_MAX_OPEN);
    }
    keep("open files", n);
}

/* Take files as an env without a parent, and hold them until the test is over. */
static void __attribute__((noreturn)) orphan(envid_t parent)
{
    int n = 0;

    while (thisenv->env_parent_id == parent)
        sys_yield();
    while (n < MANY_FILES && open_raw((char *)UHEAP + n * PGSIZE) == 0)
        n++;
    count(&tally->steps, n);
    count(&tally->races, 1);
    while (!tally->stop)
        sys_sleep_msec(1);
    exit(0);
}

/* Children whose parents have ended are still of the family. */
static void take_files_by_orphans(void)
{
    uint64_t races = tally->races, steps = tally->steps;

    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    tally->stop = 0;
    for (int i = 0; i < FAMILIES; i++) {
        envid_t child = start_env();
        if (child == 0) {
            envid_t self = sys_getenvid(), grandchild = start_env();
            if (grandchild == 0)
                orphan(self);
            exit(0);
        }
        CHECK_IS(wait(child), 0);
    }
    while (tally->races - races < FAMILIES)
        sys_sleep_msec(1);
    steps = tally->steps - steps;
    tally->stop = 1;
    CHECK(steps > 0 && steps <= MANY_FILES / 4, "orphans had %lu files open", steps);
}

void hog_files(void)
{
    run_hog("files", take_files);
    run_hog("files of orphans", take_files_by_orphans);
}

static void take_disk(void)
{
    static char zeroes[CHUNK];
    int fd = open(HOG_FILE, O_WRONLY | O_CREAT | O_TRUNC);
    uint64_t n = 0;
    ssize_t r;

    CHECK(fd >= 0, "%s: %e", HOG_FILE, fd);
    while ((r = write(fd, zeroes, sizeof(zeroes))) > 0)
        n += r;
    CHECK_IS(r, -E_NO_DISK);
    keep("disk, bytes", n);
    close(fd);
    CHECK_IS(remove(HOG_FILE), 0);
}

void hog_disk(void)
{
    run_hog("disk", take_disk);
}

/* ---- Guests ---- */

static void take_guests(void)
{
    char why[8];
    uint64_t n = 0;
    envid_t guest;

    while ((guest = sys_env_mkguest(GUEST_MEM_MIN, 0, 0, why, sizeof(why))) > 0)
        n++;
    if (guest == -E_NOT_SUPP)
        return;
    CHECK(guest == -E_NO_FREE_ENV || guest == -E_NO_MEM, "guest: %e", guest);
    keep("guests", n);
}

/* A small image for guest n of this program's, at path. */
static int make_image(char *path, size_t size, int n)
{
    static char zeroes[BLKSIZE];
    int fd;

    snprintf(path, size, "/tmp/image%d", n);
    fd = open(path, O_WRONLY | O_CREAT);
    return fd < 0 ? fd : writen(fd, zeroes, sizeof(zeroes)) == 0 ? close(fd) : -E_NO_DISK;
}

/* The guests of one program get no more than their share of the places for disks. */
static void take_guest_disks(void)
{
    char path[32];
    envid_t guest;
    int n, r = 0;

    for (n = 0; n < MANY_DISKS && r >= 0; n++) {
        guest = make_guest();
        if (guest == 0)
            return;
        CHECK_IS(make_image(path, sizeof(path), n), 0);
        struct GuestAttach a = { .path = path, .guest = guest };
        r = guest_attach(&a);
        CHECK_IS(remove(path), 0);
    }
    CHECK_IS(r, -E_MAX_OPEN);
    keep("guests' disks", n - 1);
}

void hog_guests(void)
{
    run_hog("guests", take_guests);
    run_hog("guests' disks", take_guest_disks);
}
