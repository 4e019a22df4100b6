/*
 * String I/O: INS and OUTS, with and without REP. Each element is an exit of its own and looks to
 * the monitor like IN or OUT; between two elements the instruction is executed again, so interrupts
 * come in as on hardware. The CPU reports the linear address (SDM "Information for VM Exits Due to
 * Instruction Execution").
 */
#include <vmm/internal.h>

#define INFO_ADDRESS_SIZE(info) (((info) >> 7) & 3)
#define INFO_SEGMENT(info)      (((info) >> 15) & 7) /* of OUTS; INS always uses ES */
#define MASK_16BIT              0xfffful
#define SEG_ES                  0
#define SEG_SS                  2
#define SEG_FIELDS              2 /* from one segment's VMCS field to the next's */
#define CANONICAL_SHIFT         16

static const uint64_t address_masks[4] = { MASK_16BIT, UINT32_MAX, ~0ul, ~0ul };

/* Change a register as an instruction of this address size does: 16-bit ones keep the upper bits.
 */
static void advance(uint64_t *reg, int64_t delta, uint64_t mask)
{
    uint64_t kept = mask == MASK_16BIT ? *reg & ~mask : 0;
    *reg = kept | ((*reg + delta) & mask);
}

static bool is_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << CANONICAL_SHIFT) >> CANONICAL_SHIFT) == va;
}

/* Does the segment let an element of this size be at linear address va? SDM "Limit Checking", "Type
 * Checking"; in 64-bit mode, "Canonical Addressing". */
static bool segment_allows(int seg, uint64_t va, uint32_t size, bool write)
{
    if (guest_in_64bit())
        return is_canonical(va) && is_canonical(va + size - 1);
    uint32_t ar = vmread(VMCS_GUEST_ES_AR + SEG_FIELDS * seg);
    uint32_t limit = vmread(VMCS_GUEST_ES_LIMIT + SEG_FIELDS * seg);
    uint64_t first = (uint32_t)(va - vmread(VMCS_GUEST_ES_BASE + SEG_FIELDS * seg));
    uint64_t last = first + size - 1;
    bool code = ar & AR_CODE, read_write = ar & AR_READ_WRITE;
    if ((ar & AR_UNUSABLE) || (write ? code || !read_write : code && !read_write))
        return false;
    if (!code && (ar & AR_EXPAND_DOWN))
        return first > limit && last <= (ar & AR_DB ? UINT32_MAX : MASK_16BIT);
    return last <= limit;
}

/* Where byte i of the element is. false: a page fault has been injected, or the guest ended. */
static bool translate_byte(struct Guest *g, uint64_t va, uint32_t access, gpa_t *gpa)
{
    enum WalkResult r = guest_walk(g, va, access, gpa);
    if (r == WALK_UNKNOWN || (r == WALK_OK && !gmem_is_ram(g, *gpa, 1))) {
        guest_kill(g, "string I/O on port 0x%x with an address that is no memory, 0x%lx",
                   g->exit.io.port, va);
        return false;
    }
    if (r == WALK_OK)
        return true;
    lcr2(va);
    inject_fault(g, T_PGFLT,
                 access | (r == WALK_NOT_PRESENT ? 0 : FEC_PR) |
                     (r == WALK_RESERVED ? FEC_RSVD : 0));
    return false;
}

/* The tables' flags for the page of va. false: they have changed, and the instruction is to be
 * executed again, or the guest has ended. */
static bool mark_page(struct Guest *g, uint64_t va, uint32_t access)
{
    enum WalkResult r = guest_mark_access(g, va, access);
    if (r == WALK_UNKNOWN)
        guest_kill(g, "string I/O on port 0x%x with page tables that cannot be written, for 0x%lx",
                   g->exit.io.port, va);
    return r == WALK_OK;
}

/* Where the bytes of the element are: in one page or two. false: the access is not to be. */
static bool translate(struct Guest *g, uint64_t va, uint32_t access)
{
    struct StringIo *s = &g->string_io;
    for (uint32_t i = 0; i < s->size; i++) {
        if (i > 0 && PGOFF(va + i) != 0)
            s->gpa[i] = s->gpa[i - 1] + 1;
        else if (!translate_byte(g, va + i, access, &s->gpa[i]))
            return false;
    }
    uint64_t last = va + s->size - 1;
    return mark_page(g, va, access) && (PGOFF(last) >= s->size - 1 || mark_page(g, last, access));
}

/* One byte of the element, in guest memory. false: it cannot be accessed. */
static bool access_byte(struct Guest *g, gpa_t gpa, uint8_t *byte, bool write)
{
    size_t len = 1;
    void *hva;
    if (gmem_host(g, gpa, &len, write ? GMEM_WRITE : GMEM_READ, &hva) < 0)
        return false;
    if (write)
        *(uint8_t *)hva = *byte;
    else
        *byte = *(uint8_t *)hva;
    return true;
}

/* The element that OUTS writes. One that cannot be read ends the guest. */
static bool read_element(struct Guest *g)
{
    struct StringIo *s = &g->string_io;
    for (uint32_t i = 0; i < s->size; i++) {
        if (access_byte(g, s->gpa[i], (uint8_t *)&s->value + i, false))
            continue;
        guest_kill(g, "OUTS cannot access guest memory at 0x%lx", s->gpa[i]);
        return false;
    }
    return true;
}

bool handle_string_io(struct Guest *g)
{
    struct Trapframe *tf = &g->env->env_tf;
    struct StringIo s = { .size = g->exit.io.size, .rep = g->exit.qualification & QUAL_IO_REP };
    if (!vmx_caps.string_info) {
        guest_kill(g, "string I/O on port 0x%x at rip 0x%lx: this CPU does not report enough",
                   g->exit.io.port, vmread(VMCS_GUEST_RIP));
        return leave(g);
    }
    uint32_t info = vmread(VMCS_EXIT_INSTR_INFO);
    s.backwards = vmread(VMCS_GUEST_RFLAGS) & FL_DF;
    s.address_mask = address_masks[INFO_ADDRESS_SIZE(info)];
    uint64_t left = s.rep ? tf->tf_rcx & s.address_mask : 1;
    if (left == 0)
        return skip(g);
    uint64_t va = vmread(VMCS_GUEST_LINEAR_ADDRESS);
    int seg = g->exit.io.in ? SEG_ES : (int)INFO_SEGMENT(info);
    if (!segment_allows(seg, va, s.size, g->exit.io.in)) {
        inject_fault(g, seg == SEG_SS ? T_STACK : T_GPFLT, 0);
        return resume(g);
    }
    g->string_io = s;
    uint32_t user = AR_DPL(vmread(VMCS_GUEST_SS_AR)) == 3 ? FEC_U : 0;
    if (!translate(g, va, user | (g->exit.io.in ? FEC_WR : 0))) {
        g->string_io.size = 0;
        return resume(g);
    }
    if (!g->exit.io.in && !read_element(g))
        return leave(g);
    if (left > 1)
        set_resume_flag();
    return guest_stop(g, GUEST_EV_IO);
}

void answer_string_io(struct Guest *g, uint64_t value)
{
    struct Trapframe *tf = &g->env->env_tf;
    struct StringIo *s = &g->string_io;
    int64_t delta = s->backwards ? -(int64_t)s->size : (int64_t)s->size;
    for (uint32_t i = 0; i < s->size && g->exit.io.in; i++)
        if (!access_byte(g, s->gpa[i], (uint8_t *)&value + i, true))
            guest_doom(g, "INS cannot access guest memory");
    advance(g->exit.io.in ? &tf->tf_rdi : &tf->tf_rsi, delta, s->address_mask);
    if (s->rep)
        advance(&tf->tf_rcx, -1, s->address_mask);
    if (!s->rep || (tf->tf_rcx & s->address_mask) == 0)
        guest_attn(g, ATTN_SKIP);
    s->size = 0;
}
