/*
 * Names for code addresses, from compact tables that the build makes (conf/mksymtab): the kernel's,
 * and those of user programs.
 */
#ifndef JOS_KERN_KDEBUG_H
#define JOS_KERN_KDEBUG_H

#include <inc/types.h>

struct Env;

struct RipInfo {
    const char *fn;   /* function, "?" if unknown */
    const char *file; /* source file as the build named it, "?" if unknown */
    uint32_t line;
    uint64_t offset; /* of the address in the function, bytes */
};

/* Returns true if the address is in the kernel's text. */
bool debuginfo_rip(uint64_t rip, struct RipInfo *info);

#define NAME_ROOM 64

/* The same of a user program's code; printable text whatever the program has there. */
struct UserRip {
    char fn[NAME_ROOM], file[NAME_ROOM];
    uint32_t line;
    uint64_t offset;
};

/* Names of a code address of env e, from the table in its memory. false: it has none for it. As
 * user_peek. */
bool debuginfo_user(const struct Env *e, uint64_t rip, struct UserRip *info);
/* Copy memory that user code of e can read, without a fault and without populating anything. false:
 * not all of it is mapped. Nothing may change e's page tables meanwhile: the caller holds
 * env_mem(e), or has stopped the other CPUs. */
bool user_peek(const struct Env *e, uintptr_t va, void *buf, size_t len);

#endif
