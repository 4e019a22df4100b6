/*
 * The system-call table, and the calls that concern console, time and the machine. The entry is
 * syscall_entry in kern/trapentry.S.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <inc/vmm.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/crash.h>
#include <kern/dev/clock.h>
#include <kern/dev/console.h>
#include <kern/dev/pic.h>
#include <kern/dev/poweroff.h>
#include <kern/dev/rtc.h>
#include <kern/dev/serport.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/frame.h>
#include <kern/intkey.h>
#include <kern/ipc.h>
#include <kern/platform.h>
#include <kern/sched.h>
#include <kern/syscall.h>
#include <kern/sysdev.h>
#include <kern/sysenv.h>
#include <kern/sysmem.h>
#include <kern/trapentry.h>
#include <kern/uaccess.h>
#include <kern/waiters.h>

#define CPUTS_CHUNK 256

/* A long text is written a chunk at a time, by executing the call again until all is done, so that
 * interrupts and the end of the time slice are seen in between. */
static int64_t sys_cputs(uintptr_t s, size_t len)
{
    char buf[CPUTS_CHUNK];
    size_t done = MIN(curenv->env_call_done, len), n = MIN(len - done, sizeof(buf));
    int r;

    curenv->env_call_done = 0;
    if (s >= UTOP || len > UTOP - s)
        return -E_FAULT;
    /* Nothing is written of a text that is not all there. */
    if (done == 0 && n < len && (r = user_mem_check(curenv, s, len, 0)) < 0)
        return r;
    if ((r = copyin(buf, s + done, n)) < 0)
        return r;
    cons_write(buf, n);
    if (done + n == len)
        return 0;
    curenv->env_call_done = done + n;
    sched_restart();
    env_pop_tf(&curenv->env_tf);
}

/* The current env waits, to make its call again, if there is no input now. */
static void await_input(struct Env *e)
{
    bool waits;

    env_lock(e);
    if ((waits = sched_wait_console(e))) {
        sched_restart();
        sched_block(WAIT_CONS, 0);
    }
    env_unlock(e);
    if (waits)
        sched_yield();
}

static int64_t sys_cgetc(bool wait)
{
    int c;

    while ((c = cons_getc()) == 0 && wait)
        await_input(curenv);
    return c;
}

static uint64_t uptime_ms(void)
{
    return (read_tsc() - boot_tsc) / tsc_khz;
}

static int64_t sys_time_msec(void)
{
    return uptime_ms();
}

static int64_t sys_time_unix(void)
{
    return rtc_now();
}

/* The TSC in msec milliseconds; the far future when that is beyond counting. */
static uint64_t deadline_after(uint64_t msec)
{
    uint64_t now = read_tsc();

    return msec < (~0ul - now) / tsc_khz ? now + msec * tsc_khz : ~0ul;
}

static int64_t sys_sleep_msec(uint64_t msec)
{
    curenv->env_tf.tf_rax = 0;
    env_lock(curenv);
    sched_block(WAIT_SLEEP, deadline_after(msec));
    env_unlock(curenv);
    sched_yield();
}

static int64_t sys_sysinfo(uintptr_t dst)
{
    struct SysInfo info = {
        .pages_total = page_ntotal(),
        .pages_free = page_nfree(),
        .envs_total = NENV,
        .envs_used = env_nused(),
        .ncpu = ncpu,
        .is_guest = is_guest,
        .tsc_khz = tsc_khz,
        .uptime_ms = uptime_ms(),
    };

    return copyout(dst, &info, sizeof(info));
}

static int64_t sys_cmdline(uintptr_t dst, size_t size)
{
    size_t len = strlen(boot_cmdline);
    int r;

    if (size == 0)
        return -E_INVAL;
    /* Whether a buffer is good does not depend on what happens to be in the command line. */
    if ((r = user_mem_check(curenv, dst, MIN(size, sizeof(boot_cmdline)), PTE_W)) < 0)
        return r;
    len = MIN(len, size - 1);
    if (copyout(dst, boot_cmdline, len) < 0 || copyout(dst + len, "", 1) < 0)
        return -E_FAULT;
    return len;
}

static int64_t sys_poweroff(int status)
{
    platform_poweroff(status & 0xff);
}

static int64_t sys_irq_wait(int irq, uint64_t timeout_ms)
{
    if (curenv->env_type != ENV_TYPE_FS)
        return -E_PERM;
    bool is_ide = irq == IRQ_IDE || irq == IRQ_IDE2;
    if (!is_ide && !sysdev_has_irq(irq))
        return -E_INVAL;
    if (is_ide && !is_guest)
        pic_enable(irq);
    return sched_wait_irq(irq, deadline_after(timeout_ms));
}

static int64_t sys_null(void)
{
    return 0;
}

/* The caller's own page, which it may write (when `write`), with a reference: its parent can change
 * its memory at any time. */
static int own_page(uintptr_t va, bool write, struct PageInfo **pp)
{
    int r;

    if (va >= UTOP || va % PGSIZE)
        return -E_INVAL;
    if ((r = user_mem_check(curenv, va, PGSIZE, write ? PTE_W : 0)) < 0)
        return r;
    return env_page_take(curenv, va, PTE_P | PTE_U | (write ? PTE_W : 0), pp);
}

#define NO_PAGE (~0ul)

/* These calls are the file server's, in gOS. */
static int may_call_host(void)
{
    if (!is_guest)
        return -E_NOT_SUPP;
    return curenv->env_type == ENV_TYPE_FS ? 0 : -E_PERM;
}

/* The hypercalls of the file server in gOS. hOS's answer never carries a page, so the file server's
 * page is all that the host ever sees of this env. */
static int64_t sys_host_ipc_send(uint64_t value, uintptr_t va, uint64_t perm)
{
    uint64_t rbx = VMX_HOST_FS_ENV, rcx = value, rdx = NO_PAGE, rsi = perm;
    struct PageInfo *pp = NULL;
    int64_t r;

    if ((r = may_call_host()) < 0)
        return r;
    if (va < UTOP) {
        if (!perm_valid(perm))
            return -E_INVAL;
        if ((r = own_page(va, perm & PTE_W, &pp)) < 0)
            return r;
        rdx = page2pa(pp);
    }
    r = hypercall(VMX_VMCALL_IPCSEND, &rbx, &rcx, &rdx, &rsi);
    if (pp)
        page_decref(pp);
    return r;
}

static int64_t sys_host_ipc_recv(uintptr_t va)
{
    uint64_t rbx = NO_PAGE, rcx = 0, rdx = 0, rsi = 0;
    struct PageInfo *pp = NULL;
    int64_t r;

    if ((r = may_call_host()) < 0)
        return r;
    if (va < UTOP) {
        if ((r = own_page(va, true, &pp)) < 0)
            return r;
        rbx = page2pa(pp);
    }
    r = hypercall(VMX_VMCALL_IPCRECV, &rbx, &rcx, &rdx, &rsi);
    if (pp)
        page_decref(pp);
    return r < 0 ? r : (int64_t)rsi;
}

int64_t syscall_unknown(void)
{
    return -E_NO_SYS;
}

/* Called from assembly only, with up to five arguments, so the differing types do no harm. */
#define SYSCALL_ENTRY(name) [SYS_##name] = (const void *)sys_##name,
#define NO_ENTRY(name)      [SYS_##name] = (const void *)syscall_unknown,
const void *syscall_table[NSYSCALLS] = { KERNEL_SYSCALLS(SYSCALL_ENTRY) GUEST_SYSCALLS(NO_ENTRY) };

void syscall_register(const void *const calls[NSYSCALLS])
{
    for (size_t i = 0; i < NSYSCALLS; i++)
        if (calls[i])
            syscall_table[i] = calls[i];
}
