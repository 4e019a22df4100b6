/*
 * gOS's console: text goes to the monitor by hypercall, as much at a time as there is; input is
 * fetched the same way when the monitor raises T_HVCONS. Every hypercall is a trip to the monitor
 * and back, so none is made without a reason.
 */
#include <inc/memlayout.h>
#include <inc/string.h>
#include <inc/vmm.h>
#include <kern/dev/consdev.h>
#include <kern/dev/console.h>
#include <kern/dev/hvcons.h>
#include <kern/kaddr.h>
#include <kern/platform.h>

/* A page of its own, so that the text is contiguous in physical memory. */
static char out_page[VMX_CONS_MAX] __attribute__((aligned(PGSIZE)));
static char in_page[256] __attribute__((aligned(256)));

static bool by_interrupt; /* T_HVCONS announces input */
static bool more;         /* the monitor may hold input that did not fit into the ring */

static bool hv_init(void)
{
    return true;
}

static void hv_write(const char *s, size_t len)
{
    while (len > 0) {
        uint64_t gpa = PADDR(out_page), n = MIN(len, sizeof(out_page));
        memcpy(out_page, s, n);
        int64_t taken = hypercall(VMX_VMCALL_CONS_WRITE, &gpa, &n, NULL, NULL);
        if (taken <= 0 || (size_t)taken > len)
            return;
        s += taken;
        len -= taken;
    }
}

/* Ask the monitor for what the ring can hold. Returns false if there may be more. */
static bool fetch(void)
{
    uint64_t gpa = PADDR(in_page), room = MIN(sizeof(in_page), cons_input_room());
    if (room == 0)
        return false;
    uint64_t asked = room;
    int64_t n = hypercall(VMX_VMCALL_CONS_READ, &gpa, &room, NULL, NULL);
    for (int64_t i = 0; i < n && i < (int64_t)asked; i++)
        cons_input(in_page[i]);
    return n < (int64_t)asked;
}

static void hv_poll(bool force)
{
    if (force || more || !by_interrupt)
        more = !fetch();
}

static void hv_intr_enable(void)
{
    by_interrupt = true;
    more = true; /* what came before is not announced again */
}

const struct ConsDev hv_dev = {
    .name = "hypercall console",
    .init = hv_init,
    .write = hv_write,
    .poll = hv_poll,
    .intr_enable = hv_intr_enable,
};
