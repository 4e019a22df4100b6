/*
 * Names for code addresses. conf/mksymtab makes a table from a linked program, which is linked in
 * after the other read-only data, so a program without debugging information still knows its
 * lines. The kernel's own table is trusted. A user program's lies in memory that the program may
 * have changed: everything is fetched piece by piece through its page tables, within the bounds of
 * a table, so that the worst it can cause is wrong names.
 */
#include <inc/memlayout.h>
#include <inc/string.h>
#include <kern/env.h>
#include <kern/kaddr.h>
#include <kern/kdebug.h>
#include <kern/pmap.h>

/*
 * The table. Offsets count from its begin, addresses are relative to base, names are offsets into
 * strings. A function's lines are numbers of variable length in a byte stream: for each change of
 * line how far the address advances, then the line's difference with the flags below, then with
 * LINE_FILE the index of its file.
 */
struct SymFunc {
    uint32_t start;
    uint32_t name;
    uint32_t lines; /* offset into the stream; it ends where the next function's begins */
};
struct Symtab {
    uint64_t base;
    uint32_t size;    /* of all, bytes */
    uint32_t nfuncs;  /* funcs has one more row, the end of the code */
    uint32_t funcs;   /* struct SymFunc, sorted by address */
    uint32_t lines;   /* the stream */
    uint32_t files;   /* uint32_t: names */
    uint32_t strings; /* terminated */
};
_Static_assert(sizeof(struct SymFunc) == 12 && sizeof(struct Symtab) == 32, "conf/mksymtab");

/* What a user program has at UTEXT (lib/user.ld). */
struct NamesHeader {
    char magic[8];
    uint64_t table; /* address of its struct Symtab */
};
#define NAMES_MAGIC "JOSNAMES"
#define SYMTAB_MAX  (128 * 1024u)

#define LINE_FILE     1
#define LINE_NEGATIVE 2
#define LINE_SHIFT    2
#define NUMBER_BITS   35 /* most that a number takes */

extern const struct Symtab symtab; /* kern/kernel.ld */
extern const char text_start[], text_end[];

/* Whose table, and where. */
struct Names {
    struct Symtab head;
    const struct Env *env; /* NULL: the kernel's */
    uintptr_t at;
};

bool user_peek(const struct Env *e, uintptr_t va, void *buf, size_t len)
{
    if (!e->env_pml4 || va >= UTOP || len > UTOP - va)
        return false;
    for (size_t n; len > 0; va += n, buf = (char *)buf + n, len -= n) {
        const uint64_t *pte = pml4_walk(e->env_pml4, va, false);
        if (!pte || (*pte & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
            return false;
        n = MIN(len, PGSIZE - PGOFF(va));
        memcpy(buf, (const char *)KADDR(PTE_ADDR(*pte)) + PGOFF(va), n);
    }
    return true;
}

/* Copy n bytes of the table. false: not all of them are there. */
static bool fetch(const struct Names *t, uint64_t offset, void *buf, size_t n)
{
    if (offset > t->head.size || n > t->head.size - offset)
        return false;
    if (t->env)
        return user_peek(t->env, t->at + offset, buf, n);
    memcpy(buf, (const char *)t->at + offset, n);
    return true;
}

static bool fetch_func(const struct Names *t, uint64_t index, struct SymFunc *f)
{
    return fetch(t, t->head.funcs + index * sizeof(*f), f, sizeof(*f));
}

/* The function that addr lies in, f[0]: the last that does not start above it; f[1] is the next
 * row. false: none. */
static bool find_func(const struct Names *t, uint32_t addr, struct SymFunc f[2])
{
    uint64_t lo = 0, hi = t->head.nfuncs;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (!fetch_func(t, mid, f))
            return false;
        if (f->start <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 && fetch_func(t, lo - 1, &f[0]) && fetch_func(t, lo, &f[1]) &&
           addr >= f[0].start && addr < f[1].start;
}

/* A number of variable length: seven bits a byte, the lowest first, bit 7 set in all but the last.
 */
static bool number(const struct Names *t, uint64_t *offset, uint32_t *value)
{
    *value = 0;
    for (int shift = 0; shift < NUMBER_BITS; shift += 7) {
        uint8_t byte;
        if (!fetch(t, (*offset)++, &byte, sizeof(byte)))
            return false;
        *value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Go through the function's lines up to the one that addr belongs to; *file is its name's offset.
 */
static bool find_line(const struct Names *t, const struct SymFunc f[2], uint32_t addr,
                      uint32_t *line, uint32_t *file)
{
    uint64_t at = (uint64_t)t->head.lines + f[0].lines, end = (uint64_t)t->head.lines + f[1].lines;
    uint32_t where = f[0].start, advance, change, index = 0;

    *line = 0;
    while (at < end && number(t, &at, &advance) && (where += advance) <= addr) {
        if (!number(t, &at, &change))
            return false;
        *line += change & LINE_NEGATIVE ? -(change >> LINE_SHIFT) : change >> LINE_SHIFT;
        if ((change & LINE_FILE) && !number(t, &at, &index))
            return false;
    }
    return fetch(t, t->head.files + (uint64_t)index * sizeof(*file), file, sizeof(*file));
}

bool debuginfo_rip(uint64_t rip, struct RipInfo *info)
{
    const struct Names t = { .head = symtab, .at = (uintptr_t)&symtab };
    const char *strings = (const char *)&symtab + symtab.strings;
    struct SymFunc f[2];
    uint32_t file;

    *info = (struct RipInfo){ .fn = "?", .file = "?" };
    if (rip < (uint64_t)text_start || rip >= (uint64_t)text_end)
        return false;
    if (find_func(&t, rip - symtab.base, f)) {
        info->fn = strings + f[0].name;
        info->offset = rip - symtab.base - f[0].start;
        if (find_line(&t, f, rip - symtab.base, &info->line, &file))
            info->file = strings + file;
    }
    return true;
}

/* ---- User programs ---- */

/* Find the program's table. false: it has none. */
static bool find_names(const struct Env *e, struct Names *t)
{
    struct NamesHeader header;

    if (!user_peek(e, UTEXT, &header, sizeof(header)) ||
        memcmp(header.magic, NAMES_MAGIC, sizeof(header.magic)) != 0)
        return false;
    t->env = e;
    t->at = header.table;
    return user_peek(e, t->at, &t->head, sizeof(t->head)) && t->head.size <= SYMTAB_MAX;
}

/* Copy a name, cut to what has room; "?" for what is not printable. */
static void fetch_name(const struct Names *t, uint32_t offset, char name[NAME_ROOM])
{
    size_t n = 0;

    for (; n < NAME_ROOM - 1; n++) {
        if (!fetch(t, (uint64_t)t->head.strings + offset + n, &name[n], 1) || name[n] == '\0')
            break;
        if (name[n] < ' ' || name[n] > '~')
            name[n] = '?';
    }
    name[n] = '\0';
    if (n == 0)
        strlcpy(name, "?", NAME_ROOM);
}

bool debuginfo_user(const struct Env *e, uint64_t rip, struct UserRip *info)
{
    struct Names t;
    struct SymFunc f[2];
    uint32_t file;

    *info = (struct UserRip){ .fn = "?", .file = "?" };
    if (!find_names(e, &t) || rip - t.head.base > UINT32_MAX ||
        !find_func(&t, rip - t.head.base, f))
        return false;
    fetch_name(&t, f[0].name, info->fn);
    info->offset = rip - t.head.base - f[0].start;
    if (find_line(&t, f, rip - t.head.base, &info->line, &file))
        fetch_name(&t, file, info->file);
    return true;
}
