/*
 * Names for code addresses. The table is made from the linked kernel by conf/mksymtab and
 * linked in behind the other read-only data, so a kernel without debugging information still knows
 * its lines.
 */
#include <inc/memlayout.h>
#include <kern/kdebug.h>

/* conf/mksymtab writes these; addresses are relative to KERNEL_VMA, names are offsets into
 * strings. */
struct SymFunc {
    uint32_t start;
    uint32_t name;
};
struct SymLine {
    uint32_t start; /* first address that belongs to the line */
    uint16_t file;  /* index into files */
    uint16_t line;  /* 0: not known */
};
struct Symtab {
    uint32_t nfuncs, nlines;
    const struct SymFunc *funcs; /* sorted by address, as are the lines */
    const struct SymLine *lines;
    const uint32_t *files;
    const char *strings;
};
_Static_assert(sizeof(struct SymFunc) == 8 && sizeof(struct SymLine) == 8, "conf/mksymtab");

extern const struct Symtab symtab; /* kern/kernel.ld */
extern const char text_start[], text_end[];

/* Index of the last of n 8-byte entries that start with a sorted 32-bit address not above addr;
 * -1: none. */
static int64_t find_last(const void *entries, uint32_t n, uint32_t addr)
{
    const uint32_t(*entry)[2] = entries;
    uint32_t lo = 0, hi = n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (entry[mid][0] <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (int64_t)lo - 1;
}

bool debuginfo_rip(uint64_t rip, struct RipInfo *info)
{
    *info = (struct RipInfo){ .fn = "?", .file = "?" };
    if (rip < (uint64_t)text_start || rip >= (uint64_t)text_end)
        return false;

    uint32_t addr = rip - KERNEL_VMA;
    int64_t f = find_last(symtab.funcs, symtab.nfuncs, addr);
    if (f >= 0) {
        info->fn = symtab.strings + symtab.funcs[f].name;
        info->offset = addr - symtab.funcs[f].start;
    }
    int64_t l = find_last(symtab.lines, symtab.nlines, addr);
    if (l >= 0 && symtab.lines[l].line > 0) {
        info->file = symtab.strings + symtab.files[symtab.lines[l].file];
        info->line = symtab.lines[l].line;
    }
    return true;
}
