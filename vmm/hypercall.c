/*
 * Hypercalls: one table by number. They are taken from CPL 0 only, and every address in them is
 * checked by gmem.c before it means anything. Console calls are the monitor's, after that check.
 */
#include <vmm/internal.h>
#include <kern/envlist.h>

/* Arguments as the caller's mode has them, and what the next step is. */
struct HvCall {
    uint64_t rbx, rcx, rdx, rsi;
    int64_t result; /* goes to rax unless the action leaves that to others */
    enum ExitAction action;
};

#define NO_PAGE (~0ul)

static void hv_mbmap(struct Guest *g, struct HvCall *c)
{
    g->env->env_tf.tf_rbx = g->mbi;
    c->result = 0;
}

static void hv_null(struct Guest *g, struct HvCall *c)
{
    (void)g;
    c->result = 0;
}

static struct Env *file_server(void)
{
    for (int i = 0; i < NENV; i++) {
        struct Env *e = &envs[i];
        if (e->env_type == ENV_TYPE_FS && e->env_status != ENV_FREE && e->env_status != ENV_DYING &&
            e->env_status != ENV_ZOMBIE)
            return e;
    }
    return NULL;
}

/* The page and permission of a message. -E_INVAL, -E_NO_MEM. */
static int message_page(struct Guest *g, gpa_t gpa, uint64_t perm, struct PageInfo **pp)
{
    uint64_t rights = 0;
    *pp = NULL;
    if (gpa == NO_PAGE)
        return 0;
    if ((perm & ~(PTE_SYSCALL & ~PTE_AVAIL)) || (perm & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
        return -E_INVAL;
    int r = gmem_page(g, gpa, pp, &rights);
    if (r < 0 || !(perm & PTE_W) || (rights & EPTE_W))
        return r;
    page_decref(*pp);
    return -E_INVAL;
}

static void hv_ipcsend(struct Guest *g, struct HvCall *c)
{
    struct Env *fs = file_server();
    struct PageInfo *pp;
    if (c->rbx != VMX_HOST_FS_ENV || fs == NULL) {
        c->result = -E_BAD_ENV;
        return;
    }
    c->result = message_page(g, c->rdx, c->rsi, &pp);
    if (c->result < 0)
        return;
    c->result = ipc_guest_send(g->env, fs, c->rcx, pp, c->rsi);
    if (pp != NULL)
        page_decref(pp);
    g->deadline = 0;
    if (c->result == 1) /* queued; guest_ipc_sent brings the result */
        c->action = ACT_SKIP | ACT_RESCHED;
}

/* Put a message where the guest wants it: the page at gpa, the value in rsi. */
static int take_message(struct Guest *g, gpa_t gpa, uint64_t value, struct PageInfo *pp,
                        uint64_t perm)
{
    if (pp != NULL && gpa != NO_PAGE) {
        int r = ept_page_insert(g, pp, gpa, ept_rights(perm));
        if (r < 0)
            return r;
    }
    g->env->env_tf.tf_rsi = value;
    g->env->env_tf.tf_rax = 0;
    return 0;
}

/* Take the message that is there, or wait for one. env_lock is held. */
static void receive(struct Guest *g, struct Env *fs, struct HvCall *c)
{
    if (g->msg_full) {
        c->result = take_message(g, c->rbx, g->msg_value, g->msg_page, g->msg_perm);
        if (g->msg_page != NULL)
            page_decref(g->msg_page);
        g->msg_page = NULL;
        g->msg_full = false;
        return;
    }
    if (fs == NULL) {
        c->result = -E_BAD_ENV;
        return;
    }
    g->recv_gpa = c->rbx;
    sched_block(WAIT_HOSTRECV, 0);
    envlist_append(&fs->env_waiters, g->env); /* the server's end wakes it with -E_BAD_ENV */
    c->action = ACT_SKIP | ACT_RESCHED;
}

static void hv_ipcrecv(struct Guest *g, struct HvCall *c)
{
    struct Env *fs = file_server();
    c->result = -E_INVAL;
    if (c->rbx != NO_PAGE && (PGOFF(c->rbx) != 0 || !gmem_is_ram(g, c->rbx, PGSIZE)))
        return;
    spin_lock(&env_lock);
    receive(g, fs, c);
    spin_unlock(&env_lock);
}

void guest_ipc_sent(struct Env *e, int result)
{
    e->env_tf.tf_rax = result;
}

int guest_ipc_deliver(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm)
{
    struct Guest *g = e->env_guest;
    if (g == NULL || g->doomed)
        return -E_BAD_ENV;
    if (e->env_status == ENV_NOT_RUNNABLE && e->env_wait == WAIT_HOSTRECV)
        return take_message(g, g->recv_gpa, value, pp, perm);
    if (g->msg_full)
        return -E_IPC_NOT_RECV;
    if (pp != NULL)
        page_incref(pp);
    g->msg_page = pp;
    g->msg_value = value;
    g->msg_perm = perm;
    g->msg_full = true;
    return 0;
}

/* Console calls: [rbx, rbx + rcx) is RAM, and short enough. The monitor does the rest. */
static void hv_console(struct Guest *g, struct HvCall *c)
{
    c->result = -E_INVAL;
    if (c->rcx > VMX_CONS_MAX || !gmem_is_ram(g, c->rbx, c->rcx))
        return;
    c->action = guest_stop(g, GUEST_EV_VMCALL);
}

static void hv_poweroff(struct Guest *g, struct HvCall *c)
{
    g->exit.code = c->rbx & 0xff;
    c->action = guest_stop(g, GUEST_EV_OFF);
}

static void (*const hypercalls[])(struct Guest *g, struct HvCall *c) = {
    [VMX_VMCALL_MBMAP] = hv_mbmap,       [VMX_VMCALL_IPCSEND] = hv_ipcsend,
    [VMX_VMCALL_IPCRECV] = hv_ipcrecv,   [VMX_VMCALL_CONS_WRITE] = hv_console,
    [VMX_VMCALL_CONS_READ] = hv_console, [VMX_VMCALL_POWEROFF] = hv_poweroff,
    [VMX_VMCALL_NULL] = hv_null,
};

enum ExitAction handle_vmcall(struct Guest *g)
{
    struct Trapframe *tf = &g->env->env_tf;
    uint64_t mask = guest_in_64bit() ? ~0ul : UINT32_MAX;
    uint64_t nr = tf->tf_rax & mask;
    struct HvCall c = {
        .rbx = tf->tf_rbx & mask,
        .rcx = tf->tf_rcx & mask,
        .rdx = tf->tf_rdx & mask,
        .rsi = tf->tf_rsi & mask,
        .result = -E_NO_SYS,
        .action = ACT_SKIP,
    };
    if (AR_DPL(vmread(VMCS_GUEST_SS_AR)) != 0)
        c.result = -E_PERM;
    else if (nr < ARRAY_SIZE(hypercalls) && hypercalls[nr] != NULL)
        hypercalls[nr](g, &c);
    if (c.action == ACT_SKIP)
        tf->tf_rax = c.result;
    return c.action;
}
