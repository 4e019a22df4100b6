/*
 * Where an exercise is still to be done. The call takes the place of the solution; whoever solves
 * the exercise removes it.
 */
#ifndef JOS_INC_EXERCISE_H
#define JOS_INC_EXERCISE_H

/* Exit status of a program, and of the machine: this and the exercise's number. */
#define EXERCISE_STATUS  80
#define CHALLENGE_STATUS 89

/* Say "exercise NR: NAME is not implemented yet" on the console, and end: in the kernel the machine
 * powers off, a program exits, both with status EXERCISE_STATUS + nr. */
void exercise(int nr, const char *name) __attribute__((noreturn));
/* Likewise "challenge: NAME is not implemented yet", with status CHALLENGE_STATUS. */
void challenge(const char *name) __attribute__((noreturn));

#endif
