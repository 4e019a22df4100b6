/*
 * IA32_APIC_BASE: the mode of a virtual local APIC, and where its page of registers is in xAPIC
 * mode (SDM "Local APIC Status and Location", "x2APIC State Transitions"). A guest has one CPU, so
 * the page can be taken out of the second stage, which all CPUs of a guest would share.
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <vmm/cpuid.h>
#include <vmm/ept.h>
#include <vmm/gmem.h>
#include <vmm/kill.h>
#include <vmm/vapic.h>
#include <vmm/vapic_regs.h>

#define SVR_RESET 0xffu
#define DFR_RESET 0xffffffffu /* flat */
#define BASE_BITS (APIC_BASE_BSP | APIC_BASE_MODE)

/* The registers' state after reset; base stays. */
static void reset(struct Vapic *a)
{
    uint64_t base = a->base, page = a->page;
    uint32_t id = a->id;
    memset(a, 0, sizeof(*a));
    a->base = base;
    a->page = page;
    a->id = id;
    a->svr = SVR_RESET;
    a->dfr = DFR_RESET;
    for (int i = 0; i < NLVT; i++)
        a->lvt[i] = LVT_MASKED;
}

void vapic_init(struct Vapic *a, uint32_t id)
{
    a->id = id;
    a->base = APIC_BASE_RESET | APIC_BASE_XAPIC | (id == 0 ? APIC_BASE_BSP : 0);
    a->page = APIC_BASE_RESET;
    reset(a);
}

/* May a CPU go from one mode to the other? x2APIC mode is entered from xAPIC mode, and left by
 * disabling the APIC. */
static bool may_go(uint64_t from, uint64_t to)
{
    if (from == to)
        return true;
    if (to == APIC_BASE_EXTD) /* x2APIC mode of a disabled APIC */
        return false;
    return from == APIC_BASE_XAPIC || (to == APIC_BASE_XAPIC && from == 0) ||
           (to == 0 && from == APIC_BASE_X2APIC);
}

/* RAM where the page is now to be: behind it. It has a frame from here on, so that nothing is put
 * there by a first touch. -E_NO_MEM. */
static int hide_ram(struct Vm *vm, gpa_t page)
{
    if (!gmem_is_ram(vm, page, PGSIZE))
        return 0;
    int r = gmem_populate(vm, page);
    return r < 0 ? r : ept_hide(vm, page, true);
}

/* The page goes to another place, or to none. -E_NO_MEM. */
static int move_page(struct Vcpu *v, gpa_t page)
{
    struct Vapic *a = &v->vapic;
    if (page == a->page)
        return 0;
    if (a->page != NO_APIC_PAGE && gmem_is_ram(v->vm, a->page, PGSIZE))
        ept_hide(v->vm, a->page, false);
    a->page = NO_APIC_PAGE;
    int r = page == NO_APIC_PAGE ? 0 : hide_ram(v->vm, page);
    if (r == 0)
        a->page = page;
    return r;
}

/* What a change of the mode does to the registers. */
static void change_mode(struct Vcpu *v, uint64_t from, uint64_t to)
{
    struct Vapic *a = &v->vapic;
    if (to == 0 || from == 0)
        reset(a);
    else if (to == APIC_BASE_X2APIC)
        a->icr = (uint32_t)a->icr;
    a->nmsrs = to == APIC_BASE_X2APIC ? NX2APIC_MSRS : 0;
    look_around_soon(v); /* its timer may have been stopped */
}

enum Verdict vapic_write_base(struct Vcpu *v, uint64_t value)
{
    struct Vapic *a = &v->vapic;
    uint64_t from = a->base & APIC_BASE_MODE, to = value & APIC_BASE_MODE;
    uint64_t page = value & ~(PGSIZE - 1);
    if ((value & (PGSIZE - 1) & ~BASE_BITS) || page >> cpuid_physical_bits() != 0 ||
        !may_go(from, to))
        return DO_GP;
    int r = move_page(v, to == APIC_BASE_XAPIC ? page : NO_APIC_PAGE);
    if (r < 0) {
        guest_kill(v, "its local APIC goes over RAM at 0x%lx, and the host says: %s", page,
                   strerror(r));
        return DO_LEAVE;
    }
    a->base = value;
    if (from != to)
        change_mode(v, from, to);
    return DO_NEXT;
}
