/*
 * String I/O: INS and OUTS, with and without REP. Each element is an exit of its own and looks to
 * the monitor like IN or OUT; between two elements the instruction is executed again, so interrupts
 * come in as on hardware. The back end has decoded the instruction.
 */
#include <inc/x86.h>
#include <vmm/stop.h>
#include <vmm/kill.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/verdict.h>
#include <vmm/string_io.h>

#define MASK_16BIT 0xfffful

/* Change a register as an instruction of this address size does: 16-bit ones keep the upper bits.
 */
static void advance(uint64_t *reg, int64_t delta, uint64_t mask)
{
    uint64_t kept = mask == MASK_16BIT ? *reg & ~mask : 0;
    *reg = kept | ((*reg + delta) & mask);
}

/* Does the segment let an element of this size be at linear address va? SDM "Limit Checking", "Type
 * Checking"; in 64-bit mode, "Canonical Addressing". */
static bool segment_allows(const struct Segment *seg, bool wide, uint64_t va, uint32_t size,
                           bool write)
{
    if (wide)
        return is_canonical(va) && is_canonical(va + size - 1);
    uint32_t ar = seg->attributes;
    uint64_t first = (uint32_t)(va - seg->base), last = first + size - 1;
    bool code = ar & VSEG_CODE, read_write = ar & VSEG_READ_WRITE;
    if ((ar & VSEG_UNUSABLE) || (write ? code || !read_write : code && !read_write))
        return false;
    if (!code && (ar & VSEG_DOWN))
        return first > seg->limit && last <= (ar & VSEG_DB ? UINT32_MAX : MASK_16BIT);
    return last <= seg->limit;
}

/* Where byte i of the element is. false: a page fault has been injected, or the guest ended. */
static bool translate_byte(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access,
                           gpa_t *gpa)
{
    enum WalkResult r = guest_walk(v, m, va, access, gpa);
    if (r == WALK_UNKNOWN || (r == WALK_OK && !gmem_is_ram(v->vm, *gpa, 1))) {
        guest_kill(v, "string I/O on port 0x%x with an address that is not memory, 0x%lx",
                   v->exit.io.port, va);
        return false;
    }
    if (r == WALK_OK)
        return true;
    lcr2(va);
    backend->inject_fault(v, T_PGFLT, guest_fault_error(r, access));
    return false;
}

/* The tables' flags for the page of va. false: they have changed, and the instruction is to be
 * executed again, or the guest has ended. */
static bool mark_page(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access)
{
    enum WalkResult r = guest_mark_access(v, m, va, access);
    if (r == WALK_UNKNOWN)
        guest_kill(v, "string I/O on port 0x%x with page tables that cannot be written, for 0x%lx",
                   v->exit.io.port, va);
    return r == WALK_OK;
}

/* Where the bytes of the element are: in one page or two. false: the access is not to be. */
static bool translate(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access)
{
    struct StringIo *s = &v->string_io;
    for (uint32_t i = 0; i < s->size; i++) {
        if (i > 0 && PGOFF(va + i) != 0)
            s->gpa[i] = s->gpa[i - 1] + 1;
        else if (!translate_byte(v, m, va + i, access, &s->gpa[i]))
            return false;
    }
    uint64_t last = va + s->size - 1;
    return mark_page(v, m, va, access) &&
           (PGOFF(last) >= s->size - 1 || mark_page(v, m, last, access));
}

/* One byte of the element, in guest memory. false: it cannot be accessed. */
static bool access_byte(struct Vcpu *v, gpa_t gpa, uint8_t *byte, bool write)
{
    size_t len = 1;
    void *hva;
    if (gmem_host(v->vm, gpa, &len, write ? GMEM_WRITE : GMEM_READ, &hva) < 0)
        return false;
    if (write)
        *(uint8_t *)hva = *byte;
    else
        *byte = *(uint8_t *)hva;
    return true;
}

/* The element that OUTS writes. One that cannot be read ends the guest. */
static bool read_element(struct Vcpu *v)
{
    struct StringIo *s = &v->string_io;
    for (uint32_t i = 0; i < s->size; i++) {
        if (access_byte(v, s->gpa[i], (uint8_t *)&s->value + i, false))
            continue;
        guest_kill(v, "OUTS cannot access guest memory at 0x%lx", s->gpa[i]);
        return false;
    }
    return true;
}

/* The linear address of the element, from the register that points to it. */
static uint64_t element_address(const struct Vcpu *v, const struct Segment *seg, uint64_t mask,
                                bool wide, enum VcpuSegment n)
{
    const struct Trapframe *tf = &v->env->env_tf;
    uint64_t offset = (v->exit.io.in ? tf->tf_rdi : tf->tf_rsi) & mask;
    bool based = !wide || n == VSEG_FS || n == VSEG_GS;
    uint64_t va = offset + (based ? seg->base : 0);
    return wide ? va : (uint32_t)va;
}

enum Verdict string_io(struct Vcpu *v, const struct StringInsn *insn, const struct PagingMode *m,
                       bool *stop)
{
    struct Trapframe *tf = &v->env->env_tf;
    bool in = v->exit.io.in;
    enum VcpuSegment n = in ? VSEG_ES : insn->segment;
    struct Segment seg = backend->get_segment(v, n);
    struct StringIo s = {
        .size = v->exit.io.size,
        .rep = insn->rep,
        .backwards = m->rflags & FL_DF,
        .address_mask = insn->address_bytes == 8 ? ~0ul : (1ul << 8 * insn->address_bytes) - 1,
    };
    *stop = false;
    uint64_t left = s.rep ? tf->tf_rcx & s.address_mask : 1;
    if (left == 0)
        return DO_NEXT;
    uint64_t va = element_address(v, &seg, s.address_mask, insn->wide, n);
    if (!segment_allows(&seg, insn->wide, va, s.size, in)) {
        backend->inject_fault(v, n == VSEG_SS ? T_STACK : T_GPFLT, 0);
        return DO_AGAIN;
    }
    v->string_io = s;
    if (!translate(v, m, va, (insn->cpl == 3 ? FEC_U : 0) | (in ? FEC_WR : 0))) {
        v->string_io.size = 0;
        return DO_AGAIN;
    }
    if (!in && !read_element(v))
        return DO_LEAVE;
    *stop = true;
    return left > 1 ? DO_AGAIN : DO_LEAVE;
}

void string_io_answer(struct Vcpu *v, uint64_t value)
{
    struct Trapframe *tf = &v->env->env_tf;
    struct StringIo *s = &v->string_io;
    int64_t delta = s->backwards ? -(int64_t)s->size : (int64_t)s->size;
    for (uint32_t i = 0; i < s->size && v->exit.io.in; i++)
        if (!access_byte(v, s->gpa[i], (uint8_t *)&value + i, true))
            guest_doom(v, "INS cannot access guest memory");
    advance(v->exit.io.in ? &tf->tf_rdi : &tf->tf_rsi, delta, s->address_mask);
    if (s->rep)
        advance(&tf->tf_rcx, -1, s->address_mask);
    if (!s->rep || (tf->tf_rcx & s->address_mask) == 0)
        vcpu_attn(v, ATTN_SKIP);
    s->size = 0;
}
