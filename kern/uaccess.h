/*
 * The kernel's access to user memory.
 */
#ifndef JOS_KERN_UACCESS_H
#define JOS_KERN_UACCESS_H

#include <inc/env.h>

struct Env;

/*
 * Access to user memory. All check that [va, va+len) is below UTOP and mapped for the user, resolve
 * copy-on-write pages on writes, and return 0 or -E_FAULT (user_mem_check also -E_NO_MEM, when a
 * copy found no frame).
 */
int user_mem_check(struct Env *env, uintptr_t va, size_t len, uint64_t perm);
/* As user_mem_check, but ends the env, with words on the console, when it fails; JOS's name. */
int user_mem_assert(struct Env *env, uintptr_t va, size_t len, uint64_t perm);
/* A page fault in copyin or copyout: true if the access can be tried again (copy-on-write
 * resolved). */
bool user_access_recover(uintptr_t va, uint64_t err);
/* The current env's memory must be loaded in CR3. */
int copyin(void *dst, uintptr_t src, size_t len);
int copyout(uintptr_t dst, const void *src, size_t len);
/* A terminated string of at most size bytes with the NUL; longer ones are cut. Returns its length.
 */
int copyinstr(char *dst, uintptr_t src, size_t size);

#endif
