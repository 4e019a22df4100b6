/*
 * An exercise that the kernel needs and nobody has solved yet: there is no way on from here, so the
 * machine ends, and whoever waits for it knows why.
 */
#include <inc/exercise.h>
#include <inc/stdio.h>
#include <kern/dev/console.h>
#include <kern/dev/poweroff.h>

void exercise(int nr, const char *name)
{
    asm volatile("cli");
    cons_panic_mode();
    cprintf("\nexercise %d: %s is not implemented yet\n", nr, name);
    platform_poweroff(EXERCISE_STATUS + nr);
}

void challenge(const char *name)
{
    asm volatile("cli");
    cons_panic_mode();
    cprintf("\nchallenge: %s is not implemented yet\n", name);
    platform_poweroff(CHALLENGE_STATUS);
}
