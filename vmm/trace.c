/*
 * Traces: what a guest's last exits were, kept in a ring while somebody has asked for it. A guest
 * that is not traced pays nothing: its exits do not come here.
 */
#include <kern/uaccess.h>
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/vmtrace.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/backend.h>
#include <vmm/guest.h>
#include <vmm/trace.h>
#include <vmm/vcpu.h>

#define ENTRIES_PER_PAGE (PGSIZE / sizeof(struct GuestTraceEntry))
#define TRACE_PAGES      ((GUEST_TRACE_MAX + ENTRIES_PER_PAGE - 1) / ENTRIES_PER_PAGE)
#define COPY_ENTRIES     8 /* copied to a reader at a time, off the kernel's stack */

/* The ring. Its owner's CPU writes, readers may be on any; `lock` protects entries and `next`. */
struct Trace {
    struct spinlock lock;
    uint64_t next; /* number of the next exit; entry n is at n % size */
    uint64_t size;
    bool open; /* `now` describes an exit whose handler has not returned */
    struct GuestTraceEntry now;
    struct GuestTraceEntry *pages[TRACE_PAGES];
};
_Static_assert(sizeof(struct Trace) <= PGSIZE, "a trace's head is one page");

static struct GuestTraceEntry *entry_of(struct Trace *t, uint64_t n)
{
    uint64_t slot = n % t->size;
    return &t->pages[slot / ENTRIES_PER_PAGE][slot % ENTRIES_PER_PAGE];
}

static void drop_ring(struct Trace *t)
{
    for (size_t i = 0; i < TRACE_PAGES; i++)
        page_drop(t->pages[i]);
    page_drop(t);
}

void trace_free(struct Vcpu *v)
{
    if (v->trace)
        drop_ring(v->trace);
}

size_t trace_size(const struct Vcpu *v)
{
    return v->trace ? v->trace->size : 0;
}

static int trace_start(struct Vcpu *v, size_t n)
{
    struct Trace *t = page_new();
    if (!t)
        return -E_NO_MEM;
    t->lock.name = "trace";
    t->size = n;
    for (size_t i = 0; i * ENTRIES_PER_PAGE < n; i++) {
        t->pages[i] = page_new();
        if (!t->pages[i]) {
            drop_ring(t);
            return -E_NO_MEM;
        }
    }
    v->trace = t;
    v->traced = true;
    v->quick_reasons = QUICK_NONE;
    return 0;
}

/* What the registers tell of an exit. */
static void note_registers(struct GuestTraceEntry *e, const struct Trapframe *tf)
{
    switch (e->reason) {
    case EXIT_CPUID:
        e->detail = (uint32_t)tf->tf_rax;
        e->value = (uint32_t)tf->tf_rcx;
        break;
    case EXIT_VMCALL:
        e->detail = tf->tf_rax;
        e->value = tf->tf_rbx;
        break;
    case EXIT_RDMSR:
    case EXIT_WRMSR:
        e->detail = (uint32_t)tf->tf_rcx;
        e->value = tf->tf_rdx << 32 | (uint32_t)tf->tf_rax;
        break;
    case EXIT_IO:
        e->value = (uint32_t)tf->tf_rax;
        break;
    }
}

void trace_exit(struct Vcpu *v)
{
    if (!v->trace)
        return;
    struct GuestTraceEntry *e = &v->trace->now;
    *e = (struct GuestTraceEntry){ .tsc = read_tsc(),
                                   .rip = backend->get(v, VREG_RIP),
                                   .reason = v->clock_reason,
                                   .vector = GUEST_NO_VECTOR };
    note_registers(e, &v->env->env_tf);
    backend->describe(v, e);
    v->trace->open = true;
}

/* What becomes of a guest that is not entered again at once. */
static enum GuestAction action_outside(const struct Vcpu *v)
{
    if (v->doomed)
        return ACTION_END;
    if (v->state != GUEST_RUNS)
        return ACTION_MONITOR;
    return READ_ONCE(v->env->env_status) == ENV_NOT_RUNNABLE ? ACTION_SLEEP : ACTION_YIELD;
}

static enum GuestAction action_inside(const struct Vcpu *v, struct GuestTraceEntry *e)
{
    uint32_t event = backend->injected(v);
    if (event & EVENT_VALID) {
        e->injected = event & EVENT_VECTOR;
        return ACTION_INJECT;
    }
    return backend->get(v, VREG_RIP) == e->rip ? ACTION_RETRY : ACTION_NEXT;
}

void trace_action(struct Vcpu *v, bool again)
{
    struct Trace *t = v->trace;
    if (!t || !t->open)
        return;
    t->open = false;
    t->now.ticks = MIN(read_tsc() - t->now.tsc, (uint64_t)UINT32_MAX);
    t->now.action = again ? action_inside(v, &t->now) : action_outside(v);
    spin_lock(&t->lock);
    *entry_of(t, t->next) = t->now;
    t->next++;
    spin_unlock(&t->lock);
}

/* ---- system calls ---- */

int64_t sys_guest_trace_start(envid_t guest, size_t n)
{
    struct Vcpu *v = guest_open(guest);
    if (!v)
        return -E_BAD_ENV;
    int r;
    if (n < 1 || n > GUEST_TRACE_MAX)
        r = -E_INVAL;
    else if (v->started || v->trace || READ_ONCE(v->env->env_status) != ENV_NOT_RUNNABLE)
        r = -E_BUSY;
    else
        r = trace_start(v, n);
    guest_close(v);
    return r;
}

/* Copy at most COPY_ENTRIES from number n on; returns how many, and in *n where they begin. */
static size_t take_entries(struct Trace *t, uint64_t *n, struct GuestTraceEntry *to, size_t max)
{
    spin_lock(&t->lock);
    uint64_t oldest = t->next > t->size ? t->next - t->size : 0;
    *n = MAX(*n, oldest);
    size_t count = *n < t->next ? MIN(t->next - *n, MIN(max, (uint64_t)COPY_ENTRIES)) : 0;
    for (size_t i = 0; i < count; i++)
        to[i] = *entry_of(t, *n + i);
    spin_unlock(&t->lock);
    return count;
}

/* Copy entries until the reader has n, or all, or the ring has gone over what would be next. */
static int64_t copy_trace(struct Trace *t, uint64_t *first, uintptr_t entries, size_t n)
{
    struct GuestTraceEntry part[COPY_ENTRIES];
    uint64_t at = *first;
    size_t done = 0, count;
    while ((count = take_entries(t, &at, part, n - done)) > 0) {
        if (done == 0)
            *first = at;
        else if (at != *first + done)
            break;
        if (copyout(entries + done * sizeof(part[0]), part, count * sizeof(part[0])) < 0)
            return -E_FAULT;
        done += count;
        at += count;
    }
    return done;
}

int64_t sys_guest_trace(envid_t guest, uintptr_t first, uintptr_t entries, size_t n)
{
    struct Vcpu *v = guest_find(guest);
    if (!v)
        return -E_BAD_ENV;
    uint64_t from;
    int64_t r = -E_NOT_FOUND;
    if (v->trace) {
        r = copyin(&from, first, sizeof(from)) < 0
                ? -E_FAULT
                : copy_trace(v->trace, &from, entries, MIN(n, (size_t)GUEST_TRACE_MAX));
        if (r >= 0 && copyout(first, &from, sizeof(from)) < 0)
            r = -E_FAULT;
    }
    guest_close(v);
    return r;
}

/* ---- for the kernel monitor and crash reports ---- */

static void print_counts(const struct Vcpu *v)
{
    const struct ExitStats *st = &v->stats;
    for (uint32_t i = 0; i < GUEST_NREASONS; i++)
        if (st->count[i] > 0)
            cprintf("  %10lu %12lu %12lu  %s\n", st->count[i], st->vmm_ticks[i] / st->count[i],
                    st->monitor_ticks[i] / st->count[i], vmexit_words(i));
}

static void print_last(struct Trace *t, size_t n)
{
    uint64_t kept = MIN(t->next, t->size);
    for (uint64_t i = t->next - MIN(kept, (uint64_t)n); i < t->next; i++) {
        char line[VMTRACE_LINE];
        vmtrace_line(line, sizeof(line), i, entry_of(t, i));
        cprintf("  %s\n", line);
    }
}

void guests_print_exits(size_t n)
{
    unsigned guests = 0;
    for (const struct Env *e = envs; e < envs + NENV; e++) {
        struct Vcpu *v = e->env_status != ENV_FREE ? e->env_guest : NULL;
        if (!v)
            continue;
        guests++;
        cprintf(
            "guest %s (env %08x), last exit: %s\n       exits  VMM ticks  monitor ticks (each)\n",
            e->env_name, e->env_id, vmexit_words(v->clock_reason));
        print_counts(v);
        if (v->trace && n > 0)
            print_last(v->trace, n);
    }
    if (guests == 0)
        cprintf("no guests\n");
}
