/*
 * stepped: whoever executes the code below one instruction at a time is not to be seen by it. It
 * looks at every place where RFLAGS.TF could show, and does what debuggers do: it single-steps
 * itself, and has breakpoints. Alone and under a debugger, all must be the same.
 */
#include "rt.h"

const char guest_name[] = "stepped";

#define VEC_SOFT    0x41
#define OWN_TRAPS   4 /* after NOP, NOP, PUSHF and AND; after POPF, TF is clear again */
#define STAR_SELECT 32
#define DR6_BS      (1ul << 14)

/* What the code has seen; index by what it did. */
enum {
    SEEN_PUSHF,
    SEEN_SYSCALL, /* R11 */
    SEEN_HANDLER, /* RFLAGS there */
    SEEN_SOFT,    /* RFLAGS in the frame of INT n */
    SEEN_UD,      /* of #UD */
    SEEN_BP,      /* of INT3 */
    SEEN_BP_RIP,
    SEEN_INT1, /* of INT1 */
    SEEN_TRAP, /* of #DB while the guest steps itself */
    SEEN_DR6,
    SEEN_AFTER, /* PUSHF at the end */
    NSEEN
};
uint64_t seen[NSEEN], own_traps;

extern char gate_soft[], gate_ud[], gate_bp[], gate_db[], syscall_target[], after_int3[];

/* The code is in one piece, between step_start and step_end, and its handlers are short. */
void steps(void);
asm(".text\n"
    ".globl steps, step_start, step_end\n"
    "steps:\n"
    "    pushq %rbx\n"
    "step_start:\n"
    "    pushfq\n"
    "    popq seen + 8 * 0\n"
    "    syscall\n"
    "    sti\n"
    "    nop\n"
    "    cli\n"
    "    int $0x41\n"
    "    ud2\n"
    "    int3\n"
    "after_int3:\n"
    "    .byte 0xf1\n" /* INT1 */
    "    movq %ss, %rax\n"
    "    movq %rax, %ss\n"
    "    nop\n"
    "    cpuid\n" /* exits, and is done by the VMM */
    "    movl $0x80, %edx\n"
    "    outb %al, %dx\n" /* is done by the monitor */
    "    movq $0, own_traps\n"
    "    pushfq\n"
    "    orq $0x100, (%rsp)\n"
    "    popfq\n"
    "    nop\n"
    "    nop\n"
    "    pushfq\n"
    "    andq $~0x100, (%rsp)\n"
    "    popfq\n"
    "    pushfq\n"
    "    popq seen + 8 * 10\n"
    "step_end:\n"
    "    popq %rbx\n"
    "    ret\n"
    "syscall_target:\n"
    "    movq %r11, seen + 8 * 1\n"
    "    pushfq\n"
    "    popq seen + 8 * 2\n"
    "    jmp *%rcx\n"
    "gate_soft:\n"
    "    movq 16(%rsp), %rax\n"
    "    movq %rax, seen + 8 * 3\n"
    "    iretq\n"
    "gate_ud:\n"
    "    movq 16(%rsp), %rax\n"
    "    movq %rax, seen + 8 * 4\n"
    "    addq $2, (%rsp)\n"
    "    iretq\n"
    "gate_bp:\n"
    "    movq 16(%rsp), %rax\n"
    "    movq %rax, seen + 8 * 5\n"
    "    movq (%rsp), %rax\n"
    "    movq %rax, seen + 8 * 6\n"
    "    iretq\n"
    "gate_db:\n"
    "    movq 16(%rsp), %rax\n"
    "    testq $0x100, %rax\n"
    "    jnz 1f\n"
    "    movq %rax, seen + 8 * 7\n"
    "    iretq\n"
    "1:  incq own_traps\n"
    "    movq %rax, seen + 8 * 8\n"
    "    movq %dr6, %rax\n"
    "    movq %rax, seen + 8 * 9\n"
    "    iretq\n");

static void check_clear(int i, const char *what)
{
    check(seen[i] != 0 && !(seen[i] & FL_TF), "%s shows flags 0x%lx", what, seen[i]);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("to see a debugger");
    set_gate(VEC_SOFT, gate_soft);
    set_gate(T_ILLOP, gate_ud);
    set_gate(T_BRKPT, gate_bp);
    set_gate(T_DEBUG, gate_db);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (uint64_t)SEL_KCODE << STAR_SELECT);
    wrmsr(MSR_LSTAR, (uint64_t)syscall_target);
    wrmsr(MSR_SFMASK, FL_TF | FL_IF);
    steps();
    check_clear(SEEN_PUSHF, "PUSHF");
    check_clear(SEEN_SYSCALL, "SYSCALL");
    check_clear(SEEN_HANDLER, "PUSHF after SYSCALL");
    check_clear(SEEN_SOFT, "INT n");
    check_clear(SEEN_UD, "#UD");
    check_clear(SEEN_BP, "INT3");
    check(seen[SEEN_BP_RIP] == (uint64_t)after_int3, "INT3 came from 0x%lx", seen[SEEN_BP_RIP]);
    check_clear(SEEN_INT1, "INT1, or the trap after POPF");
    check_clear(SEEN_AFTER, "the last PUSHF");
    check(own_traps == OWN_TRAPS, "%lu own traps, not %u", own_traps, OWN_TRAPS);
    check(seen[SEEN_TRAP] & FL_TF, "own trap with flags 0x%lx", seen[SEEN_TRAP]);
    check(seen[SEEN_DR6] & DR6_BS, "own trap with DR6 0x%lx", seen[SEEN_DR6]);
    return check_result();
}
