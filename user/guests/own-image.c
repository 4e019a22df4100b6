/*
 * own-image: hypercalls whose pages are the guest's own image, from which it was loaded: code,
 * read-only data, page tables. The pages may be lent and written like any others, and nothing but
 * the named page changes. Ids of other envs and guests, and permissions that are none, are refused.
 */
#include <inc/fs.h>
#include "rt.h"

const char guest_name[] = "own-image";

#define NO_PAGE    (~0ul)
#define READ_WRITE (PTE_P | PTE_U | PTE_W)
#define ENV_SHIFT  10 /* ids have a generation above the number in the table */
#define MAX_IDS    4096

extern uint64_t boot_pml4[NPTENTRIES];

static const uint8_t read_only[PGSIZE] __attribute__((aligned(PGSIZE))) = { 1, 2, 3 };
static uint8_t data[PGSIZE] __attribute__((aligned(PGSIZE)));

static int64_t send(uint64_t to, uint64_t value, const void *page, uint64_t perm)
{
    return hypercall(VMX_VMCALL_IPCSEND, to, value, page ? (uint64_t)page : NO_PAGE, perm);
}

static int64_t receive(uint64_t gpa)
{
    uint64_t rax = VMX_VMCALL_IPCRECV, value;
    asm volatile(HYPERCALL : "+a"(rax), "+b"(gpa), "=S"(value) : : "rcx", "rdx", "memory", "cc");
    return (int64_t)rax < 0 ? (int64_t)rax : (int64_t)value;
}

static uint64_t sum_of(const void *p)
{
    const uint64_t *word = p;
    uint64_t sum = 0;
    for (unsigned i = 0; i < PGSIZE / sizeof(*word); i++)
        sum = sum * 31 + word[i];
    return sum;
}

/* An unknown request with this page, answered after another page of the image. */
static void lend(const char *what, const void *page)
{
    uint64_t code = ROUNDDOWN((uint64_t)guest_main, PGSIZE), before = sum_of((void *)code);
    trying("to lend %s", what);
    uint64_t own = sum_of(page);
    check(send(VMX_HOST_FS_ENV, GDISK_VALUE(99, 0), page, READ_WRITE) == 0, "it is not taken");
    check(receive(code) < 0, "an unknown request has worked");
    check(send(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_INFO, 0), page, READ_WRITE) == 0, "not taken");
    check(receive(code) > 0, "no disk");
    check(sum_of((void *)code) == before, "the code has changed");
    check(sum_of(page) == own, "the page has changed");
}

static void read_into(const char *what, const void *page)
{
    trying("to read block 0 of the disk into %s", what);
    check(send(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_READ, 0), data, READ_WRITE) == 0, "not taken");
    check(receive(NO_PAGE) == 0, "block 0 cannot be read");
    check(send(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_READ, 0), page, READ_WRITE) == 0, "not taken");
    check(receive(NO_PAGE) == 0, "block 0 cannot be read there");
    check(sum_of(page) == sum_of(data), "something else is there");
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm())
        return check_result();
    lend("code", (void *)ROUNDDOWN((uint64_t)guest_main, PGSIZE));
    lend("read-only data", read_only);
    lend("a page table", boot_pml4);
    read_into("a page of the image", read_only);
    trying("ids of others");
    for (uint64_t id = 0; id < MAX_IDS; id++)
        for (uint64_t generation = 0; generation < 4; generation++) {
            uint64_t to = generation << ENV_SHIFT | id;
            if (to != VMX_HOST_FS_ENV)
                check(send(to, 0, NULL, 0) == -E_BAD_ENV, "id 0x%lx is taken", to);
        }
    trying("permissions");
    for (int bit = 0; bit < 64; bit++) {
        uint64_t perm = PTE_P | PTE_U | 1ul << bit;
        bool fine = !(perm & ~(READ_WRITE | PTE_NX));
        int64_t r = send(VMX_HOST_FS_ENV, GDISK_VALUE(GDISK_INFO, 0), data, perm);
        if (r == 0)
            receive(NO_PAGE);
        check(r == (fine ? 0 : -E_INVAL), "permission 0x%lx gave %ld", perm, r);
    }
    check(send(VMX_HOST_FS_ENV, 0, data, 0) < 0, "a page without a permission is taken");
    return check_result();
}
