/*
 * cli-hlt: halts for ever. The guest is held; its monitor and the host go on, and the user can end
 * it.
 */
#include "rt.h"

const char guest_name[] = "cli-hlt";

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("cli; hlt");
    asm volatile("cli; hlt");
    check_failed("awake from cli; hlt");
    return check_result();
}
