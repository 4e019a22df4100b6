/*
 * Names for code addresses. The table is made from the linked kernel by conf/mksymtab and
 * linked in behind the other read-only data, so a kernel without debugging information still knows
 * its lines.
 */
#include <inc/memlayout.h>
#include <kern/kdebug.h>

/*
 * conf/mksymtab writes these. Addresses are relative to KERNEL_VMA, names are offsets into strings.
 * A function's lines are numbers of variable length in a byte stream: for each change of line how
 * far the address advances, then the line's difference with the flags below, then with LINE_FILE
 * the index of its file.
 */
struct SymFunc {
    uint32_t start;
    uint32_t name;
    uint32_t lines; /* offset into the stream; it ends where the next function's begins */
};
struct Symtab {
    uint64_t nfuncs;
    const struct SymFunc *funcs; /* sorted by address, and one more that is the end */
    const uint8_t *lines;
    const uint32_t *files; /* names */
    const char *strings;
};
_Static_assert(sizeof(struct SymFunc) == 12 && sizeof(struct Symtab) == 40, "conf/mksymtab");

#define LINE_FILE     1
#define LINE_NEGATIVE 2
#define LINE_SHIFT    2

extern const struct Symtab symtab; /* kern/kernel.ld */
extern const char text_start[], text_end[];

/* The function that addr lies in: the last that does not start above it. NULL: none. */
static const struct SymFunc *find_func(uint32_t addr)
{
    uint64_t lo = 0, hi = symtab.nfuncs;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (symtab.funcs[mid].start <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 ? &symtab.funcs[lo - 1] : NULL;
}

/* A number of variable length: seven bits a byte, the lowest first, bit 7 set in all but the last.
 */
static uint32_t number(const uint8_t **p)
{
    uint32_t v = 0;

    for (int shift = 0;; shift += 7) {
        uint8_t byte = *(*p)++;
        v |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

/* Go through the function's lines up to the one that addr belongs to. */
static void find_line(const struct SymFunc *f, uint32_t addr, struct RipInfo *info)
{
    const uint8_t *p = symtab.lines + f[0].lines, *end = symtab.lines + f[1].lines;
    uint32_t at = f->start, line = 0, file = 0;

    while (p < end && (at += number(&p)) <= addr) {
        uint32_t change = number(&p), difference = change >> LINE_SHIFT;
        line += change & LINE_NEGATIVE ? -difference : difference;
        if (change & LINE_FILE)
            file = number(&p);
    }
    info->line = line;
    info->file = symtab.strings + symtab.files[file];
}

bool debuginfo_rip(uint64_t rip, struct RipInfo *info)
{
    *info = (struct RipInfo){ .fn = "?", .file = "?" };
    if (rip < (uint64_t)text_start || rip >= (uint64_t)text_end)
        return false;

    uint32_t addr = rip - KERNEL_VMA;
    const struct SymFunc *f = find_func(addr);
    if (f) {
        info->fn = symtab.strings + f->name;
        info->offset = addr - f->start;
        find_line(f, addr, info);
    }
    return true;
}
