/*
 * Faults: whatever exception a program causes ends that program and no other, with the status for
 * it; and page-fault upcalls work, also when the handler faults itself.
 */
#include "test.h"

#define PERM_RW ((uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX))

/* ---- Exceptions that end the program ---- */

static void divide(void)
{
    asm volatile("xorl %%ecx,%%ecx; movl $1,%%eax; cltd; idivl %%ecx" : : : "eax", "ecx", "edx");
}

static void divide_overflow(void)
{
    asm volatile("movl $-1,%%ecx; movl $0x80000000,%%eax; cltd; idivl %%ecx"
                 :
                 :
                 : "eax", "ecx", "edx");
}

static void breakpoint(void)
{
    asm volatile("int3");
}

static void single_step(void)
{
    asm volatile("pushfq; orq %0,(%%rsp); popfq; nop; nop" : : "i"(FL_TF) : "memory", "cc");
}

static void icebp(void)
{
    asm volatile(".byte 0xf1");
}

static void undefined(void)
{
    asm volatile("ud2");
}

static void halt(void)
{
    asm volatile("hlt");
}

static void disable_interrupts(void)
{
    asm volatile("cli");
}

static void port_input(void)
{
    asm volatile("inb $0x60,%%al" : : : "al");
}

static void port_output(void)
{
    asm volatile("outb %%al,$0x64" : : "a"(0));
}

static void read_msr(void)
{
    asm volatile("rdmsr" : : "c"(MSR_EFER) : "eax", "edx");
}

static void write_cr3(void)
{
    asm volatile("movq %0,%%cr3" : : "r"(0ul));
}

static void load_idt(void)
{
    struct Pseudodesc pd = { 0, 0 };
    asm volatile("lidt %0" : : "m"(pd));
}

static void kernel_vector(void)
{
    asm volatile("int $14");
}

static void timer_vector(void)
{
    asm volatile("int $48");
}

static void old_syscall(void)
{
    asm volatile("int $0x80");
}

static void vmcall(void)
{
    asm volatile("vmcall" : : "a"(VMX_VMCALL_POWEROFF), "b"(0));
}

static void vmxon(void)
{
    uint64_t region = 0;
    asm volatile("vmxon %0" : : "m"(region));
}

static void noncanonical(void)
{
    *(volatile char *)0x8000000000000000ul = 0;
}

static void noncanonical_stack(void)
{
    asm volatile("movq %0,%%rsp; pushq %%rax" : : "r"(0x8000000000000000ul));
}

static void noncanonical_jump(void)
{
    asm volatile("jmp *%0" : : "r"(0x0000800000000000ul));
}

static void null_read(void)
{
    (void)*(volatile char *)0;
}

static void null_call(void)
{
    asm volatile("xorl %%eax,%%eax; call *%%rax" : : : "rax");
}

static void kernel_read(void)
{
    (void)*(volatile char *)KERNBASE;
}

static void kernel_image_read(void)
{
    (void)*(volatile char *)(KERNEL_VMA + KERNEL_LOAD);
}

static void kernel_write(void)
{
    *(volatile char *)KERNBASE = 0;
}

static void kernel_jump(void)
{
    asm volatile("jmp *%0" : : "r"(KERNEL_VMA + KERNEL_LOAD));
}

static void envs_write(void)
{
    *(volatile char *)UENVS = 0;
}

static void pages_write(void)
{
    *(volatile char *)UPAGES = 0;
}

static void page_table_write(void)
{
    *(volatile uint64_t *)(UVPT + UTEXT / PGSIZE * sizeof(uint64_t)) = 0;
}

static void text_write(void)
{
    *(volatile char *)(uintptr_t)null_read = 0;
}

static void constant_write(void)
{
    *(volatile char *)(uintptr_t) "constant" = 'C';
}

static void execute_data(void)
{
    static char code[] = { (char)0xc3 };
    asm volatile("call *%0" : : "r"(code) : "memory");
}

static void execute_stack(void)
{
    volatile char code[] = { (char)0xc3 };
    asm volatile("call *%0" : : "r"(code) : "memory");
}

static void stack_overflow(void)
{
    asm volatile("1: pushq %rax; jmp 1b");
}

static void x87_error(void)
{
    static const uint16_t unmasked = 0x340;
    asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" : : "m"(unmasked));
}

static void sse_error(void)
{
    static const uint32_t unmasked = 0;
    asm volatile("ldmxcsr %0; xorps %%xmm0,%%xmm0; divss %%xmm0,%%xmm0" : : "m"(unmasked) : "xmm0");
}

static void sse_unaligned(void)
{
    static char buf[64] __attribute__((aligned(16)));
    asm volatile("movaps %%xmm0,%0" : : "m"(buf[1]));
}

struct Fault {
    const char *name;
    void (*cause)(void);
};

static const struct Fault faults[] = {
    { "division by zero", divide },
    { "division overflow", divide_overflow },
    { "breakpoint", breakpoint },
    { "single step", single_step },
    { "int1", icebp },
    { "undefined instruction", undefined },
    { "hlt", halt },
    { "cli", disable_interrupts },
    { "in", port_input },
    { "out", port_output },
    { "rdmsr", read_msr },
    { "write to CR3", write_cr3 },
    { "lidt", load_idt },
    { "int 14", kernel_vector },
    { "int 48", timer_vector },
    { "int 0x80", old_syscall },
    { "vmxon", vmxon },
    { "noncanonical address", noncanonical },
    { "noncanonical stack", noncanonical_stack },
    { "noncanonical jump", noncanonical_jump },
    { "null read", null_read },
    { "null call", null_call },
    { "kernel read", kernel_read },
    { "kernel image read", kernel_image_read },
    { "kernel write", kernel_write },
    { "kernel jump", kernel_jump },
    { "write to UENVS", envs_write },
    { "write to UPAGES", pages_write },
    { "write to a page table", page_table_write },
    { "write to text", text_write },
    { "write to a constant", constant_write },
    { "execute data", execute_data },
    { "execute the stack", execute_stack },
    { "stack overflow", stack_overflow },
    { "x87 error", x87_error },
    { "unaligned SSE access", sse_unaligned },
};

/* VMCALL does not fault in a guest, it is refused; and an emulator may leave SIMD exceptions out.
 */
static const struct Fault not_everywhere[] = {
    { "vmcall", vmcall },
    { "SSE error", sse_error },
};

static int status_of(void (*fn)(void))
{
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        fn();
        exit(0);
    }
    return wait(child);
}

static void exceptions(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        int status = status_of(faults[i].cause);
        CHECK(status == EXIT_FAULT, "%s: exit status %d", faults[i].name, status);
    }
    for (size_t i = 0; i < ARRAY_SIZE(not_everywhere); i++) {
        int status = status_of(not_everywhere[i].cause);
        CHECK(status == EXIT_FAULT || status == 0, "%s: exit status %d", not_everywhere[i].name,
              status);
    }
}

/* ---- Upcalls ---- */

static volatile int upcalls;

static void map_and_count(struct UTrapframe *utf)
{
    upcalls++;
    char *page = (char *)ROUNDDOWN(utf->utf_fault_va, PGSIZE);
    CHECK_IS(sys_page_alloc(0, page, PERM_RW), 0);
    snprintf(page, PGSIZE, "page %p", page);
}

static void upcall(void)
{
    char *p = (char *)UHEAP + 10 * PGSIZE, want[32];
    uint64_t flags;

    set_pgfault_handler(map_and_count);
    upcalls = 0;
    snprintf(want, sizeof(want), "page %p", p);
    CHECK(strcmp(p, want) == 0, "the page holds '%s'", p);
    CHECK_IS(upcalls, 1);
    /* All registers and flags survive. */
    uint64_t sum = 0;
    asm volatile("movq $1,%%rax; movq $2,%%rcx; movq $3,%%rdx; movq $4,%%rdi; movq $5,%%r8;"
                 "movq $6,%%r15; stc; movb $1,(%2); pushfq; popq %1;"
                 "addq %%rcx,%%rax; addq %%rdx,%%rax; addq %%rdi,%%rax; addq %%r8,%%rax;"
                 "addq %%r15,%%rax; movq %%rax,%0"
                 : "=&S"(sum), "=&r"(flags)
                 : "b"(p + PGSIZE)
                 : "rax", "rcx", "rdx", "rdi", "r8", "r15", "memory", "cc");
    CHECK_IS(sum, 21);
    CHECK(flags & FL_CF, "the carry flag was lost");
    CHECK_IS(upcalls, 2);
    sys_page_unmap(0, p);
    sys_page_unmap(0, p + PGSIZE);
}

/* The first fault's handler touches the next page, and so on. */
static void recurse(struct UTrapframe *utf)
{
    char *page = (char *)ROUNDDOWN(utf->utf_fault_va, PGSIZE);
    if (upcalls++ < 2)
        *(volatile char *)(page + PGSIZE) = 1;
    CHECK_IS(sys_page_alloc(0, page, PERM_RW), 0);
}

static void recursive(void)
{
    set_pgfault_handler(recurse);
    upcalls = 0;
    *(volatile char *)UHEAP = 1;
    CHECK_IS(upcalls, 3);
    for (int i = 0; i < 3; i++)
        sys_page_unmap(0, (char *)UHEAP + i * PGSIZE);
}

static void fault_forever(struct UTrapframe *utf)
{
    *(volatile char *)(utf->utf_fault_va + PGSIZE) = 1;
}

static void endless_recursion(void)
{
    set_pgfault_handler(fault_forever);
    *(volatile char *)UHEAP = 1;
}

static void no_exception_stack(void)
{
    set_pgfault_handler(map_and_count);
    sys_page_unmap(0, (char *)UXSTACKTOP - PGSIZE);
    *(volatile char *)UHEAP = 1;
}

static void read_only_exception_stack(void)
{
    char *stack = (char *)UXSTACKTOP - PGSIZE;
    set_pgfault_handler(map_and_count);
    sys_page_map(0, stack, 0, stack, PTE_P | PTE_U | PTE_NX);
    *(volatile char *)UHEAP = 1;
}

static void unmapped_upcall(void)
{
    set_pgfault_handler(map_and_count);
    sys_env_set_pgfault_upcall(0, (void *)0x1000);
    *(volatile char *)UHEAP = 1;
}

static void bad_upcalls(void)
{
    CHECK_IS(sys_env_set_pgfault_upcall(0, (void *)KERNBASE), -E_INVAL);
    CHECK_IS(sys_env_set_pgfault_upcall(0, (void *)~0ul), -E_INVAL);
    CHECK_IS(status_of(endless_recursion), EXIT_FAULT);
    CHECK_IS(status_of(no_exception_stack), EXIT_FAULT);
    CHECK_IS(status_of(read_only_exception_stack), EXIT_FAULT);
    CHECK_IS(status_of(unmapped_upcall), EXIT_FAULT);
}

static const struct Test tests[] = {
    { "exceptions", exceptions },
    { "upcall", upcall },
    { "recursive-upcall", recursive },
    { "bad-upcalls", bad_upcalls },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
