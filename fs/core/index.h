/*
 * The index of large directories. All but index_build do nothing for a directory that is not in it.
 */
#ifndef JOS_FS_CORE_INDEX_H
#define JOS_FS_CORE_INDEX_H

#include <fs/core/fs.h>

/* Enter a directory, which has so many entries. -E_NO_MEM: it does not fit; and errors of reading.
 */
int index_build(struct Fs *fs, uint32_t dir, uint32_t count);
bool index_has(const struct Fs *fs, uint32_t dir);
/* A place where the directory, which is in the index, may have this name: the first one if `after`
 * is 0, else the one after it. Returns what to pass as `after`; 0: no more. */
uint32_t index_find(const struct Fs *fs, uint32_t dir, const char *name, uint32_t after,
                    uint32_t *place);
/* An entry has come, has gone, has been moved. */
void index_add(struct Fs *fs, uint32_t dir, const char *name, uint32_t place);
void index_remove(struct Fs *fs, uint32_t dir, const char *name, uint32_t place);
void index_move(struct Fs *fs, uint32_t dir, const char *name, uint32_t from, uint32_t to);
/* Forget everything, as when an operation on a directory stopped halfway. */
void index_forget(struct Fs *fs);

#endif
