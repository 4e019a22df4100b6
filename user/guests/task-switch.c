/*
 * task-switch: a hardware task switch in 32-bit protected mode, which VMX operation cannot do by
 * itself, ends the guest with the reason. The command line says how: `call`, `gate` or `iret`, else
 * by a far jump.
 */
#include "rt.h"

const char guest_name[] = "task-switch";

void leave_long_mode(const void *code) __attribute__((noreturn));
extern const char task_by_jmp[], task_by_call[], task_by_gate[], task_by_iret[];

static const struct {
    const char *word, *code;
} ways[] = {
    { "call", task_by_call },
    { "gate", task_by_gate },
    { "iret", task_by_iret },
};

int guest_main(const struct MultibootInfo *info)
{
    const char *code = task_by_jmp;
    (void)info;
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
        if (cmdline_has(ways[i].word))
            code = ways[i].code;
    trying("a task switch");
    leave_long_mode(code);
}
