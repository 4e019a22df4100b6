/*
 * The system calls of monitors. inc/lib.h has their contracts; every argument is checked here, and
 * a guest is reachable only for the env that made it. Its counters, and pausing it, are for all.
 */
#include <kern/uaccess.h>
#include <kern/sched.h>
#include <kern/sysmem.h>
#include <kern/envlife.h>
#include <kern/cpu.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/pmap.h>
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/ept.h>
#include <vmm/features.h>
#include <vmm/guest.h>
#include <vmm/trace.h>
#include <vmm/vapic_regs.h>
#include <vmm/vmlife.h>
#include <vmm/gmem.h>
#include <vmm/vapic.h>
#include <vmm/vcpu.h>
#include <inc/msi.h>
#include <inc/multiboot.h>
#include <kern/dev/console.h>
#include <kern/dev/serport.h>
#include <kern/trap.h>
#include <kern/trapentry.h>

/* Bytes that sys_guest_mem copies with interrupts off. */
#define COPY_CHUNK 0x10000ul

static bool mkguest_args_ok(uint64_t memsize, gpa_t entry, int flags)
{
    if (memsize < GUEST_MEM_MIN || memsize > GUEST_MEM_MAX || memsize % PGSIZE != 0)
        return false;
    return entry <= UINT32_MAX && gmem_would_be_ram(memsize, entry, 1) &&
           !(flags & ~(GUEST_INTERCEPT_PF | GUEST_DEBUG));
}

/* Join the new env and its machine, unless somebody has ended the env already. */
static int64_t guest_adopt(struct Env *e, struct Vcpu *v)
{
    envid_t id = e->env_id;
    v->env = e;
    spin_lock(env_mem(e));
    env_lock(e);
    bool alive = READ_ONCE(e->env_status) == ENV_NOT_RUNNABLE;
    if (alive) {
        e->env_guest = v;
        e->env_tf.tf_rax = MULTIBOOT_BOOTLOADER_MAGIC;
        strlcpy(e->env_name, "guest", sizeof(e->env_name));
    }
    env_unlock(e);
    spin_unlock(env_mem(e));
    if (alive)
        return id;
    vm_drop(v->vm);
    return -E_BAD_ENV;
}

int64_t sys_guest_check(uintptr_t why, size_t whysize)
{
    char words[512];
    int r = backend_check(words, sizeof(words));
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
    struct Vcpu *v;
    r = vm_alloc(&v, memsize, entry, flags);
    if (r < 0)
        return r;
    r = env_alloc(&e, curenv, ENV_TYPE_GUEST);
    if (r < 0) {
        vm_drop(v->vm);
        return r;
    }
    return guest_adopt(e, v);
    /* LAB 1 end */
}

int64_t sys_guest_features(envid_t guest, uintptr_t off)
{
    struct CpuWords words;
    int r = copyin(&words, off, sizeof(words));
    if (r < 0)
        return r;
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    r = v->started ? -E_BUSY : features_turn_off(v->vm, &words);
    guest_close(v);
    return r;
}

static bool ept_perm_ok(uint64_t perm)
{
    return (perm & (PTE_P | PTE_U)) == (PTE_P | PTE_U) &&
           !(perm & ~(uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX));
}

int64_t sys_ept_map(envid_t srcenv, uintptr_t srcva, envid_t guest, gpa_t gpa, uint64_t perm)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    /* LAB 3 begin: sys_ept_map */
    struct PageInfo *pp;
    int r = -E_INVAL;
    if (srcenv != 0 && srcenv != curenv->env_id)
        r = -E_BAD_ENV;
    else if (ept_perm_ok(perm) && PGOFF(gpa) == 0 && gmem_is_ram(v->vm, gpa, PGSIZE))
        r = env_page_take(curenv, srcva, perm, &pp);
    if (r == 0) {
        r = ept_page_insert(v->vm, pp, gpa, ept_rights(perm));
        page_decref(pp);
    }
    guest_close(v);
    return r;
    /* LAB 3 end */
}

/* The guest has something to take, whatever it is doing. */
static void poke(struct Vcpu *v)
{
    env_lock(v->env);
    sched_poke(v->env);
    env_unlock(v->env);
}

int64_t sys_guest_irq(envid_t guest, int vector)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    bool ok = vector >= IRQ_OFFSET && vector <= 255;
    if (ok) {
        vapic_raise(v, vector);
        poke(v);
    }
    guest_close(v);
    return ok ? 0 : -E_INVAL;
}

int64_t sys_guest_msi(envid_t guest, uint64_t address, uint32_t data)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    int r = vapic_accept_msi(v, address, data);
    if (r > 0)
        poke(v);
    guest_close(v);
    return MIN(r, 0);
}

/* The vCPU has no CPU, since it is stopped. */
static int64_t access_apic(struct Vcpu *v, uint32_t offset, unsigned size, bool write,
                           uint64_t value)
{
    bool ok = size == 1 || size == 2 || size == 4 || size == 8;
    if (v->state != GUEST_DELIVERED || v->exit.event != GUEST_EV_MMIO)
        return -E_AGAIN;
    if (!ok || offset > PGSIZE - size || v->vapic.page == NO_APIC_PAGE)
        return -E_INVAL;
    if (!write)
        return vapic_load(v, offset, size);
    vapic_store(v, offset, size, value); /* may end the guest */
    return 0;
}

int64_t sys_guest_apic(envid_t guest, uint32_t offset, unsigned size, bool write, uint64_t value)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    int64_t r = access_apic(v, offset, size, write, value);
    guest_close(v);
    return r;
}

/* One piece within a page of guest memory. An untouched page that is only read has no frame. */
static int copy_piece(struct Vcpu *v, gpa_t gpa, uintptr_t buf, size_t n, bool write)
{
    static char zeroes[PGSIZE]; /* never written */
    struct PageInfo *pp;
    uint32_t rights;
    int r = gmem_hold(v->vm, gpa, write ? GMEM_WRITE : GMEM_PEEK, &pp, &rights);
    if (r < 0)
        return r;
    char *hva = pp ? (char *)page2kva(pp) + PGOFF(gpa) : zeroes;
    r = (write ? copyin(hva, buf, n) : copyout(buf, hva, n)) < 0 ? -E_FAULT : 0;
    if (pp)
        page_decref(pp);
    return r;
}

static int copy_guest(struct Vcpu *v, gpa_t gpa, uintptr_t buf, size_t len, bool write)
{
    while (len > 0) {
        ssize_t n = write ? gmem_populate_from(v->vm, gpa, buf, len) : 0;
        if (n < 0)
            return n;
        if (n == 0) {
            n = MIN(len, PGSIZE - PGOFF(gpa));
            int r = copy_piece(v, gpa, buf, n, write);
            if (r < 0)
                return r;
        }
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
    struct Vcpu *v = guest_open(guest);
    curenv->env_call_done = 0;
    if (!v)
        return -E_BAD_ENV;
    int r = -E_INVAL;
    if (gmem_is_ram(v->vm, gpa, len))
        r = copy_guest(v, gpa + done, buf + done, n, write);
    guest_close(v);
    if (r < 0 || done + n == len)
        return r;
    curenv->env_call_done = done + n;
    sched_restart();
    env_pop_tf(&curenv->env_tf);
}

int64_t sys_guest_map(envid_t guest, gpa_t gpa, uintptr_t va, uint64_t perm)
{
    struct Vcpu *v = guest_open(guest);
    struct PageInfo *pp = NULL;
    uint32_t rights;
    if (!v)
        return -E_BAD_ENV;
    int r = -E_INVAL;
    if (va < UTOP && PGOFF(va) == 0 && PGOFF(gpa) == 0 && ept_perm_ok(perm) &&
        gmem_is_ram(v->vm, gpa, PGSIZE))
        r = gmem_hold(v->vm, gpa, perm & PTE_W ? GMEM_WRITE : GMEM_READ, &pp, &rights);
    guest_close(v);
    if (r == 0)
        r = env_page_give(curenv, pp, va, perm | PTE_NX);
    if (r < 0 && pp)
        page_decref(pp);
    return r;
}

/* Add what a vCPU has counted. */
static void add_exits(struct GuestStats *st, const struct ExitStats *from)
{
    for (int i = 0; i < GUEST_NREASONS; i++) {
        st->exits += from->count[i];
        st->reasons[i] += from->count[i];
        st->vmm_ticks[i] += from->vmm_ticks[i];
        st->monitor_ticks[i] += from->monitor_ticks[i];
    }
    st->vmm_ticks[GUEST_NREASONS] += from->vmm_ticks[GUEST_NREASONS];
    st->unknown_msrs += from->unknown_msrs;
    if (from->unknown_msrs > 0)
        st->last_unknown_msr = from->last_unknown_msr;
    st->injected_pf += from->injected_pf;
    st->refused_pf += from->refused_pf;
}

int64_t sys_guest_stats(envid_t guest, uintptr_t stats)
{
    struct Vcpu *v = guest_find(guest);
    if (!v)
        return -E_BAD_ENV;
    const struct Vm *vm = v->vm;
    struct GuestStats st = {
        .pages = vm->stats.pages,
        .large_pages = vm->stats.large_pages,
        .table_pages = vm->stats.table_pages,
        .unclaimed = v->shared ? READ_ONCE(v->shared->unclaimed) : 0,
        .last_unclaimed = v->shared ? READ_ONCE(v->shared->last_unclaimed) : 0,
        .start_tsc = v->stats.start_tsc,
        .last_reason = v->clock_reason,
        .traced = trace_size(v),
    };
    for (uint32_t i = 0; i < VM_NVCPUS && vm->vcpus[i]; i++)
        add_exits(&st, &vm->vcpus[i]->stats);
    int r = copyout(stats, &st, sizeof(st));
    guest_close(v);
    return r;
}

int64_t sys_guest_pause(envid_t guest, bool paused)
{
    struct Vcpu *v = guest_find(guest);
    if (!v)
        return -E_BAD_ENV;
    sched_pause(v->env, paused);
    guest_close(v);
    return 0;
}

int64_t sys_guest_debug(envid_t guest, int op, uint64_t arg, uintptr_t buf)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    int64_t r = v->debug ? debug_command(v, op, arg, buf) : -E_PERM;
    guest_close(v);
    return r;
}
