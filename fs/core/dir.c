/*
 * Directories and paths. A directory is a dense array of entries: adding appends, removing moves
 * the last entry into the gap.
 */
#include <fs/core/alloc.h>
#include <fs/core/cache.h>
#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/index.h>
#include <fs/core/sync.h>

#include <inc/error.h>
#include <inc/string.h>

#define ENTSIZE   sizeof(struct FsDirent)
#define MAX_DEPTH (MAXPATHLEN / 2) /* components that a path can have */

/* Where a path leads. */
struct Walk {
    uint32_t inum;         /* what it names; 0: there is no such entry in dir */
    uint32_t dir;          /* the directory that has, or would have, the last component */
    uint32_t place;        /* of the entry in dir, if inum is not 0 */
    bool slash;            /* the path ends with one, so it must be a directory */
    char name[MAXNAMELEN]; /* last component; empty if the path names the root, or ends in "." or
                              ".." */
};

bool fs_name_ok(const char *name)
{
    size_t len = strnlen(name, MAXNAMELEN);

    if (len == 0 || len == MAXNAMELEN || memchr(name, '/', len))
        return false;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int fs_dirent(struct Fs *fs, uint32_t dir, uint32_t place, struct FsDirent **out)
{
    struct FsInode *ip;
    uint32_t block;
    void *p;
    int r;

    if ((r = fs_inode_used(fs, dir, &ip)) < 0 ||
        (r = fs_bmap(fs, ip, place / FS_DIRENTS, &block)) < 0)
        return r;
    if (block == 0)
        return fs_complain(fs, "a directory has a hole", dir);
    if ((r = cache_get(&fs->cache, block, CACHE_READ, &p)) < 0)
        return r;
    *out = (struct FsDirent *)p + place % FS_DIRENTS;
    return 0;
}

static bool has_name(const struct FsDirent *ent, const char *name)
{
    return ent->d_name[0] == name[0] && strncmp(ent->d_name, name, MAXNAMELEN) == 0;
}

/* Look for a name among n entries; returns its place or n. */
static uint32_t find_among(const struct FsDirent *ent, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (has_name(&ent[i], name))
            return i;
    return n;
}

/* Look for a name in all blocks of a directory. Returns 1: it is at *place, 0: nowhere. */
static int find_by_scan(struct Fs *fs, uint32_t dir, uint32_t count, const char *name,
                        uint32_t *place)
{
    for (uint32_t first = 0; first < count; first += FS_DIRENTS) {
        struct FsDirent *ent;
        int r = fs_dirent(fs, dir, first, &ent);
        if (r < 0)
            return r;
        uint32_t n = MIN(count - first, (uint32_t)FS_DIRENTS), i = find_among(ent, n, name);
        *place = first + i;
        if (i < n)
            return 1;
    }
    return 0;
}

/* The same by the index. */
static int find_by_index(struct Fs *fs, uint32_t dir, uint32_t count, const char *name,
                         uint32_t *place)
{
    for (uint32_t n = 0; (n = index_find(fs, dir, name, n, place));) {
        struct FsDirent *ent;
        int r = *place < count ? fs_dirent(fs, dir, *place, &ent) : -E_CORRUPT;
        if (r < 0)
            return r;
        if (has_name(ent, name))
            return 1;
    }
    return 0;
}

/* Look for a name in a directory. *inum = 0: it is not there. -E_NOT_DIR. A directory of one block
 * is not worth an index. */
static int dir_find(struct Fs *fs, uint32_t dir, const char *name, uint32_t *inum, uint32_t *place)
{
    struct FsDirent *ent;
    struct FsInode *ip;
    int r = fs_inode_used(fs, dir, &ip);

    *inum = 0;
    if (r < 0)
        return r;
    if (ip->i_type != FS_DIR)
        return -E_NOT_DIR;
    uint32_t count = MIN(ip->i_size / ENTSIZE, (uint64_t)UINT32_MAX);
    if (count > FS_DIRENTS && index_build(fs, dir, count) == 0)
        r = find_by_index(fs, dir, count, name, place);
    else
        r = find_by_scan(fs, dir, count, name, place);
    if (r <= 0 || (r = fs_dirent(fs, dir, *place, &ent)) < 0)
        return r;
    *inum = ent->d_inum;
    return *inum ? 0 : fs_complain(fs, "a directory entry names no inode", dir);
}

/* Append an entry. -E_NO_DISK. */
static int dir_add(struct Fs *fs, uint32_t dir, const char *name, uint32_t inum,
                   enum FsInodeType type)
{
    struct FsDirent ent = { .d_inum = inum, .d_type = type == FS_DIR ? FTYPE_DIR : FTYPE_REG };
    struct FsStat st;
    int r = fs_stat(fs, dir, &st);

    if (r < 0)
        return r;
    memcpy(ent.d_name, name, strnlen(name, MAXNAMELEN - 1));
    ssize_t n = fs_write(fs, dir, &ent, ENTSIZE, st.size);
    if (n < 0)
        return n;
    index_add(fs, dir, name, st.size / ENTSIZE);
    return 0;
}

/*
 * An entry that moves to another block must be there on disk before the block that it leaves is
 * written without it; else a power failure between the two loses a file that nobody has touched.
 * Class BC_MOVED is written before BC_DATA. Within the class there is no order, so a block does
 * not both receive and lose entries in it: what it depends on is written first.
 */
static int before_move(struct Fs *fs, uint32_t dir, uint32_t from, uint32_t to)
{
    struct FsDirent *source, *target;
    int r = fs_dirent(fs, dir, from, &source);

    if (r < 0 || (r = fs_dirent(fs, dir, to, &target)) < 0)
        return r;
    if (cache_is_dirty(&fs->cache, source, BC_MOVED) || cache_is_dirty(&fs->cache, target, BC_DATA))
        return fs_write_moved(fs);
    return 0;
}

static int after_move(struct Fs *fs, uint32_t dir, uint32_t to)
{
    struct FsDirent *target;
    int r = fs_dirent(fs, dir, to, &target);

    if (r == 0)
        cache_dirty(&fs->cache, target, BC_MOVED);
    return r;
}

/* Move the last entry, at `from`, to the place of one that goes. */
static int dir_fill_gap(struct Fs *fs, uint32_t dir, uint32_t from, uint32_t to)
{
    bool crosses = from / FS_DIRENTS != to / FS_DIRENTS;
    struct FsDirent last;
    int r = crosses ? before_move(fs, dir, from, to) : 0;

    if (r < 0)
        return r;
    ssize_t n = fs_read(fs, dir, &last, ENTSIZE, from * ENTSIZE);
    if (n == (ssize_t)ENTSIZE)
        n = fs_write(fs, dir, &last, ENTSIZE, to * ENTSIZE);
    if (n != (ssize_t)ENTSIZE)
        return n < 0 ? n : -E_IO;
    index_move(fs, dir, last.d_name, from, to);
    return crosses ? after_move(fs, dir, to) : 0;
}

/* Remove the entry of this name at this place. */
static int dir_remove(struct Fs *fs, uint32_t dir, const char *name, uint32_t place)
{
    struct FsStat st;
    int r = fs_stat(fs, dir, &st);

    if (r < 0)
        return r;
    uint32_t last = st.size / ENTSIZE - 1;
    index_remove(fs, dir, name, place);
    if (place != last)
        r = dir_fill_gap(fs, dir, last, place);
    if (r == 0)
        r = fs_truncate(fs, dir, last * ENTSIZE);
    if (r < 0)
        index_forget(fs);
    return r;
}

int fs_dirent_remove(struct Fs *fs, uint32_t dir, uint32_t place)
{
    char name[MAXNAMELEN];
    struct FsDirent *ent;
    int r = fs_dirent(fs, dir, place, &ent);

    if (r < 0)
        return r;
    memcpy(name, ent->d_name, sizeof(name));
    return dir_remove(fs, dir, name, place);
}

/* Copy the next component of *path to name and move past it. Returns its length, 0 at the end.
 */
static int next_component(const char **path, char *name)
{
    int len = 0;

    while (**path == '/')
        (*path)++;
    for (; **path && **path != '/'; (*path)++) {
        if (len == MAXNAMELEN - 1)
            return -E_BAD_PATH;
        name[len++] = **path;
    }
    name[len] = '\0';
    return len;
}

/* Go one component further. way[] holds the directories from the root to the present place. */
static int step(struct Fs *fs, struct Walk *w, uint32_t *way, uint32_t *depth)
{
    struct FsInode *ip;
    int r;

    if (w->inum == 0)
        return -E_NOT_FOUND;
    if ((r = fs_inode_used(fs, w->inum, &ip)) < 0)
        return r;
    if (ip->i_type != FS_DIR)
        return -E_NOT_DIR;
    bool up = strcmp(w->name, "..") == 0;
    if (up || strcmp(w->name, ".") == 0) {
        *depth -= up && *depth > 0;
        w->inum = way[*depth];
        w->name[0] = '\0';
        return 0;
    }
    w->dir = w->inum;
    if ((r = dir_find(fs, w->dir, w->name, &w->inum, &w->place)) < 0 || w->inum == 0)
        return r;
    if (*depth + 1 == MAX_DEPTH)
        return -E_BAD_PATH;
    way[++*depth] = w->inum;
    return 0;
}

/* Follow a path. Only the last component may be missing. */
static int walk(struct Fs *fs, const char *path, struct Walk *w)
{
    uint32_t way[MAX_DEPTH] = { FS_ROOT }, depth = 0;
    char name[MAXNAMELEN];
    int r;

    if (*path == '\0')
        return -E_BAD_PATH;
    *w = (struct Walk){ .inum = FS_ROOT };
    while ((r = next_component(&path, name)) > 0) {
        memcpy(w->name, name, sizeof(name));
        if ((r = step(fs, w, way, &depth)) < 0)
            return r;
        w->slash = *path == '/';
    }
    return r;
}

int fs_lookup(struct Fs *fs, const char *path, uint32_t *inum)
{
    struct FsInode *ip;
    struct Walk w;
    int r = walk(fs, path, &w);

    if (r < 0)
        return r;
    if (w.inum == 0)
        return -E_NOT_FOUND;
    if ((r = fs_inode_used(fs, w.inum, &ip)) < 0)
        return r;
    if (w.slash && ip->i_type != FS_DIR)
        return -E_NOT_DIR;
    *inum = w.inum;
    return 0;
}

int fs_create(struct Fs *fs, const char *path, enum FsInodeType type, uint32_t *inum)
{
    struct Walk w;
    int r = walk(fs, path, &w);

    if (r < 0)
        return r;
    if (w.inum != 0)
        return -E_FILE_EXISTS;
    if (w.slash && type != FS_DIR)
        return -E_NOT_DIR;
    if (fs->read_only)
        return -E_READ_ONLY;
    if ((r = fs_inode_alloc(fs, type, inum)) < 0)
        return r;
    if ((r = dir_add(fs, w.dir, w.name, *inum, type)) < 0)
        fs_inode_free(fs, *inum);
    return r;
}

/* Free the inode of a removed entry, or leave that to fs_release if somebody still uses it. */
static int drop_inode(struct Fs *fs, uint32_t inum)
{
    struct FsInode *ip;
    int r;

    if (!fs->in_use || !fs->in_use(inum))
        return fs_inode_free(fs, inum);
    if ((r = fs_inode(fs, inum, &ip)) < 0)
        return r;
    ip->i_orphan = 1;
    fs_inode_dirty(fs, ip);
    fs->norphans++;
    return 0;
}

int fs_remove(struct Fs *fs, const char *path)
{
    struct FsInode *ip;
    struct Walk w;
    int r = walk(fs, path, &w);

    if (r < 0)
        return r;
    if (w.inum == 0)
        return -E_NOT_FOUND;
    if (w.inum == FS_ROOT)
        return -E_BUSY;
    if (w.name[0] == '\0')
        return -E_BAD_PATH;
    if (fs->read_only)
        return -E_READ_ONLY;
    /* An entry whose inode is bad can still be removed; the inode is left to fsck. */
    r = fs_inode_used(fs, w.inum, &ip);
    if (r == -E_CORRUPT)
        return dir_remove(fs, w.dir, w.name, w.place);
    if (r < 0)
        return r;
    if (ip->i_type == FS_DIR && ip->i_size > 0)
        return -E_NOT_EMPTY;
    if (ip->i_type != FS_DIR && w.slash)
        return -E_NOT_DIR;
    r = dir_remove(fs, w.dir, w.name, w.place);
    return r < 0 ? r : drop_inode(fs, w.inum);
}

int fs_release(struct Fs *fs, uint32_t inum)
{
    struct FsInode *ip;
    int r = fs_inode(fs, inum, &ip);

    if (r < 0 || !ip->i_orphan || fs->read_only)
        return r;
    fs->norphans--;
    return fs_inode_free(fs, inum);
}
