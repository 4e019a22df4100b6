/*
 * System call stubs; inc/lib.h has the contracts. SYSCALL takes the number in RAX and arguments in
 * RDI, RSI, RDX, R10 and R8, and overwrites RCX and R11.
 */
#include "internal.h"

static inline int64_t call3(int nr, uint64_t a1, uint64_t a2, uint64_t a3)
{
    int64_t ret;
    asm volatile("syscall"
                 : "=a"(ret)
                 : "a"(nr), "D"(a1), "S"(a2), "d"(a3)
                 : "rcx", "r11", "memory");
    return ret;
}

static inline int64_t call2(int nr, uint64_t a1, uint64_t a2)
{
    int64_t ret;
    asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a1), "S"(a2) : "rcx", "r11", "memory");
    return ret;
}

static inline int64_t call1(int nr, uint64_t a1)
{
    int64_t ret;
    asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a1) : "rcx", "r11", "memory");
    return ret;
}

static inline int64_t call0(int nr)
{
    int64_t ret;
    asm volatile("syscall" : "=a"(ret) : "a"(nr) : "rcx", "r11", "memory");
    return ret;
}

static inline int64_t call5(int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    register uint64_t r10 asm("r10") = a4;
    register uint64_t r8 asm("r8") = a5;
    int64_t ret;
    asm volatile("syscall"
                 : "=a"(ret)
                 : "a"(nr), "D"(a1), "S"(a2), "d"(a3), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return ret;
}

int sys_cputs(const char *s, size_t len)
{
    return call2(SYS_cputs, (uintptr_t)s, len);
}

int sys_cgetc(bool wait)
{
    return call1(SYS_cgetc, wait);
}

int sys_cons_claim(unsigned claim)
{
    return call1(SYS_cons_claim, claim);
}

envid_t sys_getenvid(void)
{
    return call0(SYS_getenvid);
}

int sys_env_destroy(envid_t env)
{
    return call1(SYS_env_destroy, env);
}

int sys_env_exit(int status)
{
    return call1(SYS_env_exit, status);
}

envid_t sys_env_wait(envid_t child, int *status, bool nohang)
{
    return call3(SYS_env_wait, child, (uintptr_t)status, nohang);
}

int sys_env_set_name(envid_t env, const char *name)
{
    return call2(SYS_env_set_name, env, (uintptr_t)name);
}

int sys_page_alloc(envid_t env, void *va, uint64_t perm)
{
    return call3(SYS_page_alloc, env, (uintptr_t)va, perm);
}

int sys_page_map(envid_t srcenv, void *srcva, envid_t dstenv, void *dstva, uint64_t perm)
{
    return call5(SYS_page_map, srcenv, (uintptr_t)srcva, dstenv, (uintptr_t)dstva, perm);
}

int sys_page_unmap(envid_t env, void *va)
{
    return call2(SYS_page_unmap, env, (uintptr_t)va);
}

int sys_page_fork(envid_t child, void *from, void *to)
{
    return call3(SYS_page_fork, child, (uintptr_t)from, (uintptr_t)to);
}

int sys_env_set_status(envid_t env, int status)
{
    return call2(SYS_env_set_status, env, status);
}

int sys_env_set_trapframe(envid_t env, const struct Trapframe *tf)
{
    return call2(SYS_env_set_trapframe, env, (uintptr_t)tf);
}

int sys_env_set_pgfault_upcall(envid_t env, void *upcall)
{
    return call2(SYS_env_set_pgfault_upcall, env, (uintptr_t)upcall);
}

void sys_yield(void)
{
    call0(SYS_yield);
}

int sys_ipc_try_send(envid_t to, uint64_t value, void *page, uint64_t perm)
{
    return call5(SYS_ipc_try_send, to, value, (uintptr_t)page, perm, 0);
}

int sys_ipc_send(envid_t to, uint64_t value, void *page, uint64_t perm)
{
    return call5(SYS_ipc_send, to, value, (uintptr_t)page, perm, 0);
}

int sys_ipc_reply_recv(envid_t to, uint64_t value, void *page, uint64_t perm, void *dstva,
                       struct IpcMessage *m)
{
    return receiving_call(SYS_ipc_reply_recv, to, value, (uintptr_t)page, perm, (uintptr_t)dstva,
                          m);
}

int sys_ipc_recv(void *dstva, envid_t from, struct IpcMessage *m)
{
    return receiving_call(SYS_ipc_recv, (uintptr_t)dstva, from, 0, 0, 0, m);
}

int sys_ipc_try_recv(void *dstva, struct IpcMessage *m)
{
    return receiving_call(SYS_ipc_try_recv, (uintptr_t)dstva, 0, 0, 0, 0, m);
}

int sys_ipc_call(envid_t to, uint64_t value, void *page, uint64_t perm, void *dstva,
                 struct IpcMessage *m)
{
    return receiving_call(SYS_ipc_call, to, value, (uintptr_t)page, perm, (uintptr_t)dstva, m);
}

int64_t sys_time_unix(void)
{
    return call0(SYS_time_unix);
}

uint64_t sys_time_msec(void)
{
    return call0(SYS_time_msec);
}

int sys_sleep_msec(uint64_t msec)
{
    return call1(SYS_sleep_msec, msec);
}

int sys_sysinfo(struct SysInfo *info)
{
    return call1(SYS_sysinfo, (uintptr_t)info);
}

int sys_cmdline(char *buf, size_t size)
{
    return call2(SYS_cmdline, (uintptr_t)buf, size);
}

int sys_poweroff(int status)
{
    return call1(SYS_poweroff, status);
}

int sys_pci_open(uint32_t id, unsigned nth, struct PciDevice *d)
{
    return call3(SYS_pci_open, id, nth, (uintptr_t)d);
}

void *sys_pci_map(int device, unsigned bar)
{
    int64_t va = call2(SYS_pci_map, device, bar);
    return va < 0 ? NULL : (void *)va;
}

int sys_pci_irq(int device, struct PciMessage *m)
{
    return call2(SYS_pci_irq, device, (uintptr_t)m);
}

int sys_irq_wait(int irq, uint64_t timeout_ms)
{
    return call2(SYS_irq_wait, irq, timeout_ms);
}

int sys_null(void)
{
    return call0(SYS_null);
}

int sys_guest_check(char *why, size_t whysize)
{
    return call2(SYS_guest_check, (uintptr_t)why, whysize);
}

envid_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, char *why, size_t whysize)
{
    return call5(SYS_env_mkguest, memsize, entry, flags, (uintptr_t)why, whysize);
}

int sys_ept_map(envid_t srcenv, void *srcva, envid_t guest, gpa_t gpa, uint64_t perm)
{
    return call5(SYS_ept_map, srcenv, (uintptr_t)srcva, guest, gpa, perm);
}

int sys_guest_share(envid_t guest, void *page)
{
    return call2(SYS_guest_share, guest, (uintptr_t)page);
}

int sys_guest_run(envid_t guest, bool console)
{
    return call2(SYS_guest_run, guest, console);
}

int sys_guest_irq(envid_t guest, int vector)
{
    return call2(SYS_guest_irq, guest, vector);
}

int sys_guest_msi(envid_t guest, uint64_t address, uint32_t data)
{
    return call3(SYS_guest_msi, guest, address, data);
}

int64_t sys_guest_apic(envid_t guest, uint32_t offset, unsigned size, bool write, uint64_t value)
{
    return call5(SYS_guest_apic, guest, offset, size, write, value);
}

int sys_guest_mem(envid_t guest, gpa_t gpa, void *buf, size_t len, bool write)
{
    return call5(SYS_guest_mem, guest, gpa, (uintptr_t)buf, len, write);
}

int sys_guest_map(envid_t guest, gpa_t gpa, void *va, uint64_t perm)
{
    return call5(SYS_guest_map, guest, gpa, (uintptr_t)va, perm, 0);
}

int64_t sys_guest_walk(envid_t guest, uint64_t va, uint32_t access)
{
    return call3(SYS_guest_walk, guest, va, access);
}

int sys_guest_features(envid_t guest, const struct CpuWords *off)
{
    return call2(SYS_guest_features, guest, (uintptr_t)off);
}

int sys_guest_stats(envid_t guest, struct GuestStats *stats)
{
    return call2(SYS_guest_stats, guest, (uintptr_t)stats);
}

int sys_guest_pause(envid_t guest, bool paused)
{
    return call2(SYS_guest_pause, guest, paused);
}

int sys_guest_trace_start(envid_t guest, size_t n)
{
    return call2(SYS_guest_trace_start, guest, n);
}

int64_t sys_guest_trace(envid_t guest, uint64_t *first, struct GuestTraceEntry *entries, size_t n)
{
    return call5(SYS_guest_trace, guest, (uintptr_t)first, (uintptr_t)entries, n, 0);
}

int64_t sys_guest_backtrace(envid_t guest, struct GuestFrame *frames, size_t n)
{
    return call3(SYS_guest_backtrace, guest, (uintptr_t)frames, n);
}

int64_t sys_guest_debug(envid_t guest, enum GuestDebugOp op, uint64_t arg, void *buf)
{
    return call5(SYS_guest_debug, guest, op, arg, (uintptr_t)buf, 0);
}

int sys_serial_open(void)
{
    return call0(SYS_serial_open);
}

ssize_t sys_serial_read(void *buf, size_t size)
{
    return call2(SYS_serial_read, (uintptr_t)buf, size);
}

ssize_t sys_serial_write(const void *buf, size_t len)
{
    return call2(SYS_serial_write, (uintptr_t)buf, len);
}

int sys_host_ipc_send(uint64_t value, void *page, uint64_t perm)
{
    return call3(SYS_host_ipc_send, value, (uintptr_t)page, perm);
}

int sys_crash(int kind)
{
    return call1(SYS_crash, kind);
}

int64_t sys_host_ipc_recv(void *page)
{
    return call1(SYS_host_ipc_recv, (uintptr_t)page);
}
