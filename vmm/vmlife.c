/*
 * A guest's life: the pages of its machine and its vCPUs, from the first to the last.
 */
#include <kern/sched.h>
#include <inc/error.h>
#include <inc/multiboot.h>
#include <vmm/backend.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/ept.h>
#include <vmm/guest.h>
#include <kern/frame.h>
#include <vmm/trace.h>
#include <vmm/vapic.h>
#include <vmm/vmlife.h>

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
    vapic_init(&v->vapic, n);
    if (!(vm->flags & GUEST_DEBUG))
        return 0;
    backend->prepare_steps();
    v->has_extras = true;
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
