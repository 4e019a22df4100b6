/*
 * Hypercalls of a guest.
 */
#ifndef JOS_VMM_HYPERCALL_H
#define JOS_VMM_HYPERCALL_H

#include <inc/error.h>
#include <inc/vmm.h>
#include <vmm/vcpu.h>
#include <vmm/verdict.h>

struct Env;
struct PageInfo;
struct Vcpu;

/* The call is done, with this result. */
static inline enum Verdict hv_result(struct Vcpu *v, int64_t r)
{
    v->env->env_tf.tf_rax = r;
    return DO_NEXT;
}

static inline enum Verdict hv_null(struct Vcpu *v)
{
    return hv_result(v, 0);
}

static inline enum Verdict hv_unknown(struct Vcpu *v)
{
    return hv_result(v, -E_NO_SYS);
}

enum Verdict hv_mbmap(struct Vcpu *v);
enum Verdict hv_ipcsend(struct Vcpu *v);
enum Verdict hv_ipcrecv(struct Vcpu *v);
enum Verdict hv_console(struct Vcpu *v);
enum Verdict hv_poweroff(struct Vcpu *v);
enum Verdict hv_exits(struct Vcpu *v);
enum Verdict hv_power_button(struct Vcpu *v);

/* Number and function of each call. A back end makes its table of them, whose functions end the
 * exit as the verdict says; so what a call has to do meets what ends it without a detour. Calls are
 * taken from CPL 0 only; from another level the back end answers -E_PERM. */
#define HYPERCALL_LIST(X)                \
    X(0, hv_unknown)                     \
    X(VMX_VMCALL_MBMAP, hv_mbmap)        \
    X(VMX_VMCALL_IPCSEND, hv_ipcsend)    \
    X(VMX_VMCALL_IPCRECV, hv_ipcrecv)    \
    X(VMX_VMCALL_CONS_WRITE, hv_console) \
    X(VMX_VMCALL_CONS_READ, hv_console)  \
    X(VMX_VMCALL_POWEROFF, hv_poweroff)  \
    X(VMX_VMCALL_NULL, hv_null)          \
    X(VMX_VMCALL_EXITS, hv_exits)        \
    X(VMX_VMCALL_POWER_BUTTON, hv_power_button)
/* RAX is beyond the list: outside of 64-bit mode only its lower half is the number. */
enum Verdict hypercall_odd(struct Vcpu *v, uint64_t nr) __attribute__((cold));

/* kern/ipc.c tells a guest in WAIT_HOSTSEND how its send ended; the caller wakes it. */
void guest_ipc_sent(struct Env *e, int result);
/* kern/ipc.c hands a message to a guest in WAIT_HOSTRECV; the caller wakes it. 0, or -E_* if the
 * page could not be mapped (the sender gets the error). */
int guest_ipc_deliver(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm);

#endif
