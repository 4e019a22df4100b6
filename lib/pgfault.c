/*
 * Page-fault handling in user space. The kernel calls _pgfault_upcall (lib/pfentry.S) on the
 * exception stack; from there the program's own handler gets the fault, and before it the one for
 * copy-on-write pages, once the program has forked. A fault that nobody takes ends the program as
 * without an upcall.
 */
#include "internal.h"

_Static_assert(offsetof(struct UTrapframe, utf_r15) == 16, "UTF_REGS in pfentry.S");
_Static_assert(offsetof(struct UTrapframe, utf_rip) == 136, "UTF_RIP in pfentry.S");
_Static_assert(offsetof(struct UTrapframe, utf_rsp) == 152, "UTF_RSP in pfentry.S");

static void (*user_handler)(struct UTrapframe *utf);
static bool cow_active;

/* Give this env an exception stack and the upcall, unless it has them. */
static void install_upcall(void)
{
    static bool installed;
    if (installed)
        return;
    int r = sys_page_alloc(0, (void *)(UXSTACKTOP - PGSIZE), PERM_RW);
    if (r == 0)
        r = sys_env_set_pgfault_upcall(0, _pgfault_upcall);
    if (r < 0)
        panic("no page-fault upcall: %e", r);
    installed = true;
}

void set_pgfault_handler(void (*handler)(struct UTrapframe *utf))
{
    install_upcall();
    user_handler = handler;
}

void pgfault_use_cow(void)
{
    install_upcall();
    cow_active = true;
}

/* Give this env its own writable copy of the page. A page that nobody else maps any more needs no
 * copy. */
static void break_cow(uintptr_t va, uint64_t pte)
{
    uint64_t perm = (pte & PTE_SYSCALL & ~PTE_COW) | PTE_W;
    void *page = (void *)ROUNDDOWN(va, PGSIZE);

    if (page_refs(va) == 1 && sys_page_map(0, page, 0, page, perm) == 0)
        return;
    int r = sys_page_alloc(0, TEMP_COW, PERM_RW);
    if (r < 0) {
        cprintf("[%08x] %s: copy-on-write: %e\n", thisenv->env_id, binaryname, r);
        exit(EXIT_FAULT);
    }
    memcpy(TEMP_COW, page, PGSIZE);
    r = sys_page_map(0, TEMP_COW, 0, page, perm);
    assert(r == 0);
    sys_page_unmap(0, TEMP_COW);
}

static void unhandled(const struct UTrapframe *utf)
{
    cprintf("[%08x] %s: page fault at %#lx (%s%s), rip %#lx, rsp %#lx: ended\n", thisenv->env_id,
            binaryname, utf->utf_fault_va, utf->utf_err & FEC_WR ? "write" : "read",
            utf->utf_err & FEC_PR ? ", forbidden by the page" : ", nothing mapped", utf->utf_rip,
            utf->utf_rsp);
    exit(EXIT_FAULT);
}

void pgfault_dispatch(struct UTrapframe *utf)
{
    if (cow_active && (utf->utf_err & FEC_WR) && (utf->utf_err & FEC_PR)) {
        uint64_t pte = uvpt_entry(utf->utf_fault_va);
        if ((pte & PTE_P) && (pte & PTE_COW))
            return break_cow(utf->utf_fault_va, pte);
    }
    if (!user_handler)
        unhandled(utf);
    user_handler(utf);
}
