/*
 * Hypercalls: one table by number. They are taken from CPL 0 only, and every address in them is
 * checked by gmem.c before it means anything. Console calls are the monitor's, after that check.
 */
#include <vmm/internal.h>
#include <kern/ipc.h>

/* Number and arguments as the caller's mode has them. */
struct HvArgs {
    uint64_t rax, rbx, rcx, rdx, rsi;
};

#define NO_PAGE (~0ul)

static struct HvArgs arguments(const struct Guest *g)
{
    const struct Trapframe *tf = &g->env->env_tf;
    uint64_t mask = guest_in_64bit() ? ~0ul : UINT32_MAX;
    return (struct HvArgs){ tf->tf_rax & mask, tf->tf_rbx & mask, tf->tf_rcx & mask,
                            tf->tf_rdx & mask, tf->tf_rsi & mask };
}

/* The call is done, with this result. */
static bool result(struct Guest *g, int64_t r)
{
    g->env->env_tf.tf_rax = r;
    return skip(g);
}

static bool hv_mbmap(struct Guest *g)
{
    /* LAB 5 begin: hv_mbmap */
    g->env->env_tf.tf_rbx = g->mbi;
    return result(g, 0);
    /* LAB 5 end */
}

static bool hv_null(struct Guest *g)
{
    return result(g, 0);
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
    int r = PGOFF(gpa) != 0 ? -E_INVAL : gmem_hold(g, gpa, GMEM_READ, pp, &rights);
    if (r < 0 || !(perm & PTE_W) || (rights & EPTE_W))
        return r;
    page_decref(*pp);
    return -E_INVAL;
}

static bool hv_ipcsend(struct Guest *g)
{
    /* LAB 7 begin: hv_ipcsend */
    struct HvArgs a = arguments(g);
    struct PageInfo *pp;
    struct Env *fs = env_file_server();
    if (a.rbx != VMX_HOST_FS_ENV || fs == NULL)
        return result(g, -E_BAD_ENV);
    int r = message_page(g, a.rdx, a.rsi, &pp);
    if (r < 0)
        return result(g, r);
    r = ipc_guest_send(g->env, fs, a.rcx, pp, a.rsi | PTE_NX); /* a guest's bytes are no code */
    if (pp != NULL)
        page_decref(pp);
    look_around_soon(g);
    if (r == 1) /* queued; guest_ipc_sent brings the result */
        return skip_and_leave(g);
    return result(g, r);
    /* LAB 7 end */
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

/* LAB 7 cut */
/* Take the message that is there (0, or -E_*), or wait for one (1). The guest's env
 * and the file server are locked. */
static int receive(struct Guest *g, struct Env *fs, gpa_t gpa)
{
    if (g->msg_full) {
        int r = take_message(g, gpa, g->msg_value, g->msg_page, g->msg_perm);
        if (g->msg_page != NULL)
            page_decref(g->msg_page);
        g->msg_page = NULL;
        g->msg_full = false;
        return r;
    }
    if (fs == NULL)
        return -E_BAD_ENV;
    g->recv_gpa = gpa;
    ipc_guest_wait(g->env, fs);
    return 1;
}
/* LAB 7 end */

static bool hv_ipcrecv(struct Guest *g)
{
    /* LAB 7 begin: hv_ipcrecv */
    gpa_t gpa = arguments(g).rbx;
    if (gpa != NO_PAGE && (PGOFF(gpa) != 0 || !gmem_is_ram(g, gpa, PGSIZE)))
        return result(g, -E_INVAL);
    struct Env *fs = ipc_lock_server(g->env);
    int r = receive(g, fs, gpa);
    ipc_unlock_server(g->env, fs);
    return r == 1 ? skip_and_leave(g) : result(g, r);
    /* LAB 7 end */
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
    if (READ_ONCE(e->env_status) == ENV_NOT_RUNNABLE && e->env_wait == WAIT_HOSTRECV)
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

/* Console calls: [rbx, rbx + rcx) is RAM, and short enough. The monitor does the rest, with the
 * arguments that were checked, not with upper halves that the guest's mode does not have. */
static bool hv_console(struct Guest *g)
{
    struct Trapframe *tf = &g->env->env_tf;
    struct HvArgs a = arguments(g);
    tf->tf_rax = a.rax;
    tf->tf_rbx = a.rbx;
    tf->tf_rcx = a.rcx;
    if (a.rcx > VMX_CONS_MAX || !gmem_is_ram(g, a.rbx, a.rcx))
        return result(g, -E_INVAL);
    return guest_stop(g, GUEST_EV_VMCALL);
}

static bool hv_poweroff(struct Guest *g)
{
    g->exit.code = arguments(g).rbx & 0xff;
    return guest_stop(g, GUEST_EV_OFF);
}

static bool hv_exits(struct Guest *g)
{
    /* LAB C begin: hv_exits */
    uint64_t reason = arguments(g).rbx, count = 0;
    if (reason >= GUEST_NREASONS && reason != (guest_in_64bit() ? ~0ul : UINT32_MAX))
        return result(g, -E_INVAL);
    for (uint64_t i = 0; i < GUEST_NREASONS; i++)
        count += reason == i || reason >= GUEST_NREASONS ? g->stats.reasons[i] : 0;
    g->env->env_tf.tf_rcx = count;
    return result(g, 0);
    /* LAB C end */
}

static bool hv_unknown(struct Guest *g)
{
    return result(g, -E_NO_SYS);
}

static bool (*const hypercalls[])(struct Guest *g) = {
    [0] = hv_unknown,
    [VMX_VMCALL_MBMAP] = hv_mbmap,
    [VMX_VMCALL_IPCSEND] = hv_ipcsend,
    [VMX_VMCALL_IPCRECV] = hv_ipcrecv,
    [VMX_VMCALL_CONS_WRITE] = hv_console,
    [VMX_VMCALL_CONS_READ] = hv_console,
    [VMX_VMCALL_POWEROFF] = hv_poweroff,
    [VMX_VMCALL_NULL] = hv_null,
    [VMX_VMCALL_EXITS] = hv_exits,
};

/* Outside of 64-bit mode only the lower half of RAX is the number. */
static bool __attribute__((noinline, cold)) handle_high_number(struct Guest *g, uint64_t nr)
{
    if (!guest_in_64bit() && (uint32_t)nr < ARRAY_SIZE(hypercalls))
        return hypercalls[(uint32_t)nr](g);
    return hv_unknown(g);
}

bool handle_vmcall(struct Guest *g)
{
    uint64_t nr = g->env->env_tf.tf_rax;
    if (__builtin_expect(AR_DPL(vmread_known(VMCS_GUEST_SS_AR)) != 0, 0))
        return result(g, -E_PERM);
    if (__builtin_expect(nr >= ARRAY_SIZE(hypercalls), 0))
        return handle_high_number(g, nr);
    return hypercalls[nr](g);
}
