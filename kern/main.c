/*
 * The kernel's start on the boot CPU, from the first line of C to the first env.
 */
#include <inc/multiboot.h>
#include <inc/stdio.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/dev/clock.h>
#include <kern/dev/console.h>
#include <kern/dev/lapic.h>
#include <kern/dev/pic.h>
#include <kern/dev/poweroff.h>
#include <kern/embed.h>
#include <kern/frame.h>
#include <kern/gdb/stub.h>
#include <kern/idt.h>
#include <kern/intkey.h>
#include <kern/monitor.h>
#include <kern/mp.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/sched.h>
#include <kern/waiters.h>
#include <vmm/guest.h>

extern const uint8_t embedded_fs[], embedded_fs_end[], embedded_init[], embedded_init_end[];

/* The key that stops the kernel. */
static void stop_for_monitor(void)
{
    monitor(NULL);
}

void kernel_main(uint32_t magic, uint32_t mbi_pa) __attribute__((noreturn));

void kernel_main(uint32_t magic, uint32_t mbi_pa)
{
    cpu_features_init();
    platform_init(magic, mbi_pa);
    cons_init();
    mem_init();
    idt_init();
    cpu_init(&cpus[0]);
    gdb_init();
    if (!is_guest)
        pic_init();
    lapic_init(true);
    clock_init();
    sched_init();
    cons_on_input(sched_wake_console, stop_for_monitor);
    cons_on_interrupt(intkey_interrupts, intkey_pressed);
    cons_intr_enable();
    gdb_intr_enable();
    power_button_init();
    if (!is_guest)
        mp_init();
    cprintf("%s: %lu MiB of memory, %u CPU%s, %lu MHz\n", is_guest ? "gOS" : "hOS",
            page_ntotal() >> 8, ncpu, ncpu > 1 ? "s" : "", (tsc_khz + 500) / 1000);

    vmm_init();
    env_create(embedded_fs, embedded_fs_end - embedded_fs, ENV_TYPE_FS, "fs");
    env_create(embedded_init, embedded_init_end - embedded_init, ENV_TYPE_INIT, "init");
    sched_yield();
}
