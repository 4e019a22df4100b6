/*
 * disk-fill: writes every block of its disk until the host refuses one. The refusal is -E_NO_DISK
 * and harms nothing: blocks that were written can be read and written, space that is discarded can
 * be had again, and promises of room are kept.
 */
#include <inc/fs.h>
#include "rt.h"

const char guest_name[] = "disk-fill";

#define NO_PAGE    (~0ul)
#define READ_WRITE (PTE_P | PTE_U | PTE_W)
#define NDISCARD   8

static uint64_t words[PGSIZE / sizeof(uint64_t)] __attribute__((aligned(PGSIZE)));

static int64_t request(uint64_t value, bool page)
{
    uint64_t rax = VMX_VMCALL_IPCRECV, rbx = NO_PAGE, answer;
    int64_t r = hypercall(VMX_VMCALL_IPCSEND, VMX_HOST_FS_ENV, value,
                          page ? (uint64_t)words : NO_PAGE, READ_WRITE);

    if (r < 0)
        return r;
    asm volatile(HYPERCALL : "+a"(rax), "+b"(rbx), "=S"(answer) : : "rcx", "rdx", "memory", "cc");
    return (int64_t)rax < 0 ? (int64_t)rax : (int64_t)answer;
}

static int64_t write_block(uint64_t b)
{
    words[0] = words[ARRAY_SIZE(words) - 1] = ~b;
    return request(GDISK_VALUE(GDISK_WRITE, b), true);
}

static bool is_written(uint64_t b)
{
    words[0] = words[ARRAY_SIZE(words) - 1] = 0;
    return request(GDISK_VALUE(GDISK_READ, b), true) == 0 && words[0] == ~b &&
           words[ARRAY_SIZE(words) - 1] == ~b;
}

/* Returns how many blocks could be written. */
static uint64_t fill(uint64_t nblocks)
{
    int64_t r = 0;
    uint64_t n = 0;

    for (int64_t promised = 0; n < nblocks; n++, promised--) {
        if (promised <= 0)
            promised = request(GDISK_VALUE(GDISK_ROOM, 0), false);
        if ((r = write_block(n)) < 0)
            break;
        check(promised >= 0, "no promise: %ld", promised);
    }
    if (n < nblocks)
        check(r == -E_NO_DISK, "block %lu: %ld", n, r);
    return n;
}

static void try_what_is_there(uint64_t n)
{
    uint64_t wrong = 0;

    trying("to read what was written, and to write it again");
    for (uint64_t b = 0; b < n; b++)
        wrong += !is_written(b);
    check(wrong == 0, "%lu blocks are wrong", wrong);
    check(write_block(0) == 0, "a block that is there cannot be written");
    check(request(GDISK_VALUE(GDISK_FLUSH, 0), false) == 0, "the disk cannot be flushed");
}

static void try_discard(uint64_t n, uint64_t nblocks)
{
    trying("to discard blocks, and to write as many others");
    check(request(GDISK_DISCARD_VALUE(nblocks, 1), false) < 0,
          "blocks beyond the end are discarded");
    check(request(GDISK_DISCARD_VALUE(0, GDISK_DISCARD_MAX + 1), false) < 0, "too many at a time");
    check(request(GDISK_DISCARD_VALUE(n - NDISCARD, NDISCARD), false) == 0, "no discarding");
    check(request(GDISK_VALUE(GDISK_ROOM, 0), false) > 0, "discarding gives nothing back");
    for (uint64_t b = n - NDISCARD; b < n; b++)
        check(write_block(b) == 0, "block %lu cannot be written again", b);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm())
        return check_result();
    int64_t nblocks = request(GDISK_VALUE(GDISK_INFO, 0), false);
    check(nblocks > NDISCARD, "no disk: %ld", nblocks);
    if (nblocks <= NDISCARD)
        return check_result();
    trying("to write the whole disk");
    uint64_t n = fill(nblocks);
    print("%s: %lu of %lu blocks written\n", guest_name, n, nblocks);
    if (n > NDISCARD) {
        try_what_is_there(n);
        try_discard(n, nblocks);
    }
    return check_result();
}
