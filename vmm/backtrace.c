/*
 * A guest's call chain: where in its code it is, or was when it ended. Frames are read through the
 * guest's page tables and the second stage, and named where the guest runs this kernel's own code.
 */
#include <kern/sched.h>
#include <kern/uaccess.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/kdebug.h>
#include <kern/trap.h>
#include <vmm/backend.h>
#include <vmm/backtrace.h>
#include <vmm/guest.h>
#include <vmm/trace.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/vcpu.h>

extern const char text_start[], text_end[];

/* Read guest memory at a linear address, as the guest's kernel sees it; it may cross a page. */
static bool read_guest(struct Vcpu *v, const struct PagingMode *m, uint64_t va, void *buf,
                       size_t len)
{
    while (len > 0) {
        size_t n = MIN(len, PGSIZE - PGOFF(va));
        gpa_t gpa;
        if (guest_walk(v, m, va, 0, &gpa) != WALK_OK || gmem_peek(v->vm, gpa, buf, n) < 0)
            return false;
        va += n;
        buf = (char *)buf + n;
        len -= n;
    }
    return true;
}

/* Has the guest the very code there that this kernel has? Then it runs this kernel's image, and our
 * table of names is right for it. */
static bool is_our_code(struct Vcpu *v, const struct PagingMode *m, uint64_t rip)
{
    char code[16];
    if (rip < (uint64_t)text_start || rip > (uint64_t)text_end - sizeof(code))
        return false;
    return read_guest(v, m, rip, code, sizeof(code)) &&
           memcmp(code, (void *)rip, sizeof(code)) == 0;
}

static void add_frame(struct Vcpu *v, struct GuestChain *c, const struct PagingMode *m,
                      uint64_t rip)
{
    c->known |= (uint32_t)is_our_code(v, m, rip) << c->n;
    c->frames[c->n++] = rip;
}

/* The chain of the vCPU whose registers are here. Frames are linked by saved frame pointers, each
 * above the one before, so that a chain ends whatever the guest has made of it. */
static void walk_frames(struct Vcpu *v, struct GuestChain *c)
{
    struct PagingMode m;
    backend->paging_mode(v, &m);
    bool wide = backend->in_64bit(v);
    uint64_t rbp = v->env->env_tf.tf_rbp;
    add_frame(v, c, &m, backend->get(v, VREG_RIP));
    while (c->n < GUEST_FRAMES_MAX) {
        uint64_t frame[2] = { 0, 0 }; /* the caller's frame pointer, the return address */
        uint32_t narrow[2];
        if (wide && !read_guest(v, &m, rbp, frame, sizeof(frame)))
            return;
        if (!wide && !read_guest(v, &m, (uint32_t)rbp, narrow, sizeof(narrow)))
            return;
        if (!wide)
            frame[0] = narrow[0], frame[1] = narrow[1];
        if (frame[1] == 0)
            return;
        add_frame(v, c, &m, frame[1]);
        if (frame[0] <= rbp)
            return;
        rbp = frame[0];
    }
}

void chain_at_end(struct Vcpu *v)
{
    if (v->state == GUEST_RUNS || v->chain.n > 0 || v->exit.event != GUEST_EV_DEAD)
        return;
    trace_action(v, false);
    walk_frames(v, &v->chain);
}

/* The chain of a guest that lives, and has no CPU now: its registers are borrowed. Its env is
 * locked, so it gets none meanwhile (kern/sched.c, check_taken). false: it has not run yet. */
static bool borrow_and_walk(struct Vcpu *v, struct GuestChain *c)
{
    if (!v->started || !backend->borrow(v))
        return false;
    walk_frames(v, c);
    backend->give_back(v);
    return true;
}

/* 0; -E_AGAIN: it has a CPU. */
static int chain_of_living(struct Vcpu *v, struct GuestChain *c)
{
    if (backend->turn_on() < 0)
        return 0;
    env_lock(v->env);
    bool runs = env_has_cpu(v->env);
    if (!runs && !borrow_and_walk(v, c))
        c->n = 0;
    env_unlock(v->env);
    return runs ? -E_AGAIN : 0;
}

/* Base name of a path, for messages. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void name_frame(const struct GuestChain *c, unsigned i, struct GuestFrame *f)
{
    struct RipInfo info;
    *f = (struct GuestFrame){ .rip = c->frames[i] };
    bool is_return = i > 0; /* which may be the first byte after the function that calls */
    if (!(c->known >> i & 1) || !debuginfo_rip(f->rip - is_return, &info))
        return;
    strlcpy(f->fn, info.fn, sizeof(f->fn));
    strlcpy(f->file, base_name(info.file), sizeof(f->file));
    f->line = info.line;
    f->offset = info.offset + is_return;
}

static int64_t copy_chain(const struct GuestChain *c, uintptr_t frames, size_t n)
{
    int64_t count = MIN(n, (size_t)c->n);
    for (int64_t i = 0; i < count; i++) {
        struct GuestFrame f;
        name_frame(c, i, &f);
        if (copyout(frames + i * sizeof(f), &f, sizeof(f)) < 0)
            return -E_FAULT;
    }
    return count;
}

int64_t sys_guest_backtrace(envid_t guest, uintptr_t frames, size_t n)
{
    struct Vcpu *v = guest_find(guest);
    if (!v)
        return -E_BAD_ENV;
    struct GuestChain living = { 0 };
    bool ended = v->doomed || v->chain.n > 0;
    int64_t r = ended ? 0 : chain_of_living(v, &living);
    if (r == 0)
        r = copy_chain(ended ? &v->chain : &living, frames, n);
    guest_close(v);
    return r;
}
