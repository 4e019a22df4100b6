/*
 * Signs of life while a guest is loaded.
 */
#ifndef JOS_USER_VMM_PROGRESS_H
#define JOS_USER_VMM_PROGRESS_H

#include <inc/types.h>

/* So many bytes are going to be loaded. */
void progress_begin(uint64_t bytes);
/* So many more are. Of what takes long, each quarter is a dot on the console. */
void progress_add(uint64_t bytes);

#endif
