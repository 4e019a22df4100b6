/*
 * What ties the VMM to the kernel: hooks, system calls, and tests that the command line asks for.
 */
#include <kern/cmdline.h>
#include <kern/hooks.h>
#include <kern/syscall.h>
#include <vmm/guest.h>
#include <vmm/backend.h>
#include <vmm/backtrace.h>
#include <vmm/debug/drs.h>
#include <vmm/hypercall.h>
#include <vmm/stop.h>
#include <vmm/syscalls.h>
#include <vmm/test/ept.h>
#include <vmm/test/lab.h>
#include <vmm/test/vmrun.h>
#include <vmm/trace.h>
#include <vmm/vmlife.h>
#include <vmm/vcpu.h>

#define CALL(name) [SYS_##name] = (const void *)sys_##name,
static const void *const calls[NSYSCALLS] = { GUEST_SYSCALLS(CALL) };

void vmm_init(void)
{
    /* LAB project cut */
    backend_choose();
    /* LAB project end */
    const struct GuestHooks hooks = {
        .cpu_on = backend->turn_on,
        .run = backend->run,
        .put_down = backend->put_down,
        .free = guest_free,
        .set_trapframe = guest_set_trapframe,
        .ipc_sent = guest_ipc_sent,
        .ipc_deliver = guest_ipc_deliver,
        .uses_drs = guest_uses_drs,
        .print_exits = guests_print_exits,
        .print_state = backend->print,
    };
    guest_hooks_register(&hooks);
    syscall_register(calls);
    if (cmdline_word("vmxcheck-test", NULL, 0))
        backend->self_test();
    lab_self_test();
    ept_self_test();
    vmrun_self_test();
}
