/*
 * The kernel's own call chain, with names.
 */
#include <inc/stdio.h>
#include <kern/backtrace.h>
#include <kern/frame.h>
#include <kern/kdebug.h>

#define MAX_FRAMES 32

extern const char text_start[], text_end[], data_start[], kernel_end[];

/* May a saved frame pointer be read? It points to kernel memory that is mapped: to the kernel image
 * or the direct map. */
static bool frame_ok(uint64_t rbp)
{
    if (rbp % sizeof(uint64_t) != 0)
        return false;
    if (rbp >= (uint64_t)data_start)
        return rbp < (uint64_t)kernel_end - 2 * sizeof(uint64_t);
    return rbp >= KERNBASE && rbp - KERNBASE < npages * PGSIZE - 2 * sizeof(uint64_t);
}

static void print_frame(uint64_t rip, bool is_return)
{
    struct RipInfo info;

    /* A return address may be the first byte after the function that calls. */
    debuginfo_rip(rip - is_return, &info);
    cprintf("  %016lx %s+0x%lx (%s:%u)\n", rip, info.fn, info.offset + is_return, info.file,
            info.line);
}

static bool in_text(uint64_t rip)
{
    return rip >= (uint64_t)text_start && rip < (uint64_t)text_end;
}

/* The function that was interrupted may have no frame of its own. */
static void print_caller_of_leaf(uint64_t rip, uint64_t rsp)
{
    struct RipInfo info;

    if (!debuginfo_rip(rip, &info) || *(const uint8_t *)(rip - info.offset) == INSN_PUSH_RBP ||
        !frame_ok(rsp))
        return;
    uint64_t caller = *(const uint64_t *)rsp;
    if (in_text(caller))
        print_frame(caller, true);
}

void backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp)
{
    cprintf("backtrace:\n");
    print_frame(rip, false);
    if (rsp)
        print_caller_of_leaf(rip, rsp);
    for (int i = 0; i < MAX_FRAMES && frame_ok(rbp); i++) {
        const uint64_t *frame = (const uint64_t *)rbp; /* caller's RBP, return address */
        if (!in_text(frame[1]))
            return;
        print_frame(frame[1], true);
        if (frame[0] <= rbp)
            return;
        rbp = frame[0];
    }
}
