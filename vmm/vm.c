/*
 * A guest's life: its machine, its pages and its end. What ends a guest never ends anything else:
 * the reason is kept in words until the monitor asks.
 */
#include <kern/sched.h>
#include <inc/error.h>
#include <inc/multiboot.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <vmm/backend.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/ept.h>
#include <vmm/guest.h>
#include <kern/frame.h>
#include <vmm/stop.h>
#include <vmm/trace.h>

_Static_assert(sizeof(struct Vm) <= PGSIZE, "a machine's state is one page");

static void vcpu_drop(struct Vcpu *v)
{
    page_drop(v->shared);
    page_drop(v->debug);
    trace_free(v);
    backend->vcpu_free(v);
}

void vm_drop(struct Vm *vm)
{
    for (uint32_t i = 0; i < VM_NVCPUS; i++)
        if (vm->vcpus[i])
            vcpu_drop(vm->vcpus[i]);
    ept_free(vm);
    if (vm->msg_page)
        page_decref(vm->msg_page);
    page_drop(vm);
}

/* A vCPU of vm. -E_NO_MEM; vm_drop drops what there is of it. */
static int vcpu_new(struct Vm *vm, uint32_t n)
{
    struct Vcpu *v;
    int r = backend->vcpu_alloc(&v);
    if (r < 0)
        return r;
    vm->vcpus[n] = v;
    v->vm = vm;
    v->clock_reason = GUEST_NREASONS;
    v->tsc_offset = -read_tsc();
    v->leaf.region = NO_REGION;
    v->attn = ATTN_STAGE2_FLUSH; /* the root table's frame may have been another guest's */
    vapic_init(&v->vapic);
    if (!(vm->flags & GUEST_DEBUG))
        return 0;
    backend->prepare_steps();
    v->debug = page_new();
    return v->debug ? 0 : -E_NO_MEM;
}

int vm_alloc(struct Vcpu **store, uint64_t memsize, gpa_t entry, int flags)
{
    struct Vm *vm = page_new();
    if (!vm)
        return -E_NO_MEM;
    vm->memsize = memsize;
    vm->entry = entry;
    vm->flags = flags;
    vm->mem_lock.name = "guest memory";
    int r = ept_init(vm);
    if (r == 0)
        r = vcpu_new(vm, 0);
    if (r < 0) {
        vm_drop(vm);
        return r;
    }
    *store = vm->vcpus[0];
    check_new_guest(*store);
    if ((*store)->debug)
        debug_ask(*store, DEBUG_REQ_STOP);
    return 0;
}

void guest_free(struct Env *e)
{
    env_lock(e);
    struct Vcpu *v = e->env_guest;
    e->env_guest = NULL;
    env_unlock(e);
    if (!v)
        return;
    check_summary(v);
    vm_drop(v->vm);
}

/* Its env is locked. */
static void doom(struct Vcpu *v)
{
    v->doomed = true;
    vcpu_attn(v, ATTN_END);
    v->state = GUEST_EVENT;
}

void guest_kill(struct Vcpu *v, const char *fmt, ...)
{
    va_list ap;
    if (v->doomed)
        return;
    v->exit.event = GUEST_EV_DEAD;
    va_start(ap, fmt);
    vsnprintf(v->exit.why, sizeof(v->exit.why), fmt, ap);
    va_end(ap);
    struct Env *monitor = guest_lock_both(v);
    doom(v);
    if (monitor_waits(v, monitor))
        sched_wake(monitor);
    env_unlock(monitor);
    env_unlock(v->env);
}

void guest_doom(struct Vcpu *v, const char *why)
{
    if (v->doomed)
        return;
    v->exit.event = GUEST_EV_DEAD;
    strlcpy(v->exit.why, why, sizeof(v->exit.why));
    doom(v);
}

int64_t guest_set_trapframe(struct Env *e, const struct Trapframe *tf)
{
    struct Vcpu *v = e->env_guest;
    if (!v)
        return -E_BAD_ENV;
    if (v->started)
        return -E_BUSY;
    e->env_tf = *tf;
    e->env_tf.tf_rax = MULTIBOOT_BOOTLOADER_MAGIC;
    v->vm->mbi = tf->tf_rbx;
    if (tf->tf_rip != 0)
        v->vm->entry = tf->tf_rip;
    return 0;
}
