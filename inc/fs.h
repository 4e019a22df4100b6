/*
 * The file-system server's protocol. A client puts a union Fsipc into a page of its own and sends
 * it with sys_ipc_call: value = FSREQ_*, page = the union, read-write. FSREQ_READ has its arguments
 * in the value (FSREQ_READ_VALUE), so the page is there for the data only. The server answers
 * through the same page; the value of its answer is 0 or more, or -E_*. Only FSREQ_OPEN's answer
 * carries a page (the struct Fd of the open file). The disk's own format is in fs/core/format.h.
 *
 * FSREQ_READ may come with several pages (PERM_PAGES, inc/syscall.h), which are lent to the server
 * until it answers: it puts the data right there. Up to FSREAD_MAX bytes are read by one request.
 * What the client does to the pages meanwhile, and what others do to whom it has lent them as well,
 * shows in what it reads and nowhere else.
 *
 * Whoever has the page of an open file may use the file, and nobody else: only the kernel hands
 * pages on, to children and in messages. A request names the file by the number of that page's
 * frame (fileid), which is no secret; but it is served only to a sender that has the page, as far
 * as the server knows: the one that opened the file, and those that have shown it the page
 * (FSREQ_SHOW). The server remembers a few of them for each file. Anybody else gets -E_NOT_OPEN,
 * shows the page, and asks again. An env that has closed a file may keep its right while others
 * have the file open; after the last one has closed it, nobody has.
 */
#ifndef JOS_INC_FS_H
#define JOS_INC_FS_H

#include "syscall.h"
#include "types.h"

#define BLKSIZE    4096
#define MAXNAMELEN 120  /* longest file name, with the terminating NUL */
#define MAXPATHLEN 1024 /* longest path, with the terminating NUL */

enum FileType {
    FTYPE_REG = 0,
    FTYPE_DIR = 1,
};

/* What a directory holds, as FSREQ_READ on an open directory returns it: a whole number of these.
 */
struct Dirent {
    char d_name[MAXNAMELEN];
    uint32_t d_type; /* enum FileType */
    uint32_t d_pad;  /* the server's number of the file */
};
_Static_assert(sizeof(struct Dirent) == 128, "a block holds a whole number of entries");

/* Open modes */
#define O_RDONLY  0x0000
#define O_WRONLY  0x0001
#define O_RDWR    0x0002
#define O_ACCMODE 0x0003
#define O_CREAT   0x0100 /* create the file if it does not exist */
#define O_TRUNC   0x0200 /* truncate to length 0 */
#define O_EXCL    0x0400 /* with O_CREAT: the file must not exist */
#define O_APPEND  0x0800 /* start at the end of the file */

enum {
    FSREQ_OPEN = 1, /* path, mode -> page with struct Fd. -E_BUSY: for writing a disk that a guest
                     * uses -> open_ret */
    FSREQ_READ,     /* fileid, n -> number of bytes, in read_ret.buf and the pages that follow; from
                     * Fd.fd_offset on, which the server moves on. -E_INVAL: n is more than fits */
    FSREQ_WRITE,    /* fileid, offset, n, data -> number of bytes written */
    FSREQ_SET_SIZE, /* fileid, size */
    FSREQ_STAT,     /* fileid -> stat_ret */
    FSREQ_REMOVE,   /* path: a file or an empty directory */
    FSREQ_MKDIR,    /* path */
    FSREQ_SYNC,     /* everything to disk */
    FSREQ_STATFS,   /* -> statfs_ret */
    FSREQ_GUEST_ATTACH, /* path of an image file, guest env: gives it to the guest as a disk of its
                         * own, which may take `limit` bytes of this file system (0: all that it
                         * has). With a base ("": none), the image holds what the guest wrote, and
                         * is created when it is missing; what it does not hold is read from the
                         * base. The sender must be the guest's parent. How it is used, `use` says.
                         * -> the disk's handle (FSREQ_DISK_VALUE), guest_attach_ret.size; -E_BUSY
                         * -> guest_attach_ret.holder; -E_INVAL: no size that a disk can have */
    FSREQ_SHOW,         /* the page sent is that of an open file, which is the sender's from now on.
                         * -E_INVAL: it is not */
    FSREQ_GUEST_DISK,   /* guest env, anybody's; number of a disk, in the order in which they were
                         * attached -> guest_disk_ret. -E_NOT_FOUND: it has no such disk */
    FSREQ_DISK_READ,    /* The requests of a guest's monitor for the guest's disks: see below */
    FSREQ_DISK_WRITE,
    FSREQ_DISK_FLUSH,
    FSREQ_DISK_DISCARD,
    FSREQ_DISK_ZERO,
};

#define FSWRITE_MAX (PGSIZE_FS - 24)
#define PGSIZE_FS   4096
#define FSREAD_MAX  ((size_t)PERM_PAGES_MAX * PGSIZE_FS)

/* The value of a message: request, and for FSREQ_READ the rest. */
#define FSREQ_READ_VALUE(fileid, n) ((uint64_t)(fileid) << 32 | (uint64_t)(n) << 8 | FSREQ_READ)
#define FSREQ_NUMBER(value)         ((value)&0xff)
#define FSREQ_READ_N(value)         ((uint32_t)(value) >> 8)
#define FSREQ_READ_FILE(value)      ((uint32_t)((value) >> 32))

/* Who asks for the blocks of a guest's disk: the guest, by hypercall (GDISK_*), or its monitor for
 * it (FSREQ_DISK_*). Never both. A guest has at most one disk by hypercall. */
enum GuestDiskUse {
    GUEST_DISK_CALLS = 0,
    GUEST_DISK_MONITOR = 1,
    GUEST_DISK_READ_ONLY = 2, /* a bit: nothing can be written, and other readers may have the image
                               * at the same time. There is no base then. */
};

/*
 * Requests of a monitor, or of another child of it (a sibling of the guest). The arguments are in
 * the message's value: the disk, the first sector of 512 bytes, and how many. FSREQ_DISK_READ and
 * FSREQ_DISK_WRITE take as many as fit into the pages that are lent (PERM_PAGES), which are for
 * their data only; their answer is how many sectors are done: all of them. FSREQ_DISK_FLUSH: what
 * was written is safe. FSREQ_DISK_DISCARD: the contents of these sectors are no longer needed; the
 * blocks that lie in them are given back. FSREQ_DISK_ZERO: they read as zeroes from now on. These
 * two take at most DISK_SECTORS_MAX.
 *
 * `hint` is DISK_QUICK for reads and writes: fewer sectors, or -E_AGAIN for none, if the
 * rest would have to wait for the disk below; and DISK_UNMAP for zeroes: space may be given back.
 * The answer is 0; -E_INVAL: not within the disk; -E_NOT_FOUND: the sender has no such disk;
 * -E_PERM: it is read-only; -E_NO_DISK: the image may not grow any more; -E_IO.
 */
#define DISK_SECTOR      512
#define DISK_SECTORS_MAX (1u << 13)
#define DISK_QUICK       1
#define DISK_UNMAP       1
#define FSREQ_DISK_VALUE(req, handle, hint, sector, n)                         \
    ((uint64_t)(sector) << 29 | (uint64_t)(n) << 15 | (uint64_t)(hint) << 14 | \
     (uint64_t)(handle) << 8 | (req))
#define FSREQ_DISK_HANDLE(value) ((uint32_t)(value) >> 8 & 0x3f)
#define FSREQ_DISK_HINT(value)   ((uint32_t)(value) >> 14 & 1)
#define FSREQ_DISK_N(value)      ((uint32_t)(value) >> 15 & 0x3fff)
#define FSREQ_DISK_SECTOR(value) ((uint64_t)(value) >> 29)
#define FSREQ_DISK_END           (1ul << 35) /* no disk has this sector */

/* A guest's disk, in blocks: how many it has, how many of this file system its image takes, tables
 * included, and may take; and how many more it would get at this moment. */
struct GuestDiskInfo {
    uint32_t blocks, used, limit, left;
};

union Fsipc {
    struct {
        char path[MAXPATHLEN];
        uint32_t mode;
    } open;
    struct {
        envid_t holder; /* the guest that uses it */
    } open_ret;
    struct {
        char buf[PGSIZE_FS];
    } read_ret;
    struct {
        uint32_t fileid;
        uint32_t n; /* at most FSWRITE_MAX */
        off_t offset;
        uint64_t pad;
        char buf[FSWRITE_MAX];
    } write;
    struct {
        uint32_t fileid;
        off_t size;
    } set_size;
    struct {
        uint32_t fileid;
    } stat;
    struct {
        off_t size;
        uint32_t type;
        uint32_t blocks; /* blocks it takes on disk */
    } stat_ret;
    struct {
        char path[MAXPATHLEN];
    } path; /* FSREQ_REMOVE, FSREQ_MKDIR */
    struct {
        uint64_t blocks_total, blocks_free;
    } statfs_ret;
    struct {
        char path[MAXPATHLEN];
        char base[MAXPATHLEN];
        envid_t guest;
        uint32_t use; /* enum GuestDiskUse */
        uint64_t limit;
    } guest_attach;
    struct {
        envid_t holder; /* the guest that uses the image, 0: no guest does */
        uint64_t size;  /* of the disk, in bytes */
    } guest_attach_ret;
    struct {
        envid_t guest;
        uint32_t number;
    } guest_disk;
    struct GuestDiskInfo guest_disk_ret;
    char page[PGSIZE_FS];
};
_Static_assert(sizeof(union Fsipc) == PGSIZE_FS, "one page");

/*
 * A guest's disk by hypercall (GUEST_DISK_CALLS): hOS's file server takes these from an env of type
 * ENV_TYPE_GUEST (that is, from the hypercall VMX_VMCALL_IPCSEND) and nothing else. The IPC value
 * is a request in bits 0-7 and a block number from bit 8 on; the page is the block's data. The
 * answer's value is 0 or -E_*, for GDISK_INFO the number of blocks. -E_NO_DISK: the image may not
 * grow any more; blocks that it has can still be written.
 *
 * GDISK_ROOM's answer is a promise: so many blocks that the image does not have yet can be written,
 * whatever others do. It holds until the next GDISK_ROOM, and is never more than GDISK_ROOM_MAX.
 * GDISK_DISCARD (block in bits 8-39, number from bit 40 on) says that the contents of these blocks
 * are no longer needed, and gives their space back.
 */
enum {
    GDISK_INFO = 1,
    GDISK_READ,
    GDISK_WRITE,
    GDISK_FLUSH,
    GDISK_ROOM,
    GDISK_DISCARD,
};
#define GDISK_ROOM_MAX    256
#define GDISK_DISCARD_MAX 1024 /* blocks of one request */
#define GDISK_DISCARD_VALUE(block, n) \
    ((uint64_t)(n) << 40 | (uint64_t)(uint32_t)(block) << 8 | GDISK_DISCARD)
#define GDISK_DISCARD_BLOCK(value) ((uint32_t)((value) >> 8))
#define GDISK_DISCARD_N(value)     ((uint32_t)((value) >> 40))
#define GDISK_VALUE(req, block)    ((uint64_t)(block) << 8 | (req))
#define GDISK_REQ(value)           ((value)&0xff)
#define GDISK_BLOCK(value)         ((value) >> 8)

#endif
