/*
 * Memory of the debugged guest by its own linear addresses, and breakpoints in it. A breakpoint is
 * an INT3 in the guest's memory, which reads do not show, or a debug register. The latter serves
 * where the former cannot: at an address that no page is mapped at yet, or that another program has
 * now, as the lower half of a 64-bit address space.
 */
#include "gdb.h"

#define INT3  0xcc
#define NSOFT 64
#define NHARD 4

static envid_t guest;

static struct Soft {
    bool used, lifted;
    uint8_t saved; /* what the INT3 has replaced */
    uint64_t va;
    gpa_t gpa;
} soft[NSOFT];

static struct Hard {
    bool used;
    enum GdbBreak kind; /* as gdb asked for it */
    uint64_t va;
    unsigned size;
} hard[NHARD];

void mem_setup(envid_t id)
{
    guest = id;
    memset(soft, 0, sizeof(soft));
    memset(hard, 0, sizeof(hard));
}

/* ---- Memory ---- */

/* The gpa of va, and in *n how much of it lies in the same page. */
static bool locate(uint64_t va, size_t *n, gpa_t *gpa)
{
    int64_t r = sys_guest_debug(guest, GUEST_DEBUG_TRANSLATE, va, NULL);
    *gpa = r;
    *n = MIN(*n, PGSIZE - PGOFF(va));
    return r >= 0;
}

/* The breakpoint whose INT3 stands at gpa + i for some i < n; from the one before on. */
static struct Soft *next_in(struct Soft *from, gpa_t gpa, size_t n)
{
    for (struct Soft *b = from ? from + 1 : soft; b < soft + NSOFT; b++)
        if (b->used && b->gpa >= gpa && b->gpa - gpa < n)
            return b;
    return NULL;
}

size_t mem_read(uint64_t va, void *buf, size_t n)
{
    size_t done = 0, piece;
    gpa_t gpa;
    for (; done < n; done += piece) {
        piece = n - done;
        if (!locate(va + done, &piece, &gpa) ||
            sys_guest_mem(guest, gpa, (char *)buf + done, piece, false) < 0)
            break;
        for (struct Soft *b = NULL; (b = next_in(b, gpa, piece));)
            ((uint8_t *)buf)[done + (b->gpa - gpa)] = b->saved;
    }
    return done;
}

static int plant(const struct Soft *b)
{
    uint8_t int3 = INT3;
    return sys_guest_mem(guest, b->gpa, &int3, 1, true);
}

size_t mem_write(uint64_t va, const void *buf, size_t n)
{
    size_t done = 0, piece;
    gpa_t gpa;
    for (; done < n; done += piece) {
        const uint8_t *from = (const uint8_t *)buf + done;
        piece = n - done;
        if (!locate(va + done, &piece, &gpa) ||
            sys_guest_mem(guest, gpa, (void *)from, piece, true) < 0)
            break;
        for (struct Soft *b = NULL; (b = next_in(b, gpa, piece));) {
            b->saved = from[b->gpa - gpa];
            if (!b->lifted)
                plant(b);
        }
    }
    return done;
}

/* ---- INT3 ---- */

static struct Soft *soft_at(uint64_t va)
{
    for (struct Soft *b = soft; b < soft + NSOFT; b++)
        if (b->used && b->va == va)
            return b;
    return NULL;
}

static int soft_set(uint64_t va)
{
    struct Soft *b = soft;
    size_t n = 1;
    while (b < soft + NSOFT && b->used)
        b++;
    if (b == soft + NSOFT)
        return GDB_E_FULL;
    *b = (struct Soft){ .va = va };
    if (mem_read(va, &b->saved, 1) < 1 || !locate(va, &n, &b->gpa) || plant(b) < 0)
        return GDB_E_FAULT;
    b->used = true;
    return 0;
}

/* Two breakpoints may stand on one byte of memory, which the guest maps twice; the last one to go
 * gives the byte back. */
static void soft_clear(struct Soft *b)
{
    b->used = false;
    if (!next_in(NULL, b->gpa, 1))
        sys_guest_mem(guest, b->gpa, &b->saved, 1, true);
}

bool break_is_ours(uint64_t va)
{
    return soft_at(va) != NULL;
}

void break_lift(uint64_t va)
{
    struct Soft *b = soft_at(va);
    if (!b)
        return;
    b->lifted = true;
    sys_guest_mem(guest, b->gpa, &b->saved, 1, true);
}

void break_replant(void)
{
    for (struct Soft *b = soft; b < soft + NSOFT; b++) {
        if (b->used && b->lifted)
            plant(b);
        b->lifted = false;
    }
}

/* ---- Debug registers ---- */

/* The CPU cannot watch reads alone: gdb passes over stops at which the value has changed. */
static int write_register(unsigned n)
{
    static const uint8_t kinds[] = { [BREAK_SOFT] = DEBUG_HW_EXEC,
                                     [BREAK_HARD] = DEBUG_HW_EXEC,
                                     [WATCH_WRITE] = DEBUG_HW_WRITE,
                                     [WATCH_READ] = DEBUG_HW_ACCESS,
                                     [WATCH_ACCESS] = DEBUG_HW_ACCESS };
    struct GuestDebugHw hw = { 0 };
    if (hard[n].used)
        hw = (struct GuestDebugHw){ hard[n].va, kinds[hard[n].kind], hard[n].size };
    return sys_guest_debug(guest, GUEST_DEBUG_SET_HW, n, &hw);
}

static int find_register(enum GdbBreak kind, uint64_t va, unsigned size)
{
    for (unsigned n = 0; n < NHARD; n++)
        if (hard[n].used && hard[n].kind == kind && hard[n].va == va && hard[n].size == size)
            return n;
    return -1;
}

static int hard_set(enum GdbBreak kind, uint64_t va, unsigned size)
{
    unsigned n = 0;
    while (n < NHARD && hard[n].used)
        n++;
    if (n == NHARD)
        return GDB_E_FULL;
    hard[n] = (struct Hard){ true, kind, va, size };
    if (write_register(n) == 0)
        return 0;
    hard[n].used = false;
    return GDB_E_ARG;
}

int break_of_register(unsigned n, uint64_t *va)
{
    *va = hard[n].va;
    return hard[n].used ? (int)hard[n].kind : -1;
}

/* ---- What gdb asks for ---- */

/* Code breakpoints have the size of an instruction in packets, and 1 in a debug register. */
static unsigned watched(enum GdbBreak kind, unsigned size)
{
    return kind >= WATCH_WRITE ? size : 1;
}

int break_set(const struct GuestDebugRegs *r, enum GdbBreak kind, uint64_t va, unsigned size)
{
    bool user = (int64_t)va >= 0 && (r->cr0 & CR0_PG) && (r->efer & EFER_LMA);
    int error = GDB_E_FAULT;
    if (kind > WATCH_ACCESS)
        return -1;
    size = watched(kind, size);
    if (find_register(kind, va, size) >= 0 || (kind == BREAK_SOFT && soft_at(va)))
        return 0;
    if (kind == BREAK_SOFT && !user)
        error = soft_set(va);
    if (error != 0)
        error = hard_set(kind, va, size);
    if (error != 0 && kind == BREAK_SOFT && user)
        error = soft_set(va);
    return error;
}

int break_clear(enum GdbBreak kind, uint64_t va, unsigned size)
{
    if (kind > WATCH_ACCESS)
        return -1;
    int n = find_register(kind, va, watched(kind, size));
    struct Soft *b = kind == BREAK_SOFT ? soft_at(va) : NULL;
    if (b)
        soft_clear(b);
    if (n >= 0) {
        hard[n].used = false;
        write_register(n);
    }
    return 0;
}

void break_clear_all(void)
{
    for (struct Soft *b = soft; b < soft + NSOFT; b++)
        if (b->used)
            soft_clear(b);
    for (unsigned n = 0; n < NHARD; n++) {
        hard[n].used = false;
        write_register(n);
    }
}
