/*
 * Hypercalls: one list by number (vmm/hypercall.h). They are taken from CPL 0 only, and every
 * address in them is checked by gmem.c before it means anything. Console calls are the monitor's,
 * after that check.
 */
#include <kern/ipc.h>
#include <inc/error.h>
#include <kern/pmap.h>
#include <vmm/backend.h>
#include <vmm/ept.h>
#include <vmm/hypercall.h>
#include <vmm/gmem.h>
#include <vmm/verdict.h>
#include <vmm/stop.h>

/* Number and arguments as the caller's mode has them. */
struct HvArgs {
    uint64_t rax, rbx, rcx, rdx, rsi;
};

#define NO_PAGE (~0ul)

static struct HvArgs arguments(const struct Vcpu *v)
{
    const struct Trapframe *tf = &v->env->env_tf;
    uint64_t mask = backend->in_64bit(v) ? ~0ul : UINT32_MAX;
    return (struct HvArgs){ tf->tf_rax & mask, tf->tf_rbx & mask, tf->tf_rcx & mask,
                            tf->tf_rdx & mask, tf->tf_rsi & mask };
}

enum Verdict hv_mbmap(struct Vcpu *v)
{
    /* LAB 5 begin: hv_mbmap */
    v->env->env_tf.tf_rbx = v->vm->mbi;
    return hv_result(v, 0);
    /* LAB 5 end */
}

/* The page and permission of a message. -E_INVAL, -E_NO_MEM. */
static int message_page(struct Vcpu *v, gpa_t gpa, uint64_t perm, struct PageInfo **pp)
{
    uint32_t rights = 0;
    *pp = NULL;
    if (gpa == NO_PAGE)
        return 0;
    if ((perm & ~(PTE_SYSCALL & ~PTE_AVAIL)) || (perm & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
        return -E_INVAL;
    int r = PGOFF(gpa) != 0 ? -E_INVAL : gmem_hold(v->vm, gpa, GMEM_READ, pp, &rights);
    if (r < 0 || !(perm & PTE_W) || (rights & GUEST_WRITE))
        return r;
    page_decref(*pp);
    return -E_INVAL;
}

enum Verdict hv_ipcsend(struct Vcpu *v)
{
    /* LAB 7 begin: hv_ipcsend */
    struct HvArgs a = arguments(v);
    struct PageInfo *pp;
    struct Env *fs = env_file_server();
    if (a.rbx != VMX_HOST_FS_ENV || !fs)
        return hv_result(v, -E_BAD_ENV);
    int r = message_page(v, a.rdx, a.rsi, &pp);
    if (r < 0)
        return hv_result(v, r);
    r = ipc_guest_send(v->env, fs, a.rcx, pp, a.rsi | PTE_NX); /* a guest's bytes are no code */
    if (pp)
        page_decref(pp);
    look_around_soon(v);
    if (r == 1) /* queued; guest_ipc_sent brings the result */
        return DO_NEXT_AND_LEAVE;
    return hv_result(v, r);
    /* LAB 7 end */
}

/* Put a message where the guest wants it: the page at gpa, the value in rsi. */
static int take_message(struct Vcpu *v, gpa_t gpa, uint64_t value, struct PageInfo *pp,
                        uint64_t perm)
{
    if (pp && gpa != NO_PAGE) {
        int r = ept_page_insert(v->vm, pp, gpa, ept_rights(perm));
        if (r < 0)
            return r;
    }
    v->env->env_tf.tf_rsi = value;
    v->env->env_tf.tf_rax = 0;
    return 0;
}

/* LAB 7 cut */
/* Take the message that is there (0, or -E_*), or wait for one (1). The guest's env
 * and the file server are locked. */
static int receive(struct Vcpu *v, struct Env *fs, gpa_t gpa)
{
    if (v->vm->msg_full) {
        int r = take_message(v, gpa, v->vm->msg_value, v->vm->msg_page, v->vm->msg_perm);
        if (v->vm->msg_page)
            page_decref(v->vm->msg_page);
        v->vm->msg_page = NULL;
        v->vm->msg_full = false;
        return r;
    }
    if (!fs)
        return -E_BAD_ENV;
    v->recv_gpa = gpa;
    ipc_guest_wait(v->env, fs);
    return 1;
}
/* LAB 7 end */

enum Verdict hv_ipcrecv(struct Vcpu *v)
{
    /* LAB 7 begin: hv_ipcrecv */
    gpa_t gpa = arguments(v).rbx;
    if (gpa != NO_PAGE && (PGOFF(gpa) != 0 || !gmem_is_ram(v->vm, gpa, PGSIZE)))
        return hv_result(v, -E_INVAL);
    struct Env *fs = ipc_lock_server(v->env);
    int r = receive(v, fs, gpa);
    ipc_unlock_server(v->env, fs);
    return r == 1 ? DO_NEXT_AND_LEAVE : hv_result(v, r);
    /* LAB 7 end */
}

void guest_ipc_sent(struct Env *e, int result)
{
    e->env_tf.tf_rax = result;
}

int guest_ipc_deliver(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm)
{
    struct Vcpu *v = e->env_guest;
    if (!v || v->doomed)
        return -E_BAD_ENV;
    if (READ_ONCE(e->env_status) == ENV_NOT_RUNNABLE && e->env_wait == WAIT_HOSTRECV)
        return take_message(v, v->recv_gpa, value, pp, perm);
    if (v->vm->msg_full)
        return -E_IPC_NOT_RECV;
    if (pp)
        page_incref(pp);
    v->vm->msg_page = pp;
    v->vm->msg_value = value;
    v->vm->msg_perm = perm;
    v->vm->msg_full = true;
    return 0;
}

/* Console calls: [rbx, rbx + rcx) is RAM, and short enough. The monitor does the rest, with the
 * arguments that were checked, not with upper halves that the guest's mode does not have. */
enum Verdict hv_console(struct Vcpu *v)
{
    struct Trapframe *tf = &v->env->env_tf;
    struct HvArgs a = arguments(v);
    tf->tf_rax = a.rax;
    tf->tf_rbx = a.rbx;
    tf->tf_rcx = a.rcx;
    if (a.rcx > VMX_CONS_MAX || !gmem_is_ram(v->vm, a.rbx, a.rcx))
        return hv_result(v, -E_INVAL);
    guest_stop(v, GUEST_EV_VMCALL);
    return DO_LEAVE;
}

enum Verdict hv_poweroff(struct Vcpu *v)
{
    v->exit.code = arguments(v).rbx & 0xff;
    guest_stop(v, GUEST_EV_OFF);
    return DO_LEAVE;
}

enum Verdict hv_exits(struct Vcpu *v)
{
    /* LAB C begin: hv_exits */
    uint64_t reason = arguments(v).rbx, count = 0;
    if (reason >= GUEST_NREASONS && reason != (backend->in_64bit(v) ? ~0ul : UINT32_MAX))
        return hv_result(v, -E_INVAL);
    for (uint64_t i = 0; i < GUEST_NREASONS; i++)
        count += reason == i || reason >= GUEST_NREASONS ? v->stats.count[i] : 0;
    v->env->env_tf.tf_rcx = count;
    return hv_result(v, 0);
    /* LAB C end */
}

enum Verdict hv_power_button(struct Vcpu *v)
{
    struct HvArgs a = arguments(v);
    v->env->env_tf.tf_rax = a.rax;
    v->env->env_tf.tf_rbx = a.rbx;
    guest_stop(v, GUEST_EV_VMCALL);
    return DO_LEAVE;
}

/* By number, as vmm/hypercall.h lists them. */
static enum Verdict (*const hypercalls[])(struct Vcpu *v) = {
#define CALL(number, fn) [number] = fn,
    HYPERCALL_LIST(CALL)
#undef CALL
};

enum Verdict hypercall_odd(struct Vcpu *v, uint64_t nr)
{
    if (!backend->in_64bit(v) && (uint32_t)nr < ARRAY_SIZE(hypercalls))
        return hypercalls[(uint32_t)nr](v);
    return hv_unknown(v);
}
