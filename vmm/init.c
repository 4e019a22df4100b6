/*
 * What ties the VMM to the kernel: hooks, system calls, and tests that the command line asks for.
 */
#include <kern/cmdline.h>
#include <kern/hooks.h>
#include <kern/syscall.h>
#include <vmm/guest.h>
#include <vmm/hooks.h>
#include <vmm/syscalls.h>
#include <vmm/test/boot.h>
#include <vmm/vmx/dump.h>

static void print_state(bool copy)
{
    if (copy)
        vmcs_take_snapshot();
    else
        vmcs_print();
}

static const struct GuestHooks hooks = {
    .cpu_on = vmx_init_vmxon,
    .run = vmx_vmrun,
    .put_down = vmx_put_down,
    .free = guest_free,
    .set_trapframe = guest_set_trapframe,
    .ipc_sent = guest_ipc_sent,
    .ipc_deliver = guest_ipc_deliver,
    .uses_drs = guest_uses_drs,
    .print_exits = guests_print_exits,
    .print_state = print_state,
};

#define CALL(name) [SYS_##name] = (const void *)sys_##name,
static const void *const calls[NSYSCALLS] = { GUEST_SYSCALLS(CALL) };

void vmm_init(void)
{
    guest_hooks_register(&hooks);
    syscall_register(calls);
    if (cmdline_word("vmxcheck-test", NULL, 0))
        check_self_test();
    lab_self_test();
    ept_self_test();
    vmrun_self_test();
}
