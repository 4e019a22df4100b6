/*
 * The system calls of monitors. inc/lib.h has their contracts; every argument is checked here, and
 * a guest is reachable only for the env that made it. Its counters, and pausing it, are for all.
 */
#include <vmm/debug.h>
#include <vmm/internal.h>
#include <inc/multiboot.h>
#include <kern/console.h>
#include <kern/serport.h>
#include <kern/trap.h>

/* Bytes that sys_guest_mem copies with interrupts off. */
#define COPY_CHUNK 0x10000ul

struct Guest *guest_find(envid_t id, bool own)
{
    struct Env *e = env_slot(id);
    struct spinlock *lock = env_mem(e);
    spin_lock(lock);
    if (e->env_id == id && e->env_status != ENV_DYING &&
        (!own || e->env_parent_id == curenv->env_id) && e->env_guest != NULL)
        return e->env_guest;
    spin_unlock(lock);
    return NULL;
}

/* The same if it is the caller's own. */
static struct Guest *guest_open(envid_t id)
{
    return guest_find(id, true);
}

void guest_close(struct Guest *g)
{
    spin_unlock(env_mem(g->env));
}

static bool mkguest_args_ok(uint64_t memsize, gpa_t entry, int flags)
{
    if (memsize < GUEST_MEM_MIN || memsize > GUEST_MEM_MAX || memsize % PGSIZE != 0)
        return false;
    return entry <= UINT32_MAX && gmem_would_be_ram(memsize, entry, 1) &&
           !(flags & ~(GUEST_INTERCEPT_PF | GUEST_DEBUG));
}

/* Join the new env and its machine, unless somebody has ended the env already. */
static int64_t guest_adopt(struct Env *e, struct Guest *g)
{
    envid_t id = e->env_id;
    g->env = e;
    spin_lock(env_mem(e));
    bool alive = e->env_status == ENV_NOT_RUNNABLE;
    if (alive) {
        e->env_guest = g;
        e->env_tf.tf_rax = MULTIBOOT_BOOTLOADER_MAGIC;
        strlcpy(e->env_name, "guest", sizeof e->env_name);
    }
    spin_unlock(env_mem(e));
    if (alive)
        return id;
    guest_drop(g);
    return -E_BAD_ENV;
}

int64_t sys_guest_check(uintptr_t why, size_t whysize)
{
    char words[256];
    int r = vmx_check_support(words, sizeof words);
    if (r == 0)
        return 0;
    size_t len = MIN(strlen(words) + 1, whysize);
    words[len > 0 ? len - 1 : 0] = '\0';
    return len > 0 && copyout(why, words, len) < 0 ? -E_FAULT : r;
}

int64_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, uintptr_t why, size_t whysize)
{
    if (!mkguest_args_ok(memsize, entry, flags))
        return -E_INVAL;
    int64_t r = sys_guest_check(why, whysize);
    if (r < 0)
        return r;
    /* LAB 1 begin: sys_env_mkguest */
    struct Env *e;
    struct Guest *g;
    r = guest_alloc(&g, memsize, entry, flags);
    if (r < 0)
        return r;
    r = env_alloc(&e, curenv, ENV_TYPE_GUEST);
    if (r < 0) {
        guest_drop(g);
        return r;
    }
    return guest_adopt(e, g);
    /* LAB 1 end */
}

static bool ept_perm_ok(uint64_t perm)
{
    return (perm & (PTE_P | PTE_U)) == (PTE_P | PTE_U) &&
           !(perm & ~(uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX));
}

int64_t sys_ept_map(envid_t srcenv, uintptr_t srcva, envid_t guest, gpa_t gpa, uint64_t perm)
{
    struct Guest *g = guest_open(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    /* LAB 3 begin: sys_ept_map */
    struct PageInfo *pp;
    int r = -E_INVAL;
    if (srcenv != 0 && srcenv != curenv->env_id)
        r = -E_BAD_ENV;
    else if (ept_perm_ok(perm) && PGOFF(gpa) == 0 && gmem_is_ram(g, gpa, PGSIZE))
        r = env_page_take(curenv, srcva, perm, &pp);
    if (r == 0) {
        r = ept_page_insert(g, pp, gpa, ept_rights(perm));
        page_decref(pp);
    }
    guest_close(g);
    return r;
    /* LAB 3 end */
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

/* An event that the guest has no part in: it is not stopped. */
static int64_t other_event(uint32_t event, uintptr_t x)
{
    return copyout(x + offsetof(struct GuestExit, event), &event, sizeof event);
}

/* What is there for the monitor; GUEST_EV_NONE: nothing. env_lock is held. */
static enum GuestEvent next_event(const struct Guest *g, bool console)
{
    if (curenv->env_senders.head != NULL)
        return GUEST_EV_MESSAGE;
    if (g->state == GUEST_EVENT)
        return g->exit.event;
    if (console && cons_has_input())
        return GUEST_EV_CONSOLE;
    return serport_has_input(curenv->env_id) ? GUEST_EV_SERIAL : GUEST_EV_NONE;
}

/* Nothing is there: wait, and leave the CPU to the guest (NULL: to anybody). The call is executed
 * again after the wake-up; the answer has been applied, which the state says. g and env_lock are
 * released. */
static void __attribute__((noreturn)) await_event(struct Guest *g, bool console, struct Env *guest)
{
    curenv->env_wait_id = g->env->env_id;
    curenv->env_wait_arg = console;
    sched_restart();
    sched_block(WAIT_GUEST, 0);
    guest_close(g);
    if (guest != NULL)
        sched_handoff(guest);
    spin_unlock(&env_lock);
    sched_yield();
}

/* The monitor's answer to the event that it has, if it owes one. -E_BAD_ENV, -E_FAULT. */
static int take_answer(struct Guest *g, uintptr_t x, bool *answered)
{
    struct GuestExit answer;
    *answered = false;
    if (g->state != GUEST_DELIVERED)
        return 0;
    if (g->doomed)
        return -E_BAD_ENV;
    if (debug_holds(g))
        return 0;
    if (copyin(&answer, x, offsetof(struct GuestExit, why)) < 0)
        return -E_FAULT;
    guest_answer(g, &answer);
    *answered = true;
    return 0;
}

/* sys_guest_run of an open guest. Does not return if there is nothing for the monitor yet. */
static int64_t run_guest(struct Guest *g, uintptr_t x, bool console)
{
    bool answered;
    int r = take_answer(g, x, &answered);
    if (r < 0)
        return r;
    spin_lock(&env_lock);
    struct Env *guest = answered ? guest_release(g) : NULL;
    enum GuestEvent event = next_event(g, console);
    if (event == GUEST_EV_NONE)
        await_event(g, console, guest);
    if (guest != NULL)
        sched_ready(guest);
    spin_unlock(&env_lock);
    if (event == GUEST_EV_CONSOLE || event == GUEST_EV_MESSAGE || event == GUEST_EV_SERIAL)
        return other_event(event, x);
    return deliver_event(g, x);
}

int64_t sys_guest_run(envid_t guest, uintptr_t x, bool console)
{
    struct Guest *g = guest_open(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    int64_t r = run_guest(g, x, console);
    guest_close(g);
    return r;
}

int64_t sys_guest_irq(envid_t guest, int vector)
{
    struct Guest *g = guest_open(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    bool ok = vector >= IRQ_OFFSET && vector <= 255;
    if (ok) {
        vapic_raise(g, vector);
        spin_lock(&env_lock);
        if (g->env->env_wait == WAIT_HLT)
            sched_wake(g->env);
        else if (env_on_cpu(g->env))
            cpu_kick(&cpus[g->env->env_cpunum]); /* it sees the interrupt on its way back in */
        spin_unlock(&env_lock);
    }
    guest_close(g);
    return ok ? 0 : -E_INVAL;
}

/* One piece within a page of guest memory. An untouched page that is only read has no frame. */
static int copy_piece(struct Guest *g, gpa_t gpa, uintptr_t buf, size_t n, bool write)
{
    static char zeroes[PGSIZE]; /* never written */
    struct PageInfo *pp;
    uint64_t rights;
    int r = gmem_hold(g, gpa, write ? GMEM_WRITE : GMEM_PEEK, &pp, &rights);
    if (r < 0)
        return r;
    char *hva = pp != NULL ? (char *)page2kva(pp) + PGOFF(gpa) : zeroes;
    r = (write ? copyin(hva, buf, n) : copyout(buf, hva, n)) < 0 ? -E_FAULT : 0;
    if (pp != NULL)
        page_decref(pp);
    return r;
}

static int copy_guest(struct Guest *g, gpa_t gpa, uintptr_t buf, size_t len, bool write)
{
    while (len > 0) {
        size_t n = MIN(len, PGSIZE - PGOFF(gpa));
        int r = copy_piece(g, gpa, buf, n, write);
        if (r < 0)
            return r;
        gpa += n;
        buf += n;
        len -= n;
    }
    return 0;
}

/* Long copies are done in parts, and interrupts come in between: the call is executed again. */
int64_t sys_guest_mem(envid_t guest, gpa_t gpa, uintptr_t buf, size_t len, bool write)
{
    size_t done = MIN(curenv->env_call_done, len), n = MIN(len - done, COPY_CHUNK);
    struct Guest *g = guest_open(guest);
    curenv->env_call_done = 0;
    if (g == NULL)
        return -E_BAD_ENV;
    int r = -E_INVAL;
    if (gmem_is_ram(g, gpa, len))
        r = copy_guest(g, gpa + done, buf + done, n, write);
    guest_close(g);
    if (r < 0 || done + n == len)
        return r;
    curenv->env_call_done = done + n;
    sched_restart();
    env_pop_tf(&curenv->env_tf);
}

int64_t sys_guest_stats(envid_t guest, uintptr_t stats)
{
    struct Guest *g = guest_find(guest, false);
    if (g == NULL)
        return -E_BAD_ENV;
    g->stats.exits = 0;
    for (int i = 0; i < GUEST_NREASONS; i++)
        g->stats.exits += g->stats.reasons[i];
    g->stats.last_reason = g->clock_reason;
    int r = copyout(stats, &g->stats, sizeof g->stats);
    guest_close(g);
    return r;
}

int64_t sys_guest_pause(envid_t guest, bool paused)
{
    struct Guest *g = guest_find(guest, false);
    if (g == NULL)
        return -E_BAD_ENV;
    spin_lock(&env_lock);
    sched_pause(g->env, paused);
    spin_unlock(&env_lock);
    guest_close(g);
    return 0;
}

int64_t sys_guest_debug(envid_t guest, int op, uint64_t arg, uintptr_t buf)
{
    struct Guest *g = guest_open(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    int64_t r = g->debug != NULL ? debug_command(g, op, arg, buf) : -E_PERM;
    guest_close(g);
    return r;
}
