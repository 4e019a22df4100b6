/*
 * System calls. Entered by SYSCALL: number in RAX, arguments in RDI, RSI, RDX, R10, R8; the result
 * comes back in RAX, 0 or more on success, -E_* on error. RCX and R11 are lost, as SYSCALL has it.
 * The one list below makes the numbers and the kernel's table; lib/syscall.c and inc/lib.h have the
 * C functions with their contracts.
 */
#ifndef JOS_INC_SYSCALL_H
#define JOS_INC_SYSCALL_H

#define SYSCALL_LIST(X) \
    KERNEL_SYSCALLS(X)  \
    GUEST_SYSCALLS(X)

/* kern/ has these. */
#define KERNEL_SYSCALLS(X)    \
    X(cputs)                  \
    X(cgetc)                  \
    X(cons_claim)             \
    X(getenvid)               \
    X(env_destroy)            \
    X(env_exit)               \
    X(env_wait)               \
    X(env_set_name)           \
    X(page_alloc)             \
    X(page_map)               \
    X(page_unmap)             \
    X(page_fork)              \
    X(exofork)                \
    X(env_set_status)         \
    X(env_set_trapframe)      \
    X(env_set_pgfault_upcall) \
    X(yield)                  \
    X(ipc_try_send)           \
    X(ipc_send)               \
    X(ipc_recv)               \
    X(ipc_try_recv)           \
    X(ipc_call)               \
    X(ipc_reply_recv)         \
    X(time_msec)              \
    X(time_unix)              \
    X(sleep_msec)             \
    X(sysinfo)                \
    X(cmdline)                \
    X(poweroff)               \
    X(irq_wait)               \
    X(pci_open)               \
    X(pci_map)                \
    X(pci_irq)                \
    X(null)                   \
    X(serial_open)            \
    X(serial_read)            \
    X(serial_write)           \
    X(host_ipc_send)          \
    X(host_ipc_recv)          \
    X(crash)

/* And vmm/ these. */
#define GUEST_SYSCALLS(X) \
    X(guest_check)        \
    X(env_mkguest)        \
    X(guest_features)     \
    X(ept_map)            \
    X(guest_share)        \
    X(guest_run)          \
    X(guest_walk)         \
    X(guest_irq)          \
    X(guest_msi)          \
    X(guest_apic)         \
    X(guest_mem)          \
    X(guest_map)          \
    X(guest_stats)        \
    X(guest_pause)        \
    X(guest_trace_start)  \
    X(guest_trace)        \
    X(guest_backtrace)    \
    X(guest_debug)

enum {
#define SYSCALL_ENUM(name) SYS_##name,
    SYSCALL_LIST(SYSCALL_ENUM)
#undef SYSCALL_ENUM
    NSYSCALLS
};

#ifndef __ASSEMBLER__
#include "types.h"

/*
 * Where a call's comment says so, the permission of a page may be that of up to PERM_PAGES_MAX
 * pages in a row: perm | PERM_PAGES(n).
 *
 * A message brings several pages only to a receiver that names a room for them, IPC_ROOM(va, n),
 * where others name the address of one page.
 */
#define PERM_PAGES_MAX      16
#define PERM_PAGES(n)       ((uint64_t)((n)-1) << 3) /* bits that are no user's to set in a PTE */
#define PERM_PAGES_MASK     PERM_PAGES(PERM_PAGES_MAX)
#define PERM_PAGES_IN(perm) (((perm)&PERM_PAGES_MASK) / PERM_PAGES(2) + 1)
#define IPC_ROOM(va, n)     ((void *)((uintptr_t)(va) + (n)-1))

/* What Ctrl-C is to be, for sys_cons_claim. */
enum {
    CONS_CLAIM_NONE,      /* whatever others have claimed */
    CONS_CLAIM_KEY,       /* a character, which sys_cgetc returns */
    CONS_CLAIM_INTERRUPT, /* it ends the claimant's sys_env_wait */
};

/* What sys_crash does: a failed assertion of the kernel's, an exception in it, one that the CPU
 * cannot deliver, which is a triple fault and the end of the machine, or a loop without end on the
 * boot CPU, with interrupts off; -E_AGAIN on another CPU. */
enum {
    CRASH_PANIC = 1,
    CRASH_FAULT,
    CRASH_TRIPLE,
    CRASH_SPIN,
};

/* sys_sysinfo fills this. */
struct SysInfo {
    uint64_t pages_total, pages_free; /* 4 KiB frames */
    uint32_t envs_total, envs_used;
    uint32_t ncpu;
    uint32_t is_guest;  /* 1: this is gOS */
    uint64_t tsc_khz;   /* TSC ticks a millisecond */
    uint64_t uptime_ms; /* since the kernel started */
};
#endif

#endif
