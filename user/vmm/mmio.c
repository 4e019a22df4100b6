/*
 * Accesses to memory that is not RAM: the instruction is carried out here, with the guest's
 * registers and its page tables. Its other operand, if it has one, may be anywhere.
 */
#include <inc/trap.h>
#include <user/vmm/image.h>
#include <user/vmm/insn/emulate.h>
#include <user/vmm/machine.h>
#include <user/vmm/run.h>

#define MAX_OPERAND 8 /* bytes */

/* One exit. */
struct Access {
    struct Emulation emulation; /* first, so that its callbacks find the rest */
    struct Machine *machine;
    struct GuestExit *exit;
};

/* A part of an operand that lies in one page. */
struct Piece {
    gpa_t gpa;
    unsigned size;
};

/* The gpa at va for these accesses. The kernel says which page fault it is if there is none. */
static bool walk(struct Emulation *e, uint64_t va, uint32_t access, gpa_t *gpa)
{
    struct Access *a = (struct Access *)e;
    uint32_t user = e->code->cpl == 3 ? GUEST_USER : 0;
    int64_t r = sys_guest_walk(a->machine->guest, va, access | user);
    *gpa = r;
    if (r >= 0)
        return true;
    e->fault = (struct Fault){ .vector = T_PGFLT,
                               .error = a->exit->fault_error,
                               .address = a->exit->fault_address };
    return false;
}

/* An operand has two pieces if it crosses a page: the second one may be of no bytes. */
static bool locate(struct Emulation *e, uint64_t va, unsigned size, uint32_t access,
                   struct Piece pieces[2])
{
    unsigned first = MIN(size, (unsigned)(PGSIZE - PGOFF(va)));
    pieces[0].size = first;
    pieces[1] = (struct Piece){ 0, size - first };
    uint64_t next = va + first;
    if (e->code->bits != 64)
        next = (uint32_t)next;
    return walk(e, va, access, &pieces[0].gpa) &&
           (size == first || walk(e, next, access, &pieces[1].gpa));
}

/* Devices are accessed by 1, 2, 4 or 8 bytes; other pieces go byte by byte. */
static unsigned step_of(unsigned size)
{
    return size & (size - 1) ? 1 : size;
}

static void count_unclaimed(struct GuestExit *x, gpa_t gpa)
{
    x->unclaimed++;
    x->last_unclaimed = gpa;
}

/* The local APIC's registers are the kernel's. */
static bool is_apic(const struct Access *a, const struct Piece *p)
{
    return ROUNDDOWN(p->gpa, PGSIZE) == a->exit->apic_page;
}

static uint64_t access_apic(const struct Access *a, gpa_t gpa, unsigned size, bool write,
                            uint64_t value)
{
    return sys_guest_apic(a->machine->guest, PGOFF(gpa), size, write, value);
}

static void read_device(struct Access *a, const struct Piece *p, uint8_t *bytes)
{
    unsigned step = step_of(p->size);
    for (unsigned i = 0; i < p->size; i += step) {
        uint64_t v;
        if (is_apic(a, p))
            v = access_apic(a, p->gpa + i, step, false, 0);
        else if (!bus_read(&a->machine->bus.memory, p->gpa + i, step, &v))
            count_unclaimed(a->exit, p->gpa + i);
        memcpy(bytes + i, &v, step);
    }
}

static void write_device(struct Access *a, const struct Piece *p, const uint8_t *bytes)
{
    unsigned step = step_of(p->size);
    for (unsigned i = 0; i < p->size; i += step) {
        uint64_t v = 0;
        memcpy(&v, bytes + i, step);
        if (is_apic(a, p))
            access_apic(a, p->gpa + i, step, true, v);
        else if (!bus_write(&a->machine->bus.memory, p->gpa + i, step, v))
            count_unclaimed(a->exit, p->gpa + i);
    }
}

/* What cannot be copied is taken for a device's. */
static bool copy_ram(const struct Access *a, const struct Piece *p, uint8_t *bytes, bool write)
{
    const struct Machine *m = a->machine;
    return !is_apic(a, p) && gpa_is_ram(p->gpa, p->size, m->memsize) &&
           sys_guest_mem(m->guest, p->gpa, bytes, p->size, write) == 0;
}

static bool read_memory(struct Emulation *e, uint64_t va, unsigned size, bool writes,
                        uint64_t *value)
{
    struct Access *a = (struct Access *)e;
    struct Piece pieces[2];
    uint8_t bytes[MAX_OPERAND] = { 0 };
    if (!locate(e, va, size, writes ? GUEST_READ | GUEST_WRITE : GUEST_READ, pieces))
        return false;
    for (unsigned i = 0, at = 0; i < 2 && pieces[i].size > 0; at += pieces[i++].size)
        if (!copy_ram(a, &pieces[i], bytes + at, false))
            read_device(a, &pieces[i], bytes + at);
    memcpy(value, bytes, sizeof(bytes));
    return true;
}

static bool write_memory(struct Emulation *e, uint64_t va, unsigned size, uint64_t value)
{
    struct Access *a = (struct Access *)e;
    struct Piece pieces[2];
    uint8_t bytes[MAX_OPERAND];
    if (!locate(e, va, size, GUEST_WRITE, pieces))
        return false;
    memcpy(bytes, &value, sizeof(bytes));
    for (unsigned i = 0, at = 0; i < 2 && pieces[i].size > 0; at += pieces[i++].size)
        if (!copy_ram(a, &pieces[i], bytes + at, true))
            write_device(a, &pieces[i], bytes + at);
    return true;
}

static bool fetch_memory(struct Emulation *e, uint64_t va)
{
    gpa_t gpa;
    struct GuestExit *x = ((struct Access *)e)->exit;
    count_unclaimed(x, x->gpa);
    return walk(e, va, GUEST_FETCH, &gpa);
}

static const struct EmulateMemory memory = { read_memory, write_memory, fetch_memory };

/* ---- The answer ---- */

static void end_at_unknown(const struct GuestExit *x)
{
    const struct GuestInsn *code = &x->insn;
    char bytes[3 * GUEST_INSN_MAX + 1] = "";
    for (unsigned i = 0; i < MIN((unsigned)code->nbytes, (unsigned)GUEST_INSN_MAX); i++)
        snprintf(bytes + 3 * i, 4, " %02x", code->bytes[i]);
    end_guest(
        1,
        "vmm cannot carry out the instruction at rip 0x%lx, which accesses gpa 0x%lx, no RAM; "
        "%u-bit code:%s",
        x->regs.rip, x->gpa, code->bits, bytes);
}

static void answer_fault(struct GuestExit *x, const struct Fault *fault)
{
    x->fault = fault->vector;
    x->fault_error = fault->error;
    x->fault_address = fault->address;
}

void machine_mmio(struct Machine *m, struct GuestExit *x)
{
    struct Access a = {
        .emulation = { .memory = &memory, .code = &x->insn, .regs = &x->regs },
        .machine = m,
        .exit = x,
    };
    x->skip = x->fault = 0;
    switch (emulate(&a.emulation)) {
    case EMULATE_NEXT:
        x->skip = a.emulation.insn.length;
        break;
    case EMULATE_AT_RIP:
        break;
    case EMULATE_FAULT:
        answer_fault(x, &a.emulation.fault);
        break;
    case EMULATE_UNKNOWN:
        end_at_unknown(x);
        break;
    }
}
