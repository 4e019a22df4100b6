/*
 * The kernel's start on the boot CPU, from the first line of C to the first env.
 */
#include <inc/multiboot.h>
#include <inc/stdio.h>
#include <inc/x86.h>
#include <kern/dev/console.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/gdb/stub.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/guest.h>

extern const uint8_t embedded_fs[], embedded_fs_end[], embedded_init[], embedded_init_end[];

void kernel_main(uint32_t magic, uint32_t mbi_pa) __attribute__((noreturn));

void kernel_main(uint32_t magic, uint32_t mbi_pa)
{
    cpu_features_init();
    platform_init(magic, mbi_pa);
    cons_init();
    mem_init();
    trap_init();
    cpu_init(&cpus[0]);
    gdb_init();
    platform_intr_init();
    sched_init();
    cons_intr_enable();
    gdb_intr_enable();
    if (!is_guest)
        mp_init();
    cprintf("%s: %lu MiB of memory, %u CPU%s, %lu MHz\n", is_guest ? "gOS" : "hOS",
            page_ntotal() >> 8, ncpu, ncpu > 1 ? "s" : "", (tsc_khz + 500) / 1000);

    if (cmdline_word("vmxcheck-test", NULL, 0))
        check_self_test();
    lab_self_test();
    ept_self_test();
    vmrun_self_test();
    env_create(embedded_fs, embedded_fs_end - embedded_fs, ENV_TYPE_FS, "fs");
    env_create(embedded_init, embedded_init_end - embedded_init, ENV_TYPE_INIT, "init");
    sched_yield();
}
