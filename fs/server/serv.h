/*
 * The file server.
 */
#ifndef JOS_FS_SERVER_SERV_H
#define JOS_FS_SERVER_SERV_H

#include <fs/core/fs.h>

extern struct Fs fs;

#endif
