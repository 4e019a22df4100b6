/*
 * real-mode: addresses of 32 bits above the limit of a real-mode segment are #GP through the
 * interrupt vector table, as on a CPU.
 */
#include "rt.h"

const char guest_name[] = "real-mode";

void leave_long_mode(const void *code) __attribute__((noreturn));
extern const char go_real[];

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("32-bit addresses in real mode");
    leave_long_mode(go_real);
}
