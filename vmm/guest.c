/*
 * A guest's life: its pages and its end. What ends a guest never ends anything else: the reason is
 * kept in words until the monitor asks.
 */
#include <vmm/debug/debug.h>
#include <vmm/vmx/check/check.h>
#include <inc/multiboot.h>

/* One zeroed page for a structure of the VMM's, or NULL. */
static void *page_new(void)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (pp == NULL)
        return NULL;
    page_incref(pp);
    return page2kva(pp);
}

static void page_drop(void *page)
{
    if (page != NULL)
        page_decref(pa2page(PADDR(page)));
}

void guest_drop(struct Guest *g)
{
    vmcs_unload(g);
    ept_free(g);
    if (g->msg_page != NULL)
        page_decref(g->msg_page);
    page_drop(g->shared);
    page_drop(g->msr_bitmap);
    page_drop(g->vmcs);
    page_drop(g->debug);
    trace_free(g);
    page_drop(g);
}

int guest_alloc(struct Guest **store, uint64_t memsize, gpa_t entry, int flags)
{
    struct Guest *g = page_new();
    if (g == NULL)
        return -E_NO_MEM;
    g->vmcs_cpu = -1;
    g->clock_reason = GUEST_NREASONS;
    g->first_rare_reason = GUEST_NREASONS;
    g->memsize = memsize;
    g->entry = entry;
    g->flags = flags;
    g->mem_lock.name = "guest memory";
    g->tsc_offset = -read_tsc();
    g->attn = ATTN_EPT_FLUSH; /* the root table's frame may have been another guest's */
    vapic_init(&g->vapic);
    g->vmcs = page_new();
    g->msr_bitmap = page_new();
    if (flags & GUEST_DEBUG) {
        mtf_test();
        g->debug = page_new();
    }
    if (g->vmcs == NULL || g->msr_bitmap == NULL || (!g->debug && flags & GUEST_DEBUG) ||
        ept_init(g) < 0) {
        guest_drop(g);
        return -E_NO_MEM;
    }
    msr_bitmap_init(g->msr_bitmap);
    check_new_guest(g);
    if (g->debug != NULL)
        debug_ask(g, DEBUG_REQ_STOP);
    *store = g;
    return 0;
}

void guest_free(struct Env *e)
{
    env_lock(e);
    struct Guest *g = e->env_guest;
    e->env_guest = NULL;
    env_unlock(e);
    if (g == NULL)
        return;
    check_summary(g);
    guest_drop(g);
}

/* Its env is locked. */
static void end(struct Guest *g)
{
    g->doomed = true;
    guest_attn(g, ATTN_END);
    g->state = GUEST_EVENT;
}

void guest_kill(struct Guest *g, const char *fmt, ...)
{
    va_list ap;
    if (g->doomed)
        return;
    g->exit.event = GUEST_EV_DEAD;
    va_start(ap, fmt);
    vsnprintf(g->exit.why, sizeof g->exit.why, fmt, ap);
    va_end(ap);
    struct Env *monitor = guest_lock_both(g);
    end(g);
    if (monitor_waits(g, monitor))
        sched_wake(monitor);
    env_unlock(monitor);
    env_unlock(g->env);
}

void guest_doom(struct Guest *g, const char *why)
{
    if (g->doomed)
        return;
    g->exit.event = GUEST_EV_DEAD;
    strlcpy(g->exit.why, why, sizeof g->exit.why);
    end(g);
}

int64_t guest_set_trapframe(struct Env *e, const struct Trapframe *tf)
{
    struct Guest *g = e->env_guest;
    if (g == NULL)
        return -E_BAD_ENV;
    if (g->started)
        return -E_BUSY;
    e->env_tf = *tf;
    e->env_tf.tf_rax = MULTIBOOT_BOOTLOADER_MAGIC;
    g->mbi = tf->tf_rbx;
    if (tf->tf_rip != 0)
        g->entry = tf->tf_rip;
    return 0;
}
