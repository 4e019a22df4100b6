/*
 * A guest's life: its pages, its stops for the monitor, its end. What ends a guest never ends
 * anything else: the reason is kept in words until the monitor asks.
 */
#include <vmm/debug.h>
#include <vmm/check.h>
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
    if (e->env_guest != NULL) {
        check_summary(e->env_guest);
        guest_drop(e->env_guest);
    }
    e->env_guest = NULL;
}

struct Env *guest_waiting_monitor(const struct Guest *g)
{
    struct Env *monitor = env_slot(g->env->env_parent_id);
    bool waits = monitor->env_id == g->env->env_parent_id &&
                 monitor->env_status == ENV_NOT_RUNNABLE && monitor->env_wait == WAIT_GUEST &&
                 monitor->env_wait_id == g->env->env_id;
    return waits ? monitor : NULL;
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
    spin_lock(&env_lock);
    g->doomed = true;
    guest_attn(g, ATTN_END);
    g->state = GUEST_EVENT;
    struct Env *monitor = guest_waiting_monitor(g);
    if (monitor != NULL)
        sched_wake(monitor);
    spin_unlock(&env_lock);
}

bool guest_stop(struct Guest *g, enum GuestEvent event)
{
    struct GuestExit *x = &g->exit;
    x->event = event;
    x->exit_reason = vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    _Static_assert(offsetof(struct GuestRegs, rip) == offsetof(struct Trapframe, tf_trapno),
                   "general registers have the same order");
    memcpy(&x->regs, &g->env->env_tf, offsetof(struct GuestRegs, rip));
    if (g->string_io.size != 0)
        x->regs.rax = g->string_io.value;
    x->regs.rip = vmread(VMCS_GUEST_RIP);
    x->regs.rsp = vmread(VMCS_GUEST_RSP);
    x->regs.rflags = vmread(VMCS_GUEST_RFLAGS);
    x->skip = 0;
    g->stop_tsc = read_tsc();
    spin_lock(&env_lock);
    g->state = GUEST_EVENT;
    g->doomed = event == GUEST_EV_OFF;
    spin_unlock(&env_lock);
    return leave(g); /* vmx_vmrun hands the CPU to the monitor */
}

/* The result of IN replaces as much of RAX as the operand size says. */
static uint64_t io_result(const struct GuestExit *stopped, uint64_t answer)
{
    switch (stopped->io_size) {
    case 1:
        return (stopped->regs.rax & ~0xfful) | (uint8_t)answer;
    case 2:
        return (stopped->regs.rax & ~0xfffful) | (uint16_t)answer;
    }
    return (uint32_t)answer;
}

/* The answer to all stops but string I/O: registers, and where to go on. */
static void answer_registers(struct Guest *g, const struct GuestExit *x)
{
    struct Trapframe *tf = &g->env->env_tf;
    if (g->exit.event != GUEST_EV_IO)
        tf->tf_rax = x->regs.rax;
    else if (g->exit.io_in)
        tf->tf_rax = io_result(&g->exit, x->regs.rax);
    tf->tf_rbx = x->regs.rbx;
    tf->tf_rcx = x->regs.rcx;
    tf->tf_rdx = x->regs.rdx;
    tf->tf_rsi = x->regs.rsi;
    if (x->skip && g->exit.event != GUEST_EV_MMIO) /* EPT violations report no length */
        guest_attn(g, ATTN_SKIP);
}

void guest_answer(struct Guest *g, const struct GuestExit *x)
{
    g->stats.monitor_ticks[g->exit.exit_reason] += read_tsc() - g->stop_tsc;
    if (g->string_io.size != 0)
        answer_string_io(g, x->regs.rax); /* may end the guest */
    else
        answer_registers(g, x);
}

struct Env *guest_release(struct Guest *g)
{
    struct Env *e = g->env;
    if (g->doomed)
        return NULL;
    g->state = GUEST_RUNS;
    if (e->env_status != ENV_NOT_RUNNABLE || e->env_wait == WAIT_NONE || !sched_unblock(e))
        return NULL;
    if (!e->env_paused)
        return e;
    sched_ready(e); /* which pauses it */
    return NULL;
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
