/*
 * Traces: what a guest's last exits were, kept in a ring while somebody has asked for it. A guest
 * that is not traced pays nothing: its exits do not come here.
 */
#include <vmm/internal.h>
#include <inc/vmtrace.h>
#include <vmm/syscalls.h>

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

static void *new_page(void)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (pp == NULL)
        return NULL;
    page_incref(pp);
    return page2kva(pp);
}

static void drop_page(void *page)
{
    if (page != NULL)
        page_decref(pa2page(PADDR(page)));
}

static void drop_ring(struct Trace *t)
{
    for (size_t i = 0; i < TRACE_PAGES; i++)
        drop_page(t->pages[i]);
    drop_page(t);
}

void trace_free(struct Guest *g)
{
    if (g->trace != NULL)
        drop_ring(g->trace);
}

static int trace_start(struct Guest *g, size_t n)
{
    struct Trace *t = new_page();
    if (t == NULL)
        return -E_NO_MEM;
    t->lock.name = "trace";
    t->size = n;
    for (size_t i = 0; i * ENTRIES_PER_PAGE < n; i++) {
        t->pages[i] = new_page();
        if (t->pages[i] == NULL) {
            drop_ring(t);
            return -E_NO_MEM;
        }
    }
    g->trace = t;
    g->stats.traced = n;
    g->first_rare_reason = 0;
    return 0;
}

/* What the registers tell of an exit beyond its qualification. */
static void note_details(struct GuestTraceEntry *e, const struct Trapframe *tf)
{
    switch (e->reason) {
    case EXIT_REASON_EXCEPTION:
    case EXIT_REASON_EXTINT:
        e->detail = vmread(VMCS_EXIT_INTR_INFO);
        break;
    case EXIT_REASON_CPUID:
        e->detail = (uint32_t)tf->tf_rax;
        e->value = (uint32_t)tf->tf_rcx;
        break;
    case EXIT_REASON_VMCALL:
        e->detail = tf->tf_rax;
        e->value = tf->tf_rbx;
        break;
    case EXIT_REASON_RDMSR:
    case EXIT_REASON_WRMSR:
        e->detail = (uint32_t)tf->tf_rcx;
        e->value = tf->tf_rdx << 32 | (uint32_t)tf->tf_rax;
        break;
    case EXIT_REASON_IO:
        e->value = (uint32_t)tf->tf_rax;
        break;
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_EPT_MISCONFIG:
        e->gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
        break;
    }
}

void trace_exit(struct Guest *g, uint32_t reason)
{
    if (g->trace == NULL)
        return;
    struct GuestTraceEntry *e = &g->trace->now;
    *e = (struct GuestTraceEntry){ .tsc = read_tsc(),
                                   .rip = vmread(VMCS_GUEST_RIP),
                                   .qualification = vmread(VMCS_EXIT_QUALIFICATION),
                                   .reason = reason };
    note_details(e, &g->env->env_tf);
    g->trace->open = true;
}

/* What becomes of a guest that is not entered again at once. */
static enum GuestAction action_outside(const struct Guest *g)
{
    if (g->doomed)
        return ACTION_END;
    if (g->state != GUEST_RUNS)
        return ACTION_MONITOR;
    return READ_ONCE(g->env->env_status) == ENV_NOT_RUNNABLE ? ACTION_SLEEP : ACTION_YIELD;
}

static enum GuestAction action_inside(struct GuestTraceEntry *e)
{
    uint32_t event = vmread(VMCS_ENTRY_INTR_INFO);
    if (event & INTR_VALID) {
        e->injected = event;
        return ACTION_INJECT;
    }
    return vmread(VMCS_GUEST_RIP) == e->rip ? ACTION_RETRY : ACTION_NEXT;
}

void trace_action(struct Guest *g, bool again)
{
    struct Trace *t = g->trace;
    if (t == NULL || !t->open)
        return;
    t->open = false;
    t->now.ticks = MIN(read_tsc() - t->now.tsc, (uint64_t)UINT32_MAX);
    t->now.action = again ? action_inside(&t->now) : action_outside(g);
    spin_lock(&t->lock);
    *entry_of(t, t->next) = t->now;
    t->next++;
    spin_unlock(&t->lock);
}

/* ---- system calls ---- */

int64_t sys_guest_trace_start(envid_t guest, size_t n)
{
    struct Guest *g = guest_open(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    int r;
    if (n < 1 || n > GUEST_TRACE_MAX)
        r = -E_INVAL;
    else if (g->started || g->trace != NULL || READ_ONCE(g->env->env_status) != ENV_NOT_RUNNABLE)
        r = -E_BUSY;
    else
        r = trace_start(g, n);
    guest_close(g);
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
        if (copyout(entries + done * sizeof part[0], part, count * sizeof part[0]) < 0)
            return -E_FAULT;
        done += count;
        at += count;
    }
    return done;
}

int64_t sys_guest_trace(envid_t guest, uintptr_t first, uintptr_t entries, size_t n)
{
    struct Guest *g = guest_find(guest);
    if (g == NULL)
        return -E_BAD_ENV;
    uint64_t from;
    int64_t r = -E_NOT_FOUND;
    if (g->trace != NULL) {
        r = copyin(&from, first, sizeof from) < 0
                ? -E_FAULT
                : copy_trace(g->trace, &from, entries, MIN(n, (size_t)GUEST_TRACE_MAX));
        if (r >= 0 && copyout(first, &from, sizeof from) < 0)
            r = -E_FAULT;
    }
    guest_close(g);
    return r;
}

/* ---- for the kernel monitor and crash reports ---- */

static void print_counts(const struct Guest *g)
{
    for (uint32_t i = 0; i < GUEST_NREASONS; i++)
        if (g->stats.reasons[i] > 0)
            cprintf("  %10lu %12lu %12lu  %s\n", g->stats.reasons[i],
                    g->stats.vmm_ticks[i] / g->stats.reasons[i],
                    g->stats.monitor_ticks[i] / g->stats.reasons[i], vmexit_words(i));
}

static void print_last(struct Trace *t, size_t n)
{
    uint64_t kept = MIN(t->next, t->size);
    for (uint64_t i = t->next - MIN(kept, (uint64_t)n); i < t->next; i++) {
        char line[VMTRACE_LINE];
        vmtrace_line(line, sizeof line, i, entry_of(t, i));
        cprintf("  %s\n", line);
    }
}

void guests_print_exits(size_t n)
{
    unsigned guests = 0;
    for (const struct Env *e = envs; e < envs + NENV; e++) {
        struct Guest *g = e->env_status != ENV_FREE ? e->env_guest : NULL;
        if (g == NULL)
            continue;
        guests++;
        cprintf(
            "guest %s (env %08x), last exit: %s\n       exits  VMM ticks  monitor ticks (each)\n",
            e->env_name, e->env_id, vmexit_words(g->clock_reason));
        print_counts(g);
        if (g->trace != NULL && n > 0)
            print_last(g->trace, n);
    }
    if (guests == 0)
        cprintf("no guests\n");
}
