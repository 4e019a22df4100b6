/*
 * Memory for gdb: addresses are translated in software by the page tables of the CPU that is looked
 * at, and reached through the direct map. So nothing faults, devices are not touched, and code that
 * is mapped read-only can be changed.
 */
#include <inc/string.h>
#include <kern/gdb/cpu.h>
#include <kern/gdb/mem.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>

struct Place {
    uint8_t *at;
    size_t left;     /* bytes to the end of the page */
    uint64_t rights; /* PTE_W and PTE_U, if all levels have them */
};

/* Follow tables from cr3 on. false: va is not mapped. */
static bool walk(physaddr_t cr3, uint64_t va, physaddr_t *pa, uint64_t *rights)
{
    physaddr_t table = PTE_ADDR(cr3);

    *rights = PTE_W | PTE_U;
    for (int level = 3; level >= 0; level--) {
        uint64_t pte = ((const uint64_t *)KADDR(table))[PTX(va, level)];
        uint64_t size = 1ul << (PGSHIFT + 9 * level);
        if (!(pte & PTE_P))
            return false;
        *rights &= pte;
        if (level == 0 || (level < 3 && (pte & PTE_PS))) {
            *pa = (PTE_ADDR(pte) & ~(size - 1)) | (va & (size - 1));
            return true;
        }
        table = PTE_ADDR(pte);
    }
    return false;
}

static bool find_memory(const struct GdbCpu *c, uint64_t va, struct Place *p)
{
    uint64_t ignored;
    physaddr_t pa, again;

    if (!is_canonical(va) || !walk(c->cr3, va, &pa, &p->rights))
        return false;
    /* Is it memory, which the direct map has? */
    if (pa >= KERNBASE_MAX || !walk(PADDR(kern_pml4), KERNBASE + pa, &again, &ignored))
        return false;
    p->at = KADDR(pa);
    p->left = PGSIZE - PGOFF(va);
    return true;
}

size_t gdb_mem_read(const struct GdbCpu *c, uint64_t va, void *buf, size_t n)
{
    struct Place p;
    size_t done = 0;

    while (done < n && find_memory(c, va + done, &p)) {
        size_t part = MIN(p.left, n - done);
        memcpy((char *)buf + done, p.at, part);
        done += part;
    }
    return done;
}

/* A page that user code may only read can be another env's, too. */
static int may_write(const struct GdbCpu *c, uint64_t va, size_t n)
{
    struct Place p;

    for (size_t done = 0; done < n; done += p.left) {
        if (!find_memory(c, va + done, &p))
            return GDB_EFAULT;
        if ((p.rights & (PTE_U | PTE_W)) == PTE_U)
            return GDB_EACCES;
    }
    return 0;
}

int gdb_mem_write(const struct GdbCpu *c, uint64_t va, const void *buf, size_t n)
{
    struct Place p;
    int error = may_write(c, va, n);

    for (size_t done = 0; error == 0 && done < n; done += p.left) {
        find_memory(c, va + done, &p);
        memcpy(p.at, (const char *)buf + done, MIN(p.left, n - done));
    }
    return error;
}
