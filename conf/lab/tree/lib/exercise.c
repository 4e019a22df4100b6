/*
 * An exercise that a program needs and nobody has solved yet.
 */
#include <inc/exercise.h>
#include <inc/lib.h>

void exercise(int nr, const char *name)
{
    cprintf("\nexercise %d: %s is not implemented yet\n", nr, name);
    exit(EXERCISE_STATUS + nr);
}

void challenge(const char *name)
{
    cprintf("\nchallenge: %s is not implemented yet\n", name);
    exit(CHALLENGE_STATUS);
}
