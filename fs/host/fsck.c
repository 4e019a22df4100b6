/*
 * fsck: check and repair a disk image, list it, or take a file out of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/sync.h>
#include <fs/host/check.h>
#include <fs/host/hostdev.h>

static const char usage[] =
    "usage: fsck [-y] IMAGE            check; -y repairs. Exit status: 0 clean, 1 repaired, 2 "
    "problems left\n"
    "       fsck -l IMAGE              list all files: type, size, blocks, path\n"
    "       fsck -x IMAGE /path OUT    copy a file out of the image\n";

static struct Fs fs;

/* List a directory and all below it. */
static void list(uint32_t dir, const char *path)
{
    size_t n;
    struct FsDirent *ent = read_entries(&fs, dir, &n);

    for (size_t i = 0; i < n; i++) {
        char child[MAXPATHLEN];
        struct FsStat st;
        ent[i].d_name[MAXNAMELEN - 1] = '\0';
        if (snprintf(child, sizeof(child), "%s/%s", path, ent[i].d_name) >= MAXPATHLEN)
            die("%s: path is too long", child);
        int r = fs_stat(&fs, ent[i].d_inum, &st);
        if (r < 0) {
            printf("?            %s: %s\n", child, error_words(r));
            continue;
        }
        bool is_dir = st.type == FTYPE_DIR;
        printf("%c %10lu %6u %s\n", is_dir ? 'd' : '-', (unsigned long)st.size, st.blocks, child);
        if (is_dir)
            list(ent[i].d_inum, child);
    }
    free(ent);
}

static void extract(const char *path, const char *out)
{
    static char buf[BLKSIZE];
    uint64_t off = 0;
    uint32_t inum;
    ssize_t n;
    int r = fs_lookup(&fs, path, &inum);

    if (r < 0)
        die("%s: %s", path, error_words(r));
    FILE *f = fopen(out, "wb");
    if (!f)
        die("cannot create %s", out);
    while ((n = fs_read(&fs, inum, buf, sizeof(buf), off)) > 0) {
        if (fwrite(buf, 1, n, f) != (size_t)n)
            die("cannot write %s", out);
        off += n;
    }
    if (n < 0)
        die("%s: %s", path, error_words(n));
    if (fclose(f) != 0)
        die("cannot write %s", out);
}

static enum CheckResult check(struct Disk *disk, bool repair)
{
    bool mounted;
    enum CheckResult r = fs_check(&fs, disk, repair, &mounted);

    if (!mounted)
        return r;
    static const char *const words[] = {
        [CHECK_CLEAN] = "no problems",
        [CHECK_REPAIRED] = "problems were found and repaired",
        [CHECK_PROBLEMS] = "problems were found; -y repairs them",
    };
    printf("%s: %u blocks, %u free: %s%s\n", disk->name, fs.super.nblocks, fs_free_blocks(&fs),
           words[r], fs.super.clean ? "" : " (not shut down cleanly)");
    fs_unmount(&fs);
    return r;
}

static FILE *open_image(const char *name, bool writable, struct HostDisk *hd)
{
    FILE *f = fopen(name, writable ? "r+b" : "rb");
    struct stat st;

    if (!f || fstat(fileno(f), &st) < 0)
        die("cannot open %s", name);
    hostdisk_init(hd, name, fileno(f), MIN(st.st_size / BLKSIZE, (int64_t)UINT32_MAX));
    return f;
}

int main(int argc, char **argv)
{
    struct HostDisk hd;
    int mode = 'n', c, status = 0;

    tool = "fsck";
    while ((c = getopt(argc, argv, "nylx")) != -1) {
        if (c == '?') {
            fputs(usage, stderr);
            return 2;
        }
        mode = c;
    }
    if (argc - optind != (mode == 'x' ? 3 : 1)) {
        fputs(usage, stderr);
        return 2;
    }
    FILE *f = open_image(argv[optind], mode == 'y', &hd);
    if (mode == 'l' || mode == 'x') {
        int r = fs_mount(&fs, &hd.disk, 1024);
        if (r < 0)
            die("%s: %s", argv[optind], error_words(r));
        if (mode == 'l')
            list(FS_ROOT, "");
        else
            extract(argv[optind + 1], argv[optind + 2]);
        fs_unmount(&fs);
    } else {
        status = check(&hd.disk, mode == 'y');
    }
    return fclose(f) == 0 ? status : 2;
}
