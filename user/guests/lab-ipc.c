/*
 * lab-ipc: exercise 7, the kernel's side. Messages between a guest and the host's file server: what
 * is refused, and the two orders in which an answer and the guest that wants it can come.
 */
#include <inc/fs.h>
#include "lab.h"

const char guest_name[] = "lab-ipc";

#define EXERCISE   7
#define NO_PAGE    (~0ul)
#define READ_WRITE (PTE_P | PTE_U | PTE_W)
#define ROUNDS     20
#define WAIT_TICKS 3000000ul /* in which the file server answers */

static uint8_t page[PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t again[PGSIZE] __attribute__((aligned(PGSIZE)));

static int64_t send_to(uint64_t to, uint64_t value, uint64_t gpa, uint64_t perm)
{
    return hypercall(VMX_VMCALL_IPCSEND, to, value, gpa, perm);
}

static int64_t send(int req, uint64_t block, const void *at)
{
    return send_to(VMX_HOST_FS_ENV, GDISK_VALUE(req, block), at ? (uint64_t)at : NO_PAGE,
                   at ? READ_WRITE : 0);
}

/* The value of the next answer, or the error. */
static int64_t receive(void)
{
    uint64_t regs[NREGS] = { [REG_AX] = VMX_VMCALL_IPCRECV, [REG_BX] = NO_PAGE };
    vmcall_regs(regs);
    return regs[REG_AX] != 0 ? (int64_t)regs[REG_AX] : (int64_t)regs[REG_SI];
}

static int64_t request(int req, uint64_t block, const void *at)
{
    int64_t r = send(req, block, at);
    return r < 0 ? r : receive();
}

static void refusals(void)
{
    uint64_t end = memory_end();
    property(EXERCISE, "send-other-env", "the result of IPCSEND to env 2", -E_BAD_ENV,
             send_to(VMX_HOST_FS_ENV + 1, GDISK_VALUE(GDISK_INFO, 0), NO_PAGE, 0));
    property(EXERCISE, "send-bad-page", "the result of IPCSEND with a page beyond memory", -E_INVAL,
             send_to(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_READ, 0), end, READ_WRITE));
    property(EXERCISE, "send-unaligned", "the result of IPCSEND with half a page", -E_INVAL,
             send_to(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_READ, 0), (uint64_t)page + 8, READ_WRITE));
    property(EXERCISE, "recv-bad-page", "the result of IPCRECV at a gpa beyond memory", -E_INVAL,
             hypercall(VMX_VMCALL_IPCRECV, end, 0, 0, 0));
    property(EXERCISE, "recv-unaligned", "the result of IPCRECV at half a page", -E_INVAL,
             hypercall(VMX_VMCALL_IPCRECV, (uint64_t)page + 8, 0, 0, 0));
}

/* The guest waits, then the answer comes; the answer waits, then the guest comes. */
static void orders(int64_t nblocks)
{
    property(EXERCISE, "recv-waits", "the answer that the guest has waited for", nblocks,
             request(GDISK_INFO, 0, NULL));
    send(GDISK_INFO, 0, NULL);
    for (uint64_t start = read_tsc(); read_tsc() - start < WAIT_TICKS;)
        asm volatile("pause");
    property(EXERCISE, "recv-takes", "the answer that has waited for the guest", nblocks,
             receive());
    property(EXERCISE, "recv-once", "the next answer", nblocks, request(GDISK_INFO, 0, NULL));
}

static void blocks(int64_t nblocks)
{
    uint64_t failed = 0, last = nblocks - 1;
    for (unsigned i = 0; i < ROUNDS; i++)
        failed += request(GDISK_READ, last, page) != 0;
    property(EXERCISE, "read", "reads that failed", 0, failed);
    memset(page, 0x5a, sizeof(page));
    property(EXERCISE, "write", "the result of a write", 0, request(GDISK_WRITE, last, page));
    request(GDISK_READ, last, again);
    property(EXERCISE, "page", "bytes that a read after it found changed", 0,
             memcmp(page, again, sizeof(page)) != 0);
    property(EXERCISE, "answer-is-error", "whether a block beyond the end is an error", 1,
             request(GDISK_READ, nblocks, page) < 0);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    int64_t nblocks = request(GDISK_INFO, 0, NULL);
    property(EXERCISE, "info", "whether the disk has blocks", 1, nblocks > 0);
    refusals();
    if (nblocks > 0) {
        orders(nblocks);
        blocks(nblocks);
    }
    property_sum(EXERCISE);
    return 0;
}
