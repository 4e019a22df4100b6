/*
 * The programs that are embedded in the kernel image.
 */
#ifndef JOS_KERN_EMBED_H
#define JOS_KERN_EMBED_H

#include <inc/env.h>

struct Env;

/* Start an embedded program at boot; panics when it cannot. */
void env_create(const uint8_t *elf, size_t size, enum EnvType type, const char *name);

#endif
