/*
 * Registers as gdb numbers them: one table gives the description that gdb reads, and where each is
 * in struct GuestDebugRegs (SDM "FXSAVE Area" for those of x87 and SSE).
 */
#include "gdb.h"

#define AT(member)       offsetof(struct GuestDebugRegs, member)
#define GPR(member)      offsetof(struct GuestDebugRegs, gpr.member)
#define FPU(offset)      (offsetof(struct GuestDebugRegs, fpu) + (offset))
#define FPU_ST(i)        FPU(32 + 16 * (i))
#define FPU_XMM(i)       FPU(160 + 16 * (i))
#define FPU_TAG          FPU(4)
#define TAG_EMPTY        3
#define DESCRIPTION_SIZE 6144

enum Access {
    RW,
    RO,
};

static const struct Reg {
    const char *feature; /* a new one begins; NULL: as the one before */
    const char *name, *type;
    uint16_t size;   /* bytes for gdb */
    uint16_t offset; /* in struct GuestDebugRegs */
    uint8_t have;    /* bytes there; the rest is zero */
    uint8_t access;  /* enum Access */
} regs[] = {
#define R64(name, type)                        \
    {                                          \
        NULL, #name, type, 8, GPR(name), 8, RW \
    }
#define SEG(name)                                \
    {                                            \
        NULL, #name, "int32", 4, AT(name), 2, RO \
    }
#define SYS(name, member, access)                     \
    {                                                 \
        NULL, name, "int64", 8, AT(member), 8, access \
    }
#define X87(name, offset, have)                     \
    {                                               \
        NULL, name, "int", 4, FPU(offset), have, RW \
    }
#define ST(i)                                            \
    {                                                    \
        NULL, "st" #i, "i387_ext", 10, FPU_ST(i), 10, RW \
    }
#define XMM(i)                                            \
    {                                                     \
        NULL, "xmm" #i, "uint128", 16, FPU_XMM(i), 16, RW \
    }
    { "org.gnu.gdb.i386.core", "rax", "int64", 8, GPR(rax), 8, RW },
    R64(rbx, "int64"),
    R64(rcx, "int64"),
    R64(rdx, "int64"),
    R64(rsi, "int64"),
    R64(rdi, "int64"),
    R64(rbp, "data_ptr"),
    R64(rsp, "data_ptr"),
    R64(r8, "int64"),
    R64(r9, "int64"),
    R64(r10, "int64"),
    R64(r11, "int64"),
    R64(r12, "int64"),
    R64(r13, "int64"),
    R64(r14, "int64"),
    R64(r15, "int64"),
    R64(rip, "code_ptr"),
    { NULL, "eflags", "i386_eflags", 4, GPR(rflags), 4, RW },
    SEG(cs),
    SEG(ss),
    SEG(ds),
    SEG(es),
    SEG(fs),
    SEG(gs),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    X87("fctrl", 0, 2),
    X87("fstat", 2, 2),
    X87("ftag", 4, 1),
    X87("fiseg", 12, 2),
    X87("fioff", 8, 4),
    X87("foseg", 20, 2),
    X87("fooff", 16, 4),
    X87("fop", 6, 2),
    { "org.gnu.gdb.i386.sse", "xmm0", "uint128", 16, FPU_XMM(0), 16, RW },
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    X87("mxcsr", 24, 4),
    { "org.gnu.gdb.i386.segments", "fs_base", "int64", 8, AT(fs_base), 8, RW },
    SYS("gs_base", gs_base, RW),
    { "org.jos.guest.system", "k_gs_base", "int64", 8, AT(kernel_gs_base), 8, RW },
    SYS("cr0", cr0, RO),
    SYS("cr2", cr2, RW),
    SYS("cr3", cr3, RW),
    SYS("cr4", cr4, RO),
    SYS("cr8", cr8, RO),
    SYS("efer", efer, RO),
};

static const struct {
    const char *name;
    unsigned bit;
} flags[] = {
    { "CF", 0 },  { "PF", 2 },  { "AF", 4 },  { "ZF", 6 },  { "SF", 7 },
    { "TF", 8 },  { "IF", 9 },  { "DF", 10 }, { "OF", 11 }, { "NT", 14 },
    { "RF", 16 }, { "VM", 17 }, { "AC", 18 }, { "ID", 21 },
};

static struct {
    char text[DESCRIPTION_SIZE];
    size_t len;
} description;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    description.len += vsnprintf(description.text + description.len,
                                 sizeof(description.text) - description.len, fmt, ap);
    va_end(ap);
}

static void describe(void)
{
    add("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
        "<architecture>i386:x86-64</architecture>");
    for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
        if (regs[i].feature)
            add("%s<feature name=\"%s\">", i ? "</feature>" : "", regs[i].feature);
        if (i == 0) {
            add("<flags id=\"i386_eflags\" size=\"4\">");
            for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
                add("<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[f].name, flags[f].bit,
                    flags[f].bit);
            add("</flags>");
        }
        add("<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", regs[i].name, regs[i].size * 8,
            regs[i].type);
    }
    add("</feature></target>");
}

const char *regs_description(size_t *len)
{
    if (description.len == 0)
        describe();
    *len = description.len;
    return description.text;
}

/* FXSAVE keeps one bit a register, 1: in use; gdb wants the two bits of FSAVE. */
static uint32_t full_tags(uint8_t in_use)
{
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if (!(in_use >> i & 1))
            tags |= TAG_EMPTY << 2 * i;
    return tags;
}

static uint8_t short_tags(uint32_t tags)
{
    uint8_t in_use = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & TAG_EMPTY) != TAG_EMPTY)
            in_use |= 1 << i;
    return in_use;
}

bool regs_put(const struct GuestDebugRegs *r, unsigned n)
{
    uint8_t bytes[16] = { 0 };
    if (n >= ARRAY_SIZE(regs))
        return false;
    const uint8_t *from = (const uint8_t *)r + regs[n].offset;
    memcpy(bytes, from, regs[n].have);
    if (regs[n].offset == FPU_TAG)
        *(uint32_t *)bytes = full_tags(*from);
    gdb_put_hex(bytes, regs[n].size);
    return true;
}

bool regs_set(struct GuestDebugRegs *r, unsigned n, const char **s)
{
    uint8_t bytes[16];
    if (n >= ARRAY_SIZE(regs) || !gdb_parse_bytes(s, bytes, regs[n].size))
        return false;
    uint8_t *to = (uint8_t *)r + regs[n].offset;
    if (regs[n].access == RO)
        return memcmp(to, bytes, regs[n].have) == 0;
    if (regs[n].offset == FPU_TAG)
        *to = short_tags(*(uint32_t *)bytes);
    else
        memcpy(to, bytes, regs[n].have);
    return true;
}
