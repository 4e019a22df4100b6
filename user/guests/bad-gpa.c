/*
 * bad-gpa: every hypercall that takes a guest-physical address refuses one that is not, or not
 * wholly, this guest's memory.
 */
#include "rt.h"

const char guest_name[] = "bad-gpa";

static int64_t ipc_send(uint64_t gpa, uint64_t len)
{
    (void)len;
    return hypercall(VMX_VMCALL_IPCSEND, VMX_HOST_FS_ENV, 0, gpa, PTE_P | PTE_U | PTE_W);
}

static int64_t ipc_recv(uint64_t gpa, uint64_t len)
{
    (void)len;
    return hypercall(VMX_VMCALL_IPCRECV, gpa, 0, 0, 0);
}

static int64_t cons_write(uint64_t gpa, uint64_t len)
{
    return hypercall(VMX_VMCALL_CONS_WRITE, gpa, len, 0, 0);
}

static int64_t cons_read(uint64_t gpa, uint64_t len)
{
    return hypercall(VMX_VMCALL_CONS_READ, gpa, len, 0, 0);
}

static const struct Call {
    const char *name;
    int64_t (*call)(uint64_t gpa, uint64_t len);
    bool pages; /* takes a page-aligned address */
} calls[] = {
    { "IPCSEND", ipc_send, true },
    { "IPCRECV", ipc_recv, true },
    { "CONS_WRITE", cons_write, false },
    { "CONS_READ", cons_read, false },
};

static void refuse(const struct Call *c, uint64_t gpa, uint64_t len)
{
    int64_t r = c->call(gpa, len);
    check(r < 0 && r > -E_MAX, "%s at gpa 0x%lx, 0x%lx bytes, gave %ld", c->name, gpa, len, r);
}

static void try_outside(const struct Call *c, uint64_t end)
{
    const uint64_t outside[] = { end,
                                 GUEST_HOLE_START,
                                 0xfee00000,
                                 GUEST_HOLE_END - PGSIZE,
                                 GUEST_HOLE_END + GUEST_MEM_MAX,
                                 1ul << 46,
                                 1ul << 47,
                                 1ul << 52,
                                 1ul << 63,
                                 0xffff800000000000,
                                 -(uint64_t)PGSIZE };
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++)
        refuse(c, outside[i], 16);
}

static void try_unaligned(const struct Call *c)
{
    const uint64_t unaligned[] = { 0x200001, 0x2007ff, 0x200fff, ~0ul - 1 };
    for (unsigned i = 0; i < ARRAY_SIZE(unaligned); i++)
        refuse(c, unaligned[i], 16);
}

/* Ranges that begin inside and end outside, or wrap around. */
static void try_crossing(const struct Call *c, uint64_t end)
{
    refuse(c, end - 8, 16);
    refuse(c, end - PGSIZE + 1, PGSIZE);
    refuse(c, ~0ul - 7, 16);
    refuse(c, ~0ul, 1);
    refuse(c, 0x200000, ~0ul);
    refuse(c, 0x200000, ~0ul - 0x200000 + 2);
    refuse(c, 0x200000, 1ul << 63);
}

int guest_main(const struct MultibootInfo *info)
{
    uint64_t end = memory_end();
    (void)info;

    if (!on_jos_vmm())
        return check_result();
    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        const struct Call *c = &calls[i];
        trying("%s with addresses that are not mine", c->name);
        try_outside(c, end);
        if (c->pages)
            try_unaligned(c);
        else
            try_crossing(c, end);
    }
    trying("IPCSEND to environments that are not the file server");
    for (uint64_t to = 2; to < 1ul << 40; to = to * 3 + 1)
        check(hypercall(VMX_VMCALL_IPCSEND, to, 0, ~0ul, 0) < 0, "IPCSEND to 0x%lx worked", to);
    return check_result();
}
