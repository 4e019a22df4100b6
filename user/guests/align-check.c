/*
 * align-check: with CR0.AM and RFLAGS.AC an unaligned access in user mode is #AC with error code 0;
 * in the kernel it is not.
 */
#include "rt.h"

const char guest_name[] = "align-check";

#define USER_VA 0x40000000ul

/* pushfq; orl $AC, (rsp); popfq; movl 1(%rdi), %eax; ud2 */
static const uint8_t code[] = { 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x00, 0x04,
                                0x00, 0x9d, 0x8b, 0x47, 0x01, 0x0f, 0x0b };
#define STACK_OFF 2048

static uint8_t page[PGSIZE] __attribute__((aligned(PGSIZE)));

/* The same with a stack: user mode starts with RSP 0. movq %rdi, %rsp in front. */
static const uint8_t prologue[] = { 0x48, 0x8d, 0xa7, 0x00, 0x08, 0x00, 0x00 };

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    memcpy(page, prologue, sizeof(prologue)); /* leaq STACK_OFF(%rdi), %rsp */
    memcpy(page + sizeof(prologue), code, sizeof(code));
    map_4k(USER_VA, (uint64_t)page, PTE_P | PTE_W | PTE_U);
    trying("an unaligned access without CR0.AM");
    int v = in_user(USER_VA, USER_VA, 0);
    check(v == T_ILLOP, "trap %d", v);
    trying("one with it");
    lcr0(rcr0() | CR0_AM);
    v = in_user(USER_VA, USER_VA, 0);
    check(v == T_ALIGN && caught.err == 0, "trap %d, error code 0x%lx", v, caught.err);
    trying("one in the kernel");
    v = CATCH("pushfq; orq $0x40000, (%%rsp); popfq; movl 1(%%rax), %%ecx", (uint64_t)page, 0, 0);
    check(v < 0, "trap %d", v);
    return check_result();
}
