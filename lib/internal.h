/*
 * What the parts of libjos share with each other and not with programs.
 */
#ifndef JOS_LIB_INTERNAL_H
#define JOS_LIB_INTERNAL_H

#include <inc/lib.h>

/* The last pages of the UTEMP window have fixed uses; what is below is for short-lived mappings. */
#define TEMP_COW   ((void *)(UTEMP + UTEMP_SIZE - PGSIZE))     /* copy in the making: fork.c */
#define TEMP_STACK ((void *)(UTEMP + UTEMP_SIZE - 2 * PGSIZE)) /* argument page: spawn.c */
#define TEMP_LOAD  ((void *)(UTEMP + UTEMP_SIZE - 3 * PGSIZE)) /* page of a program: spawn.c */
#define FSIPC_PAGE ((union Fsipc *)(UTEMP + UTEMP_SIZE - 4 * PGSIZE)) /* requests: file.c */

#define PERM_RW (PTE_P | PTE_U | PTE_W | PTE_NX)

static inline bool is_mapped(uintptr_t va)
{
    return uvpt_entry(va) & PTE_P;
}

/* uvpt_entry for the windows UTEMP, FDTABLE and FDDATA, whose page table the stack has brought
 * along. */
static inline uint64_t low_entry(uintptr_t va)
{
    return *(const volatile uint64_t *)(UVPT + va / PGSIZE * sizeof(uint64_t));
}

static inline bool is_mapped_low(uintptr_t va)
{
    return low_entry(va) & PTE_P;
}

/* References to the frame that is mapped at va; 0 if none is. */
uint32_t page_refs(uintptr_t va);

/* lib/pgfault.c. _pgfault_upcall is in lib/pfentry.S and calls pgfault_dispatch. */
void _pgfault_upcall(void);
void pgfault_dispatch(struct UTrapframe *utf);
/* Handles write faults on copy-on-write pages; installed by fork in parent and child. */
void pgfault_use_cow(void);

/* lib/fork.c: map every PTE_SHARE page into the child with the same permission, except those that
 * have a bit of `without` (PTE_KEEP for a spawned program). */
int copy_shared_pages(envid_t child, uint64_t without);

/* ---- File descriptors ---- */

/* Operations of a kind of file. What is NULL is not supported. */
struct Dev {
    uint32_t dev_id; /* Fd.fd_dev_id */
    const char *dev_name;
    ssize_t (*dev_read)(struct Fd *fd, void *buf, size_t n);
    ssize_t (*dev_write)(struct Fd *fd, const void *buf, size_t n);
    int (*dev_stat)(struct Fd *fd, struct Stat *st);
    int (*dev_trunc)(struct Fd *fd, off_t size);
    bool dev_seekable;
};

extern const struct Dev devfile, devpipe, devcons;

static inline struct Fd *fd_page(int fd)
{
    return (struct Fd *)(FDTABLE + (uintptr_t)fd * PGSIZE);
}

static inline char *fd_data(const struct Fd *fd)
{
    return (char *)(FDDATA + ((uintptr_t)fd - FDTABLE));
}

static inline int fd_number(const struct Fd *fd)
{
    return ((uintptr_t)fd - FDTABLE) / PGSIZE;
}

/* The lowest unused descriptor page; nothing is mapped there yet. -E_MAX_OPEN. */
int fd_alloc(struct Fd **store);
/* The open descriptor with this number. -E_INVAL. */
int fd_lookup(int fdnum, struct Fd **store);
/* The open descriptor with this number and what it is. -E_INVAL; -E_PERM: it was opened in the mode
 * `but` (for a file the server finds that out; O_ACCMODE: any mode will do). */
int fd_dev(int fdnum, uint32_t but, struct Fd **fd, const struct Dev **dev);
/* A new descriptor of a kind other than a file, in *store. Nobody can write to its page.
 * -E_MAX_OPEN, -E_NO_MEM. */
int fd_make(const struct Dev *dev, uint32_t omode, struct Fd **store);
/* Unmap the descriptor page, then its data page. */
void fd_release(struct Fd *fd);

/* ---- syscall.c ---- */
/* A system call that brings a message, which the kernel leaves in registers. */
static inline int receiving_call(int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                                 uint64_t a5, struct IpcMessage *m)
{
    register uint64_t r10 asm("r10") = a4;
    register uint64_t r8 asm("r8") = a5;
    int ret;
    asm volatile("syscall"
                 : "=a"(ret), "+D"(a1), "+S"(a2), "+d"(a3)
                 : "a"(nr), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    if (ret == 0 && m)
        *m = (struct IpcMessage){ .value = a3, .perm = a1, .from = a2 };
    return ret;
}

/* lib/usage.c, in programs that have a usage: prints it if that is asked for, and ends. */
void help(int argc, char **argv) __attribute__((weak));

#endif
