/*
 * The shell's parts: user/sh/sh.c runs commands, user/sh/parse.c reads them, user/sh/builtin.c has
 * the ones that are part of the shell, user/sh/cancel.c ends them at Ctrl-C.
 */
#ifndef JOS_USER_SH_SH_H
#define JOS_USER_SH_SH_H

#include <inc/lib.h>

#define LINE_MAX  1024
#define MAX_ARGS  64
#define MAX_PARTS 16 /* commands in a pipeline */
#define NOT_FOUND 127
#define NOT_EXEC  126
#define CANCELED  130 /* by Ctrl-C */

/* Where output and input go; NULL: as the shell's. */
struct Command {
    const char *argv[MAX_ARGS + 1];
    int argc;
    const char *in, *out;
    bool append;
};

/* What comes after a pipeline, and decides about the next one. */
enum Link {
    LINK_END,
    LINK_SEQ,        /* ; */
    LINK_BACKGROUND, /* & */
    LINK_AND,        /* && */
    LINK_OR,         /* || */
};

struct Pipeline {
    struct Command cmd[MAX_PARTS];
    int ncmds;
    enum Link link;
    char text[2 * LINE_MAX]; /* the words of all commands */
    size_t used;
};

/* The shell's state that words can refer to: $?, $0 ... $9, $#, $@. */
struct Vars {
    int status; /* of the last command */
    int argc;
    char **argv;
};
extern struct Vars vars;
extern bool interactive;
/* Ctrl-C has ended a command, and so the line. */
extern bool canceled;

/* Wait for commands of a pipeline, which are its last n, and return the status of the last one.
 * Ctrl-C ends them. children[i] is an env id, or a negated exit status. */
int await_pipeline(const envid_t children[], int n);
/* Ctrl-C was pressed: say so, and run nothing more of this line. Returns the status. */
int cancel(void);

/* Parse one pipeline at *p and move *p past it. 0, or -E_INVAL with the mistake in words in *why.
 * An empty one has ncmds = 0. */
int parse_pipeline(const char **p, struct Pipeline *pl, const char **why);

/* A command that the shell runs itself; returns its exit status. */
typedef int (*Builtin)(int argc, const char **argv);
/* NULL if there is none of this name. */
Builtin find_builtin(const char *name);

#endif
