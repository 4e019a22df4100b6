/*
 * Registers as gdb sees them: one table gives the target description (GDB manual, "Target
 * Descriptions", "i386 Features"), the order in `g` packets, and where each value is.
 */
#include <inc/gdbpacket.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/gdb/cpu.h>
#include <kern/gdb/regs.h>

enum Where {
    NOWHERE, /* the state of x87 belongs to envs and guests: gdb shows <unavailable> */
    FRAME,
    CPU,       /* struct GdbCpu */
    READ_ONLY, /* struct GdbCpu, and stays as it is */
};

struct Register {
    const char *name, *type;
    uint8_t where, size;
    uint16_t offset;
};

#define IN_FRAME(n, bytes, kind)                                   \
    {                                                              \
#n, kind, FRAME, bytes, offsetof(struct Trapframe, tf_##n) \
    }
#define GENERAL(n)  IN_FRAME(n, 8, "int64")
#define SELECTOR(n) IN_FRAME(n, 4, "int32")
#define IN_CPU(n, bytes, kind)                                 \
    {                                                          \
#n, kind, READ_ONLY, bytes, offsetof(struct GdbCpu, n) \
    }
#define X87(n)                        \
    {                                 \
        n, "i387_ext", NOWHERE, 10, 0 \
    }
#define X87_WORD(n)             \
    {                           \
        n, "int", NOWHERE, 4, 0 \
    }

static const struct Register core[] = {
    GENERAL(rax),
    GENERAL(rbx),
    GENERAL(rcx),
    GENERAL(rdx),
    GENERAL(rsi),
    GENERAL(rdi),
    IN_FRAME(rbp, 8, "data_ptr"),
    IN_FRAME(rsp, 8, "data_ptr"),
    GENERAL(r8),
    GENERAL(r9),
    GENERAL(r10),
    GENERAL(r11),
    GENERAL(r12),
    GENERAL(r13),
    GENERAL(r14),
    GENERAL(r15),
    IN_FRAME(rip, 8, "code_ptr"),
    { "eflags", "jos_eflags", FRAME, 4, offsetof(struct Trapframe, tf_rflags) },
    SELECTOR(cs),
    SELECTOR(ss),
    IN_CPU(ds, 4, "int32"),
    IN_CPU(es, 4, "int32"),
    IN_CPU(fs, 4, "int32"),
    IN_CPU(gs, 4, "int32"),
    X87("st0"),
    X87("st1"),
    X87("st2"),
    X87("st3"),
    X87("st4"),
    X87("st5"),
    X87("st6"),
    X87("st7"),
    X87_WORD("fctrl"),
    X87_WORD("fstat"),
    X87_WORD("ftag"),
    X87_WORD("fiseg"),
    X87_WORD("fioff"),
    X87_WORD("foseg"),
    X87_WORD("fooff"),
    X87_WORD("fop"),
};
static const struct Register segments[] = {
    IN_CPU(fs_base, 8, "int"),
    IN_CPU(gs_base, 8, "int"),
};
/* The names that QEMU's stub has, and the env (its id, 0: none) for conditions of breakpoints. */
static const struct Register system[] = {
    { "k_gs_base", "int64", READ_ONLY, 8, offsetof(struct GdbCpu, kernel_gs_base) },
    IN_CPU(cr0, 8, "int64"),
    IN_CPU(cr2, 8, "int64"),
    IN_CPU(cr3, 8, "int64"),
    IN_CPU(cr4, 8, "int64"),
    IN_CPU(efer, 8, "int64"),
    IN_CPU(env, 4, "int32"),
};

static const struct Feature {
    const char *name, *types;
    const struct Register *regs;
    size_t n;
} features[] = {
    { "org.gnu.gdb.i386.core",
      "<flags id='jos_eflags' size='4'><field name='CF' start='0' end='0'/>"
      "<field name='PF' start='2' end='2'/><field name='AF' start='4' end='4'/>"
      "<field name='ZF' start='6' end='6'/><field name='SF' start='7' end='7'/>"
      "<field name='TF' start='8' end='8'/><field name='IF' start='9' end='9'/>"
      "<field name='DF' start='10' end='10'/><field name='OF' start='11' end='11'/>"
      "<field name='NT' start='14' end='14'/><field name='RF' start='16' end='16'/>"
      "<field name='AC' start='18' end='18'/></flags>",
      core, ARRAY_SIZE(core) },
    { "org.gnu.gdb.i386.segments", "", segments, ARRAY_SIZE(segments) },
    { "org.jos.system", "", system, ARRAY_SIZE(system) },
};

/* Register n in the order of the table; NULL: there is none. */
static const struct Register *reg_at(size_t n)
{
    for (size_t f = 0; f < ARRAY_SIZE(features); f++) {
        if (n < features[f].n)
            return &features[f].regs[n];
        n -= features[f].n;
    }
    return NULL;
}

static void *place(struct GdbCpu *c, const struct Register *r)
{
    return (char *)(r->where == FRAME ? (void *)c->tf : (void *)c) + r->offset;
}

static void write_reg(struct GdbCpu *c, const struct Register *r)
{
    if (r->where != NOWHERE)
        gdb_put_hex(place(c, r), r->size);
    for (int i = 0; r->where == NOWHERE && i < r->size; i++)
        gdb_printf("xx");
}

void gdb_read_all(struct GdbCpu *c)
{
    const struct Register *r;

    gdb_begin();
    for (size_t n = 0; (r = reg_at(n)); n++)
        write_reg(c, r);
    gdb_end();
}

/* The frame's flags keep what gdb cannot see, bits 32 on; the others are written whole. */
static bool set(struct GdbCpu *c, const struct Register *r, const char *hex)
{
    uint8_t bytes[sizeof(uint64_t)];

    if (r->where != FRAME || !gdb_parse_bytes(&hex, bytes, r->size))
        return false;
    memcpy(place(c, r), bytes, r->size);
    return true;
}

void gdb_write_all(struct GdbCpu *c, const char *hex)
{
    const struct Register *r;
    size_t left = strlen(hex) / 2;

    for (size_t n = 0; (r = reg_at(n)) && left >= r->size; n++) {
        set(c, r, hex);
        hex += 2 * r->size;
        left -= r->size;
    }
    gdb_reply("OK");
}

void gdb_read_one(struct GdbCpu *c, const char *args)
{
    const struct Register *r = reg_at(gdb_number(&args));

    if (!r) {
        gdb_error(GDB_EINVAL);
        return;
    }
    gdb_begin();
    write_reg(c, r);
    gdb_end();
}

void gdb_write_one(struct GdbCpu *c, const char *args)
{
    const struct Register *r = reg_at(gdb_number(&args));

    if (r && *args == '=' && set(c, r, args + 1))
        gdb_reply("OK");
    else
        gdb_error(r ? GDB_EPERM : GDB_EINVAL);
}

#define READ_SELECTOR(c, name) asm("mov %%" #name ", %k0" : "=r"((c)->name))

void gdb_regs_note(struct GdbCpu *c, bool swapped)
{
    uint64_t here = rdmsr(MSR_GS_BASE), other = rdmsr(MSR_KERNEL_GS_BASE);

    c->cr0 = rcr0();
    c->cr2 = rcr2();
    c->cr3 = rcr3();
    c->cr4 = rcr4();
    c->efer = rdmsr(MSR_EFER);
    c->fs_base = rdmsr(MSR_FS_BASE);
    c->gs_base = swapped ? other : here;
    c->kernel_gs_base = swapped ? here : other;
    READ_SELECTOR(c, ds);
    READ_SELECTOR(c, es);
    READ_SELECTOR(c, fs);
    READ_SELECTOR(c, gs);
    c->env = curenv ? curenv->env_id : 0;
}

/* ---- The target description, of which gdb asks a part at a time ---- */

struct Window {
    size_t at, from, to;
};

static void put_in_window(int ch, void *arg)
{
    struct Window *w = arg;
    char c = (char)ch;

    if (w->at >= w->from && w->at < w->to)
        gdb_put_binary(&c, 1);
    w->at++;
}

static void describe(struct Window *w)
{
    printfmt(put_in_window, w,
             "<?xml version='1.0'?><!DOCTYPE target SYSTEM 'gdb-target.dtd'>"
             "<target><architecture>i386:x86-64</architecture>");
    for (const struct Feature *f = features; f < features + ARRAY_SIZE(features); f++) {
        printfmt(put_in_window, w, "<feature name='%s'>%s", f->name, f->types);
        for (const struct Register *r = f->regs; r < f->regs + f->n; r++)
            printfmt(put_in_window, w, "<reg name='%s' bitsize='%d' type='%s'/>", r->name,
                     r->size * 8, r->type);
        printfmt(put_in_window, w, "</feature>");
    }
    printfmt(put_in_window, w, "</target>");
}

void gdb_features(const char *args)
{
    struct Window all = { 0, 0, 0 }, w = { 0, 0, 0 };

    describe(&all);
    w.from = gdb_number(&args);
    args += *args == ',';
    w.to = w.from + MIN(gdb_number(&args), (uint64_t)GDB_PACKET_MAX / 4);
    gdb_begin();
    gdb_printf(w.to < all.at ? "m" : "l");
    describe(&w);
    gdb_end();
}
