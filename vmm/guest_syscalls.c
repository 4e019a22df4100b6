/*
 * The system calls of monitors. inc/lib.h has their contracts; every argument is checked here, and
 * a guest is reachable only for the env that made it.
 */
#include <vmm/internal.h>
#include <inc/multiboot.h>
#include <kern/console.h>

struct Env *guest_of_caller(envid_t id)
{
    struct Env *e;
    if (id == 0 || envid2env(id, &e, true) < 0 || e == curenv)
        return NULL;
    return e->env_type == ENV_TYPE_GUEST && e->env_guest != NULL ? e : NULL;
}

static bool mkguest_args_ok(uint64_t memsize, gpa_t entry, int flags)
{
    if (memsize < GUEST_MEM_MIN || memsize > GUEST_MEM_MAX || memsize % PGSIZE != 0)
        return false;
    return entry <= UINT32_MAX && gmem_would_be_ram(memsize, entry, 1) &&
           !(flags & ~GUEST_INTERCEPT_PF);
}

int64_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, uintptr_t why, size_t whysize)
{
    char words[256];
    struct Env *e;
    struct Guest *g;
    if (!mkguest_args_ok(memsize, entry, flags))
        return -E_INVAL;
    int r = vmx_check_support(words, sizeof words);
    if (r < 0) {
        size_t len = MIN(strlen(words) + 1, whysize);
        words[len > 0 ? len - 1 : 0] = '\0';
        return len > 0 && copyout(why, words, len) < 0 ? -E_FAULT : r;
    }
    r = guest_alloc(&g, memsize, entry, flags);
    if (r < 0)
        return r;
    r = env_alloc(&e, curenv, ENV_TYPE_GUEST);
    if (r < 0) {
        guest_drop(g);
        return r;
    }
    g->env = e;
    e->env_guest = g;
    e->env_tf.tf_rax = MULTIBOOT_BOOTLOADER_MAGIC;
    strlcpy(e->env_name, "guest", sizeof e->env_name);
    return e->env_id;
}

int64_t sys_ept_map(envid_t srcenv, uintptr_t srcva, envid_t guest, gpa_t gpa, uint64_t perm)
{
    struct Env *e = guest_of_caller(guest);
    uint64_t *pte;
    if (e == NULL || (srcenv != 0 && srcenv != curenv->env_id))
        return -E_BAD_ENV;
    if (srcva >= UTOP || PGOFF(srcva) != 0 || PGOFF(gpa) != 0)
        return -E_INVAL;
    if ((perm & (PTE_P | PTE_U)) != (PTE_P | PTE_U) ||
        (perm & ~(uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX)))
        return -E_INVAL;
    if (!gmem_is_ram(e->env_guest, gpa, PGSIZE))
        return -E_INVAL;
    struct PageInfo *pp = page_lookup(curenv->env_pml4, srcva, &pte);
    if (pp == NULL || ((perm & PTE_W) && !(*pte & PTE_W)))
        return -E_INVAL;
    return ept_page_insert(e->env_guest, pp, gpa, ept_rights(perm));
}

/* Give the event to the monitor. A guest that has ended stays until its monitor destroys it, so
 * that its statistics can be read. */
static int64_t deliver_event(struct Guest *g, uintptr_t x)
{
    size_t len = g->doomed ? sizeof g->exit : offsetof(struct GuestExit, why);
    if (copyout(x, &g->exit, len) < 0)
        return -E_FAULT;
    g->state = GUEST_DELIVERED;
    return 0;
}

static int64_t console_event(uintptr_t x)
{
    uint32_t event = GUEST_EV_CONSOLE;
    return copyout(x + offsetof(struct GuestExit, event), &event, sizeof event);
}

int64_t sys_guest_run(envid_t guest, uintptr_t x, bool console)
{
    struct Env *e = guest_of_caller(guest);
    if (e == NULL)
        return -E_BAD_ENV;
    struct Guest *g = e->env_guest;
    if (g->state == GUEST_DELIVERED && g->doomed)
        return -E_BAD_ENV;
    if (g->state == GUEST_DELIVERED) {
        struct GuestExit answer;
        if (copyin(&answer, x, offsetof(struct GuestExit, why)) < 0)
            return -E_FAULT;
        guest_answer(g, &answer);
    }
    if (g->state == GUEST_EVENT)
        return deliver_event(g, x);
    if (console && cons_has_input())
        return console_event(x);
    /* Executed again after the wake-up; the answer was applied, which the state says. */
    curenv->env_wait_id = guest;
    curenv->env_wait_arg = console;
    sched_restart();
    sched_block(WAIT_GUEST, 0);
    sched_yield();
}

int64_t sys_guest_irq(envid_t guest, int vector)
{
    struct Env *e = guest_of_caller(guest);
    if (e == NULL)
        return -E_BAD_ENV;
    if (vector < IRQ_OFFSET || vector > 255)
        return -E_INVAL;
    vapic_raise(e->env_guest, vector);
    if (e->env_wait == WAIT_HLT)
        sched_wake(e);
    return 0;
}

/* One piece within a page of guest memory. An untouched page that is only read has no host address.
 */
static int copy_piece(void *hva, uintptr_t buf, size_t n, bool write)
{
    static char zeroes[PGSIZE]; /* never written */
    if (write)
        return copyin(hva, buf, n);
    return copyout(buf, hva != NULL ? hva : zeroes, n);
}

int64_t sys_guest_mem(envid_t guest, gpa_t gpa, uintptr_t buf, size_t len, bool write)
{
    struct Env *e = guest_of_caller(guest);
    if (e == NULL)
        return -E_BAD_ENV;
    if (!gmem_is_ram(e->env_guest, gpa, len))
        return -E_INVAL;
    while (len > 0) {
        void *hva;
        size_t n = len;
        int r = gmem_host(e->env_guest, gpa, &n, write ? GMEM_WRITE : GMEM_PEEK, &hva);
        if (r == 0)
            r = copy_piece(hva, buf, n, write) < 0 ? -E_FAULT : 0;
        if (r < 0)
            return r;
        gpa += n;
        buf += n;
        len -= n;
    }
    return 0;
}

int64_t sys_guest_stats(envid_t guest, uintptr_t stats)
{
    struct Env *e = guest_of_caller(guest);
    if (e == NULL)
        return -E_BAD_ENV;
    return copyout(stats, &e->env_guest->stats, sizeof e->env_guest->stats);
}
