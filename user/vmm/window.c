/*
 * The window into guest memory. A mapping stays with its frame when the guest gets another one
 * there: dma.h's dma_refresh sees to it that such mappings are forgotten before they are used.
 */
#include <user/vmm/window.h>

#define WINDOW 0x4000000000ul  /* beyond all that a program may have in its heap */
static bool mapped[DMA_SLOTS]; /* of the pages there */

_Static_assert(WINDOW + DMA_SLOTS * PGSIZE <= UTOP, "the window is in user space");

static void *window_map(void *to, unsigned n, gpa_t gpa, bool *writable)
{
    struct Window *w = to;
    void *va = (void *)(WINDOW + n * PGSIZE);
    int r = sys_guest_map(w->guest, gpa, va, PTE_P | PTE_U | PTE_W);
    *writable = r == 0;
    if (r == -E_INVAL) /* the guest may not write there */
        r = sys_guest_map(w->guest, gpa, va, PTE_P | PTE_U);
    if (r < 0)
        return NULL;
    mapped[n] = true;
    return va;
}

static void window_forget(void *to)
{
    (void)to;
    for (unsigned n = 0; n < DMA_SLOTS; n++)
        if (mapped[n])
            sys_page_unmap(0, (void *)(WINDOW + n * PGSIZE));
    memset(mapped, 0, sizeof(mapped));
}

void window_init(struct Window *w, envid_t guest)
{
    window_forget(w);
    *w = (struct Window){ .guest = guest, .peer = { window_map, window_forget, w } };
}
