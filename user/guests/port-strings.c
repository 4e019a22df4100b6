/*
 * port-strings: INS and OUTS of all widths, forwards and backwards, with and without REP, at the
 * end of what is mapped and with addresses that are not canonical. What cannot be accessed is #PF
 * with the address or #GP, and the registers say how far it came.
 */
#include "rt.h"

const char guest_name[] = "port-strings";

#define VA        0x40000000ul
#define PORT      0x2f8
#define NOT_CANON 0x800000000000ul

static uint8_t page[PGSIZE] __attribute__((aligned(PGSIZE)));
uint64_t rdi_after, rcx_after; /* the assembly text writes them */

/* REP INS or OUTS of bytes from here on. Returns the vector, -1 for none. */
static int rep(bool in, uint64_t at, uint64_t count)
{
    int v = in ? CATCH("movq %%rax, %%rdi; rep insb; movq %%rdi, rdi_after; movq %%rcx, rcx_after",
                       at, count, PORT)
               : CATCH("movq %%rax, %%rsi; rep outsb; movq %%rsi, rdi_after; movq %%rcx, rcx_after",
                       at, count, PORT);
    return v;
}

static void try_edges(bool in)
{
    trying("REP %s to the end of what is mapped, and beyond", in ? "INS" : "OUTS");
    check(rep(in, VA + PGSIZE - 8, 8) < 0, "8 bytes at the end: trap %d", caught.vector);
    check(rdi_after == VA + PGSIZE && rcx_after == 0, "ended at 0x%lx", rdi_after);
    check(rep(in, VA + PGSIZE - 8, 9) == T_PGFLT, "9 bytes: trap %d", caught.vector);
    check(caught.cr2 == VA + PGSIZE, "CR2 0x%lx", caught.cr2);
    check(rep(in, VA + PGSIZE, 0) < 0, "no bytes: trap %d", caught.vector);
    check(rep(in, NOT_CANON, 1) == T_GPFLT, "not canonical: trap %d", caught.vector);
    check(rep(in, NOT_CANON - 1, 1) == T_PGFLT, "last canonical byte: trap %d", caught.vector);
}

static void try_widths(void)
{
    trying("INS and OUTS of all widths in both directions");
    CATCH("movq %%rax, %%rdi; std; insb; insw; insl; cld; movq %%rdi, rdi_after", VA + 64, 0, PORT);
    check(caught.vector < 0 && rdi_after == VA + 64 - 7, "backwards to 0x%lx", rdi_after);
    CATCH("movq %%rax, %%rsi; outsb; outsw; outsl; movq %%rsi, rdi_after", VA + 64, 0, PORT);
    check(caught.vector < 0 && rdi_after == VA + 64 + 7, "forwards to 0x%lx", rdi_after);
    check(page[64] == 0xff && page[65] == 0, "INS wrote 0x%x, 0x%x", page[64], page[65]);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    uint64_t *pte = map_4k(VA, (uint64_t)page, PTE_P | PTE_W);
    try_widths();
    try_edges(true);
    try_edges(false);
    trying("INS into a page that is read-only");
    *pte &= ~(uint64_t)PTE_W;
    invlpg((void *)VA);
    check(rep(true, VA, 1) == T_PGFLT, "trap %d", caught.vector);
    check(caught.err == (FEC_PR | FEC_WR), "error code 0x%lx", caught.err);
    return check_result();
}
