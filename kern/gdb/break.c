/*
 * gdb's breakpoints. Those in kernel code are INT3 instructions, which are in memory only while
 * CPUs run outside of the stub. Those in user code, hardware breakpoints and watchpoints are in the
 * debug registers (SDM "Debug Registers"): a page of user code may belong to many envs, so it is
 * not written to.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/gdb/break.h>
#include <kern/gdb/cpu.h>
#include <kern/gdb/mem.h>
#include <kern/kaddr.h>
#include <kern/kdebug.h>

#define MAX_BREAKS 64
#define NDR        4
#define INT3       0xcc

/* The stub cannot stop in itself. */
static const char *const stub_files[] = { "kern/gdb/", "lib/gdbpacket.c" };

/* DR7 */
#define DR7_ONE            (1ul << 10) /* always set */
#define DR7_GLOBAL(i)      (2ul << (2 * (i)))
#define DR7_KIND(i, k)     ((uint64_t)(k) << (16 + 4 * (i)))
#define DR7_LENGTH(i, len) ((uint64_t)(len) << (18 + 4 * (i)))

/* `Z` packets' types, and the R/W bits of DR7 for them. */
enum Type {
    SOFTWARE,
    HARDWARE,
    WRITE,
    READ,
    ACCESS,
    NTYPES
};
static const uint8_t dr7_kinds[NTYPES] = { 0, 0, 1, 3, 3 };
static const char *const stop_words[NTYPES] = { NULL, NULL, "watch", "rwatch", "awatch" };
/* LEN bits for 1, 2, 4 and 8 bytes. */
static const uint8_t dr7_lengths[9] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

static struct {
    uint64_t va;
    uint8_t *at; /* in the direct map; NULL: free */
    uint8_t saved;
} breaks[MAX_BREAKS];
static bool inserted;

static struct {
    bool used;
    uint8_t type, len;
    uint64_t va;        /* of this register */
    uint64_t of, bytes; /* of the whole watchpoint, which may need several */
} regs[NDR];

/* ---- In memory ---- */

bool gdb_break_at(uint64_t va)
{
    for (int i = 0; i < MAX_BREAKS; i++)
        if (breaks[i].at && breaks[i].va == va)
            return true;
    return false;
}

void gdb_break_insert(void)
{
    for (int i = 0; i < MAX_BREAKS; i++) {
        if (!breaks[i].at)
            continue;
        breaks[i].saved = *breaks[i].at;
        *breaks[i].at = INT3;
    }
    inserted = true;
}

void gdb_break_remove(void)
{
    for (int i = 0; inserted && i < MAX_BREAKS; i++)
        if (breaks[i].at)
            *(volatile uint8_t *)breaks[i].at = breaks[i].saved;
    inserted = false;
}

static bool is_stub(uint64_t va)
{
    struct RipInfo info;

    if (!debuginfo_rip(va, &info))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(stub_files); i++)
        if (strncmp(info.file, stub_files[i], strlen(stub_files[i])) == 0)
            return true;
    return false;
}

extern const char text_start[], text_end[];

static int set_in_memory(uint64_t va)
{
    if (va < (uint64_t)text_start || va >= (uint64_t)text_end)
        return GDB_EFAULT;
    if (is_stub(va))
        return GDB_EPERM;
    for (int i = 0; i < MAX_BREAKS; i++) {
        if (breaks[i].at)
            continue;
        breaks[i].va = va;
        breaks[i].at = KADDR(PADDR((void *)va));
        return 0;
    }
    return GDB_ENOSPC;
}

static int clear_in_memory(uint64_t va)
{
    for (int i = 0; i < MAX_BREAKS; i++)
        if (breaks[i].at && breaks[i].va == va)
            breaks[i].at = NULL;
    return 0;
}

/* ---- In debug registers ---- */

static int free_register(void)
{
    int i = 0;

    while (i < NDR && regs[i].used)
        i++;
    return i;
}

static int clear_registers(enum Type type, uint64_t va, uint64_t bytes)
{
    for (int i = 0; i < NDR; i++)
        if (regs[i].type == type && regs[i].of == va && regs[i].bytes == bytes)
            regs[i].used = false;
    return 0;
}

/* The largest aligned piece at va. */
static uint64_t piece(uint64_t va, uint64_t left)
{
    uint64_t len = sizeof(uint64_t);

    while (va % len != 0 || len > left)
        len /= 2;
    return len;
}

static int set_registers(enum Type type, uint64_t va, uint64_t bytes)
{
    uint64_t len;

    if (bytes == 0)
        return GDB_EINVAL;
    for (uint64_t done = 0; done < bytes; done += len) {
        int i = free_register();
        if (i == NDR) {
            clear_registers(type, va, bytes);
            return GDB_ENOSPC;
        }
        len = piece(va + done, bytes - done);
        regs[i].used = true;
        regs[i].type = type;
        regs[i].len = len;
        regs[i].va = va + done;
        regs[i].of = va;
        regs[i].bytes = bytes;
    }
    return 0;
}

void gdb_dr_load(void)
{
    uint64_t dr7 = DR7_ONE;

    ldr7(DR7_ONE);
    ldr0(regs[0].va);
    ldr1(regs[1].va);
    ldr2(regs[2].va);
    ldr3(regs[3].va);
    for (int i = 0; i < NDR; i++)
        if (regs[i].used)
            dr7 |= DR7_GLOBAL(i) | DR7_KIND(i, dr7_kinds[regs[i].type]) |
                   DR7_LENGTH(i, dr7_lengths[regs[i].len]);
    ldr7(dr7);
}

bool gdb_dr_hit(uint64_t dr6, uint64_t *watch, const char **kind)
{
    for (int i = 0; i < NDR; i++) {
        if (!(dr6 & (1ul << i)) || !regs[i].used)
            continue;
        *watch = regs[i].va;
        *kind = stop_words[regs[i].type];
        return true;
    }
    return false;
}

/* ---- What gdb asks for ---- */

int gdb_break_change(const struct GdbCpu *c, bool on, int type, uint64_t va, uint64_t kind)
{
    uint8_t byte;

    if (type < 0 || type >= NTYPES)
        return -1;
    if (type == SOFTWARE && va >= ULIM)
        return on ? set_in_memory(va) : clear_in_memory(va);
    if (type == SOFTWARE && on && gdb_mem_read(c, va, &byte, 1) == 0)
        return GDB_EFAULT;
    if (type == SOFTWARE || type == HARDWARE)
        kind = 1;
    return on ? set_registers(type, va, kind) : clear_registers(type, va, kind);
}

void gdb_break_forget_all(void)
{
    for (int i = 0; i < MAX_BREAKS; i++)
        breaks[i].at = NULL;
    for (int i = 0; i < NDR; i++)
        regs[i].used = false;
}
