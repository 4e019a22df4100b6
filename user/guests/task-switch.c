/*
 * task-switch: a hardware task switch in 32-bit protected mode, which VMX operation cannot do by
 * itself, ends the guest with the reason.
 */
#include "rt.h"

const char guest_name[] = "task-switch";

void leave_long_mode(const void *code) __attribute__((noreturn));
extern const char switch_task[];

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("a far jump to a task-state segment");
    leave_long_mode(switch_task);
}
