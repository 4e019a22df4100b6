/*
 * Starting a program from a file: a new env gets the segments of an ELF64 executable, a stack with
 * the arguments, and the pages that are shared with children (open files). The file is not trusted:
 * whatever it says, the result is a program below UTOP or an error, and then nothing is left
 * behind.
 */
#include <inc/elf.h>
#include "internal.h"

/* The stack is mapped whole when the program starts, so that system calls can use buffers on it
 * that were never touched; below it nothing is mapped, and overflow is a page fault. */
#define STACK_SIZE (64 * 1024)
#define MAX_PHDRS  16
#define MAX_ARGS   128

struct Image {
    int fd;
    uint64_t entry;
    int nphdrs;
    struct Proghdr64 ph[MAX_PHDRS];
};

/* ---- Reading and checking ---- */

static bool header_ok(const struct Elf64 *elf)
{
    return elf->e_magic == ELF_MAGIC && elf->e_class == ELF_CLASS_64 &&
           elf->e_data == ELF_DATA_LSB && elf->e_type == ELF_TYPE_EXEC &&
           elf->e_machine == ELF_MACH_AMD64 && elf->e_phentsize == sizeof(struct Proghdr64) &&
           elf->e_phnum > 0 && elf->e_phnum <= MAX_PHDRS;
}

/* A segment that is in the file and in the program's part of the address space. */
static bool segment_ok(const struct Proghdr64 *ph, off_t file_size)
{
    uint64_t size = file_size;

    return ph->p_filesz <= ph->p_memsz && ph->p_offset <= size &&
           ph->p_filesz <= size - ph->p_offset && ph->p_vaddr >= UTEXT && ph->p_vaddr < UTOP &&
           ph->p_memsz <= UTOP - ph->p_vaddr && PGOFF(ph->p_vaddr) == PGOFF(ph->p_offset) &&
           !((ph->p_flags & ELF_PF_W) && (ph->p_flags & ELF_PF_X));
}

static uintptr_t first_page(const struct Proghdr64 *ph)
{
    return ROUNDDOWN(ph->p_vaddr, PGSIZE);
}

static uintptr_t end_page(const struct Proghdr64 *ph)
{
    return ROUNDUP(ph->p_vaddr + ph->p_memsz, PGSIZE);
}

/* No page may belong to two segments, and the entry point must be in an executable one. */
static bool layout_ok(const struct Image *im)
{
    bool entry_found = false;

    for (int i = 0; i < im->nphdrs; i++) {
        const struct Proghdr64 *a = &im->ph[i];
        for (int j = 0; j < i; j++) {
            const struct Proghdr64 *b = &im->ph[j];
            if (first_page(a) < end_page(b) && first_page(b) < end_page(a))
                return false;
        }
        if ((a->p_flags & ELF_PF_X) && im->entry >= a->p_vaddr &&
            im->entry < a->p_vaddr + a->p_memsz)
            entry_found = true;
    }
    return entry_found;
}

/* Keep the loadable segments, drop the other program headers. */
static void keep_loadable(struct Image *im, int nphdrs)
{
    im->nphdrs = 0;
    for (int i = 0; i < nphdrs; i++)
        if (im->ph[i].p_type == ELF_PT_LOAD && im->ph[i].p_memsz > 0)
            im->ph[im->nphdrs++] = im->ph[i];
}

/* Read exactly n bytes at offset; a file that ends before is not an executable. */
static int read_at(int fd, off_t offset, void *buf, size_t n)
{
    int r = seek(fd, offset);
    if (r < 0)
        return r;
    ssize_t got = readn(fd, buf, n);
    if (got < 0)
        return got;
    return (size_t)got == n ? 0 : -E_NOT_EXEC;
}

/* Program headers usually follow the ELF header: one read gets both. */
static int read_headers(int fd, struct Image *im, int *nphdrs)
{
    struct {
        struct Elf64 elf;
        struct Proghdr64 ph[MAX_PHDRS];
    } head;
    ssize_t n = readn(fd, &head, sizeof(head));

    if (n < 0)
        return n;
    if (n < (ssize_t)sizeof(head.elf) || !header_ok(&head.elf))
        return -E_NOT_EXEC;
    size_t size = head.elf.e_phnum * sizeof(struct Proghdr64);
    im->entry = head.elf.e_entry;
    *nphdrs = head.elf.e_phnum;
    if (head.elf.e_phoff == sizeof(head.elf) && (size_t)n >= sizeof(head.elf) + size) {
        memcpy(im->ph, head.ph, size);
        return 0;
    }
    if (head.elf.e_phoff > INT64_MAX)
        return -E_NOT_EXEC;
    return read_at(fd, head.elf.e_phoff, im->ph, size);
}

static int check_image(struct Image *im)
{
    struct Stat st;
    int nphdrs = 0, r = fstat(im->fd, &st);

    if (r < 0)
        return r;
    if (st.st_isdir)
        return -E_IS_DIR;
    if ((r = read_headers(im->fd, im, &nphdrs)) < 0)
        return r;
    keep_loadable(im, nphdrs);
    for (int i = 0; i < im->nphdrs; i++)
        if (!segment_ok(&im->ph[i], st.st_size))
            return -E_NOT_EXEC;
    return layout_ok(im) ? 0 : -E_NOT_EXEC;
}

/* ---- Memory of the child ---- */

static uint64_t segment_perm(const struct Proghdr64 *ph)
{
    return PTE_P | PTE_U | (ph->p_flags & ELF_PF_W ? PTE_W : 0) |
           (ph->p_flags & ELF_PF_X ? 0 : PTE_NX);
}

/* The page at va, of which the file has [from, to). */
static int load_page(envid_t child, const struct Image *im, const struct Proghdr64 *ph,
                     uintptr_t va, uintptr_t from, uintptr_t to)
{
    int r = sys_page_alloc(0, TEMP_LOAD, PERM_RW);
    if (r < 0)
        return r;
    r = read_at(im->fd, ph->p_offset + (from - ph->p_vaddr), (char *)TEMP_LOAD + (from - va),
                to - from);
    if (r == 0)
        r = sys_page_map(0, TEMP_LOAD, child, (void *)va, segment_perm(ph));
    sys_page_unmap(0, TEMP_LOAD);
    return r;
}

static int load_segment(envid_t child, const struct Image *im, const struct Proghdr64 *ph)
{
    uintptr_t file_end = ph->p_vaddr + ph->p_filesz;

    for (uintptr_t va = first_page(ph); va < end_page(ph); va += PGSIZE) {
        uintptr_t from = MAX(va, (uintptr_t)ph->p_vaddr), to = MIN(va + PGSIZE, file_end);
        int r = from < to ? load_page(child, im, ph, va, from, to)
                          : sys_page_alloc(child, (void *)va, segment_perm(ph));
        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * Arguments take the top page of the stack:
 *     USTACKTOP  strings, argv[argc] = NULL ... argv[0]   <- RSP, 16-byte aligned
 * Builds it in page; returns argc, or -E_TOO_BIG. *rsp becomes the child's stack pointer.
 */
static int build_args(char *page, const char **argv, uintptr_t *rsp)
{
    const uintptr_t delta = USTACKTOP - PGSIZE - (uintptr_t)page;
    size_t argc = 0, size = 0;

    for (; argv[argc]; argc++) {
        size += strlen(argv[argc]) + 1;
        if (argc >= MAX_ARGS || size > PGSIZE / 2)
            return -E_TOO_BIG;
    }
    char *str = page + PGSIZE - size;
    uintptr_t *vec = (uintptr_t *)ROUNDDOWN((uintptr_t)str - (argc + 1) * sizeof(*vec), 16);
    *rsp = (uintptr_t)vec + delta;
    for (size_t i = 0; i < argc; i++) {
        vec[i] = (uintptr_t)str + delta;
        str += strlcpy(str, argv[i], page + PGSIZE - str) + 1;
    }
    vec[argc] = 0;
    return argc;
}

/* Map the stack, put the arguments there, and set the child's registers. */
static int load_stack(envid_t child, const char **argv, uint64_t entry)
{
    struct Trapframe tf = { .tf_rip = entry };
    void *top = (void *)(USTACKTOP - PGSIZE);
    int r = sys_page_alloc(0, TEMP_STACK, PERM_RW);
    if (r < 0)
        return r;
    int argc = build_args(TEMP_STACK, argv, &tf.tf_rsp);
    r = argc < 0 ? argc : sys_page_map(0, TEMP_STACK, child, top, PERM_RW);
    sys_page_unmap(0, TEMP_STACK);

    for (uintptr_t va = USTACKTOP - STACK_SIZE; r == 0 && va < (uintptr_t)top; va += PGSIZE)
        r = sys_page_alloc(child, (void *)va, PERM_RW);
    if (r < 0)
        return r;
    tf.tf_rdi = argc;
    tf.tf_rsi = tf.tf_rsp;
    return sys_env_set_trapframe(child, &tf);
}

/* Make the child the program of im; it runs when this returns 0. */
static int fill_child(envid_t child, const struct Image *im, const char *name, const char **argv)
{
    const char *slash = strrchr(name, '/');
    int r = sys_env_set_name(child, slash ? slash + 1 : name);

    for (int i = 0; r == 0 && i < im->nphdrs; i++)
        r = load_segment(child, im, &im->ph[i]);
    if (r == 0)
        r = load_stack(child, argv, im->entry);
    if (r == 0)
        r = copy_shared_pages(child, PTE_KEEP);
    return r < 0 ? r : sys_env_set_status(child, ENV_RUNNABLE);
}

envid_t spawn(const char *path, const char **argv)
{
    struct Image im;
    envid_t child;

    im.fd = open(path, O_RDONLY);
    if (im.fd < 0)
        return im.fd;
    /* The program itself is not among the files that it inherits. */
    int r = fd_keep(im.fd);
    if (r == 0)
        r = check_image(&im);
    if (r < 0)
        goto out;
    child = sys_exofork();
    if (child < 0) {
        r = child;
        goto out;
    }
    r = fill_child(child, &im, path, argv);
    if (r < 0) {
        sys_env_destroy(child);
        sys_env_wait(child, NULL, false);
    } else {
        r = child;
    }
out:
    close(im.fd);
    return r;
}

envid_t spawnl(const char *path, const char *arg0, ...)
{
    const char *argv[MAX_ARGS + 1];
    int argc = 0;
    va_list ap;

    va_start(ap, arg0);
    for (const char *arg = arg0; arg && argc < MAX_ARGS; arg = va_arg(ap, const char *))
        argv[argc++] = arg;
    va_end(ap);
    argv[argc] = NULL;
    return spawn(path, argv);
}
