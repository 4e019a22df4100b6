/*
 * hello64: a small kernel such as a user would bring along. It shows what it got from the loader,
 * takes exceptions through its own IDT, changes its own page tables, and talks on COM1. Words on
 * its command line: `noinput` (asks for nothing), `status=N` (exit status).
 */
#include "rt.h"

const char guest_name[] = "hello64";

#define MAGIC_VA 0x40000000ul /* not mapped at the start */
#define MAGIC_PA 0x200000ul

static void show_modules(const struct MultibootInfo *info)
{
    const struct MultibootModule *m = (const void *)(uintptr_t)info->mods_addr;

    for (unsigned i = 0; i < info->mods_count; i++) {
        const uint8_t *p = (const void *)(uintptr_t)m[i].mod_start;
        size_t size = m[i].mod_end - m[i].mod_start;
        unsigned sum = 0;
        for (size_t k = 0; k < size; k++)
            sum += p[k];
        print("module %u: \"%s\", %zu bytes at 0x%x, sum %u\n", i,
              (const char *)(uintptr_t)m[i].string, size, m[i].mod_start, sum);
    }
}

static void show_memory(const struct MultibootInfo *info)
{
    const char *p = (const char *)(uintptr_t)info->mmap_addr;
    const char *end = p + info->mmap_length;
    uint64_t usable = 0;

    for (unsigned i = 0; p < end; i++) {
        const struct MultibootMmap *m = (const void *)p;
        print("memory %u: 0x%09lx-0x%09lx type %u\n", i, m->addr, m->addr + m->len, m->type);
        if (m->type == MBMMAP_AVAILABLE)
            usable += m->len;
        p += m->size + sizeof(m->size);
    }
    print("usable: %lu KiB, lower %u, upper %u\n", usable / 1024, info->mem_lower, info->mem_upper);
}

static unsigned breakpoints, page_faults;

static void on_breakpoint(struct Trapframe *tf)
{
    (void)tf;
    breakpoints++;
}

static void on_page_fault(struct Trapframe *tf)
{
    page_faults++;
    print("page fault at 0x%lx, error 0x%lx: mapping it\n", rcr2(), tf->tf_err);
    map_2m(ROUNDDOWN(rcr2(), PGSIZE_2M), MAGIC_PA, PTE_P | PTE_W);
}

static void take_exceptions(void)
{
    trap_handlers[T_BRKPT] = on_breakpoint;
    trap_handlers[T_PGFLT] = on_page_fault;
    asm volatile("int3");
    *(volatile uint32_t *)MAGIC_VA = 42;
    check(breakpoints == 1, "%u breakpoint exceptions, not 1", breakpoints);
    check(page_faults == 1, "%u page faults, not 1", page_faults);
    check(*(volatile uint32_t *)MAGIC_PA == 42, "the new mapping leads elsewhere");
    print("breakpoint and page fault taken through my own IDT\n");
}

static void talk(void)
{
    char line[80];
    print("type a line: ");
    read_line(line, sizeof(line));
    print("\nyou typed \"%s\", %zu characters\n", line, strlen(line));
}

static int status_wanted(void)
{
    const char *p = strstr(cmdline(), "status=");
    return p ? (int)strtol(p + strlen("status="), NULL, 10) : 0;
}

int guest_main(const struct MultibootInfo *info)
{
    print("hello64: in long mode, started by %s\n",
          (const char *)(uintptr_t)info->boot_loader_name);
    print("command line: \"%s\"\n", cmdline());
    show_modules(info);
    show_memory(info);
    take_exceptions();
    if (!cmdline_has("noinput"))
        talk();
    int failed = check_result();
    return failed ? failed : status_wanted();
}
