/*
 * spawn: arguments and open files reach the program, and a file that is no proper executable is
 * refused whatever is wrong with it, leaving nothing behind.
 */
#include <inc/elf.h>
#include "test.h"

#define GOOD "/bin/true"
#define BAD  "/tmp/bad-elf"

static union {
    struct Elf64 elf;
    unsigned char bytes[64 * 1024];
} image;
static size_t image_size;

static void load_good(void)
{
    int fd = open(GOOD, O_RDONLY);
    CHECK(fd >= 0, "open: %e", fd);
    image_size = readn(fd, image.bytes, sizeof(image));
    close(fd);
    CHECK(image_size > sizeof(struct Elf64), "only %zu bytes", image_size);
}

static void write_image(size_t size)
{
    int fd = open(BAD, O_WRONLY | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, "open: %e", fd);
    CHECK_IS(write(fd, image.bytes, size), size);
    close(fd);
}

/* First loadable segment with the wanted flag. */
static struct Proghdr64 *segment(uint32_t flag)
{
    struct Proghdr64 *ph = (struct Proghdr64 *)(image.bytes + image.elf.e_phoff);
    for (int i = 0; i < image.elf.e_phnum; i++)
        if (ph[i].p_type == ELF_PT_LOAD && (ph[i].p_flags & flag))
            return &ph[i];
    return ph;
}

static void bad_magic(void)
{
    image.elf.e_magic ^= 1;
}

static void class_32(void)
{
    image.elf.e_class = ELF_CLASS_32;
}

static void big_endian(void)
{
    image.elf.e_data = ELF_DATA_LSB + 1;
}

static void not_exec(void)
{
    image.elf.e_type = ELF_TYPE_EXEC + 1;
}

static void other_machine(void)
{
    image.elf.e_machine = ELF_MACH_386;
}

static void no_headers(void)
{
    image.elf.e_phnum = 0;
}

static void many_headers(void)
{
    image.elf.e_phnum = 65535;
}

static void header_size(void)
{
    image.elf.e_phentsize = 32;
}

static void headers_far(void)
{
    image.elf.e_phoff = 1ul << 62;
}

static void headers_wrap(void)
{
    image.elf.e_phoff = ~0ul - 10;
}

static void entry_outside(void)
{
    image.elf.e_entry = 0x1000;
}

static void entry_in_data(void)
{
    image.elf.e_entry = segment(ELF_PF_W)->p_vaddr;
}

static void kernel_address(void)
{
    segment(ELF_PF_X)->p_vaddr = KERNBASE;
}

static void over_stack(void)
{
    segment(ELF_PF_X)->p_vaddr = USTACKTOP - PGSIZE;
}

static void too_high(void)
{
    segment(ELF_PF_X)->p_vaddr = UTOP - PGSIZE;
    segment(ELF_PF_X)->p_memsz = 2 * PGSIZE;
}

static void wraps_around(void)
{
    segment(ELF_PF_W)->p_memsz = ~0ul - 100;
}

static void file_larger(void)
{
    segment(ELF_PF_X)->p_filesz = segment(ELF_PF_X)->p_memsz + 1;
}

static void beyond_file(void)
{
    segment(ELF_PF_X)->p_offset += 1ul << 20;
}

static void offset_wraps(void)
{
    segment(ELF_PF_X)->p_offset = ~0ul - PGSIZE + 1;
}

static void unaligned(void)
{
    segment(ELF_PF_X)->p_offset += 1;
}

static void overlapping(void)
{
    segment(ELF_PF_W)->p_vaddr = segment(ELF_PF_X)->p_vaddr;
}

static void write_and_execute(void)
{
    segment(ELF_PF_X)->p_flags |= ELF_PF_W;
}

static const struct {
    const char *name;
    void (*spoil)(void);
} spoilers[] = {
    { "bad magic number", bad_magic },
    { "32-bit class", class_32 },
    { "big endian", big_endian },
    { "not an executable", not_exec },
    { "another machine", other_machine },
    { "no program headers", no_headers },
    { "65535 program headers", many_headers },
    { "program headers of another size", header_size },
    { "program headers beyond the file", headers_far },
    { "program header offset that wraps", headers_wrap },
    { "entry point outside", entry_outside },
    { "entry point in data", entry_in_data },
    { "segment in the kernel", kernel_address },
    { "segment over the stack", over_stack },
    { "segment beyond user space", too_high },
    { "segment size that wraps", wraps_around },
    { "more bytes in the file than in memory", file_larger },
    { "segment beyond the file", beyond_file },
    { "segment offset that wraps", offset_wraps },
    { "segment at an unaligned offset", unaligned },
    { "overlapping segments", overlapping },
    { "segment both writable and executable", write_and_execute },
};

static void check_refused(const char *what)
{
    envid_t child = spawnl(BAD, "bad", NULL);
    if (child > 0)
        wait(child);
    CHECK(child == -E_NOT_EXEC, "%s: %e", what, child);
}

static void bad_files(void)
{
    struct SysInfo before, after;

    for (size_t round = 0; round < 2; round++) {
        sys_sysinfo(&before);
        for (size_t i = 0; i < ARRAY_SIZE(spoilers); i++) {
            load_good();
            spoilers[i].spoil();
            write_image(image_size);
            check_refused(spoilers[i].name);
        }
        sys_sysinfo(&after);
    }
    CHECK_IS(after.envs_used, before.envs_used);
    remove(BAD);
}

/* A huge bss that memory cannot hold. */
static void no_memory(void)
{
    struct SysInfo before, after;

    load_good();
    segment(ELF_PF_W)->p_memsz = 1ul << 38;
    write_image(image_size);
    sys_sysinfo(&before);
    CHECK_IS(spawnl(BAD, "bad", NULL), -E_NO_MEM);
    sys_sysinfo(&after);
    CHECK(after.pages_free + 16 >= before.pages_free, "%ld pages are missing",
          (long)(before.pages_free - after.pages_free));
    remove(BAD);
}

static void truncated(void)
{
    static const size_t sizes[] = { 0, 1, 63, 64, 100, 4096, 4097 };
    load_good();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        write_image(sizes[i]);
        check_refused("truncated file");
    }
    remove(BAD);
}

static void no_file(void)
{
    CHECK_IS(spawnl("/bin/none", "none", NULL), -E_NOT_FOUND);
    CHECK_IS(spawnl("/bin", "bin", NULL), -E_IS_DIR);
    CHECK_IS(spawnl("/README/x", "x", NULL), -E_NOT_DIR);
}

static void arguments(void)
{
    envid_t child = spawnl("/bin/test-spawn", "name", "--arguments", "a", "", "b c", NULL);
    CHECK(child > 0, "spawn: %e", child);
    CHECK(wait(child) == 0, "the arguments arrived wrong");
}

static int check_arguments(int argc, char **argv)
{
    bool ok = argc == 5 && strcmp(argv[0], "name") == 0 && strcmp(argv[2], "a") == 0 &&
              strcmp(argv[3], "") == 0 && strcmp(argv[4], "b c") == 0 && !argv[5] &&
              (uintptr_t)__builtin_frame_address(0) % 16 == 0;
    return !ok;
}

static void too_many_arguments(void)
{
    static char big[PGSIZE];
    static const char *argv[2000];

    memset(big, 'x', sizeof(big) - 1);
    CHECK_IS(spawnl(GOOD, "true", big, NULL), -E_TOO_BIG);
    for (size_t i = 0; i + 1 < ARRAY_SIZE(argv); i++)
        argv[i] = "x";
    CHECK_IS(spawn(GOOD, argv), -E_TOO_BIG);
}

/* The program gets the open files, but not those that are kept. */
static void open_files(void)
{
    int fds[2];
    char c = 0;
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(dup(fds[1], 20), 20);
    fd_keep(fds[0]);
    fd_keep(fds[1]);
    envid_t child = spawnl("/bin/test-spawn", "test-spawn", "--files", NULL);
    CHECK(child > 0, "spawn: %e", child);
    CHECK(wait(child) == 0, "the open files arrived wrong");
    CHECK_IS(read(fds[0], &c, 1), 1);
    CHECK_IS(c, '!');
    close(20);
    close(fds[1]);
    CHECK_IS(read(fds[0], &c, 1), 0);
    close(fds[0]);
}

static int check_files(void)
{
    int open_ones = 0;
    for (int fd = 3; fd < MAXFD; fd++)
        open_ones += (uvpt_entry(FDTABLE + fd * PGSIZE) & PTE_P) != 0;
    return open_ones == 1 && write(20, "!", 1) == 1 ? 0 : 1;
}

static const struct Test tests[] = {
    { "arguments", arguments },   { "too-many-arguments", too_many_arguments },
    { "open-files", open_files }, { "no-file", no_file },
    { "truncated", truncated },   { "bad-files", bad_files },
    { "no-memory", no_memory },
};

int umain(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--arguments") == 0)
        return check_arguments(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--files") == 0)
        return check_files();
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
