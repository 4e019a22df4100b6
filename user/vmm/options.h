/*
 * The command line of vmm.
 */
#ifndef JOS_USER_VMM_OPTIONS_H
#define JOS_USER_VMM_OPTIONS_H

#include <user/vmm/boot.h>
#include <user/vmm/choices.h>

#define STATUS_USAGE 2 /* exit status on wrong usage */

/* Fill in what the command line says, and defaults for the rest. Returns 0, or STATUS_USAGE after a
 * sentence. */
int parse_options(int argc, char **argv, struct Options *o, struct Boot *b);

#endif
