/*
 * disk: the guest's disk by hypercall. Blocks can be read and written; blocks that are not there,
 * requests that do not exist and requests without a page are errors; requests whose answers nobody
 * takes do no harm.
 */
#include <inc/fs.h>
#include "rt.h"

const char guest_name[] = "disk";

#define NO_PAGE    (~0ul)
#define READ_WRITE (PTE_P | PTE_U | PTE_W)
#define READ_ONLY  (PTE_P | PTE_U)
#define FLOOD      50

static uint8_t first[PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t second[PGSIZE] __attribute__((aligned(PGSIZE)));

static int64_t send(uint64_t value, uint64_t gpa, uint64_t perm)
{
    return hypercall(VMX_VMCALL_IPCSEND, VMX_HOST_FS_ENV, value, gpa, perm);
}

/* The value of the next answer. */
static int64_t receive(void)
{
    uint64_t rax = VMX_VMCALL_IPCRECV, rbx = NO_PAGE, value;
    asm volatile(HYPERCALL : "+a"(rax), "+b"(rbx), "=S"(value) : : "rcx", "rdx", "memory", "cc");
    return (int64_t)rax < 0 ? (int64_t)rax : (int64_t)value;
}

static int64_t request(int req, uint64_t block, const void *page, uint64_t perm)
{
    int64_t r = send(GDISK_VALUE(req, block), page ? (uint64_t)page : NO_PAGE, perm);
    return r < 0 ? r : receive();
}

static void refused(const char *what, int64_t r)
{
    check(r < 0 && r > -E_MAX, "%s gave %ld", what, r);
}

static void try_blocks(uint64_t nblocks)
{
    trying("to read the last block, write it, and read it again");
    check(request(GDISK_READ, nblocks - 1, first, READ_WRITE) == 0, "it cannot be read");
    check(request(GDISK_WRITE, nblocks - 1, first, READ_WRITE) == 0, "it cannot be written");
    check(request(GDISK_READ, nblocks - 1, second, READ_WRITE) == 0, "it cannot be read again");
    check(memcmp(first, second, PGSIZE) == 0, "it changed");
    check(request(GDISK_FLUSH, 0, NULL, 0) == 0, "the disk cannot be flushed");
}

static void try_nonsense(uint64_t nblocks)
{
    const uint64_t beyond[] = { nblocks, nblocks + 1, 1ul << 32, (1ul << 52) + 1, (1ul << 56) - 1 };

    trying("blocks beyond the end");
    for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
        refused("a read", request(GDISK_READ, beyond[i], first, READ_WRITE));
        refused("a write", request(GDISK_WRITE, beyond[i], first, READ_WRITE));
    }
    trying("requests without a page, or with one that cannot be written");
    refused("a read without a page", request(GDISK_READ, 0, NULL, 0));
    refused("a write without a page", request(GDISK_WRITE, 0, NULL, 0));
    refused("a read into a read-only page", request(GDISK_READ, 0, first, READ_ONLY));
    trying("requests that do not exist");
    refused("request 0", request(0, 0, first, READ_WRITE));
    for (int req = GDISK_DISCARD + 1; req < 256; req++)
        refused("an unknown request", request(req, 0, first, READ_WRITE));
}

/* The answer to what was asked last. With several CPUs, answers to the flood may come before it:
 * the file server is still busy with that. */
static int64_t last_answer(int64_t nblocks)
{
    int64_t r = receive();
    for (unsigned i = 0; i < FLOOD && r == nblocks; i++)
        r = receive();
    return r;
}

/* One answer waits for the guest; what comes while it waits is lost. */
static void try_flood(uint64_t nblocks)
{
    trying("requests whose answers are not taken");
    for (unsigned i = 0; i < FLOOD; i++)
        check(send(GDISK_VALUE(GDISK_INFO, 0), NO_PAGE, 0) == 0, "request %u is not taken", i);
    check(receive() == (int64_t)nblocks, "the first answer is lost");
    check(send(GDISK_VALUE(GDISK_READ, 0), (uint64_t)first, READ_WRITE) == 0, "no more requests");
    check(last_answer(nblocks) == 0, "the disk does not answer any more");
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm())
        return check_result();
    int64_t nblocks = request(GDISK_INFO, 0, NULL, 0);
    check(nblocks > 0, "no disk: %ld", nblocks);
    if (nblocks <= 0)
        return check_result();
    try_blocks(nblocks);
    try_nonsense(nblocks);
    try_flood(nblocks);
    return check_result();
}
