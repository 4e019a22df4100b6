/*
 * Error codes. Kernel and library functions return them negated (-E_INVAL).
 * The one list below makes the enum and the words that printf's %e prints.
 */
#ifndef JOS_INC_ERROR_H
#define JOS_INC_ERROR_H

#define ERROR_LIST(X)                                                     \
    X(E_UNSPECIFIED, "unspecified error")                                 \
    X(E_BAD_ENV, "no such environment")                                   \
    X(E_INVAL, "invalid argument")                                        \
    X(E_NO_MEM, "out of memory")                                          \
    X(E_NO_FREE_ENV, "out of environments")                               \
    X(E_FAULT, "bad address")                                             \
    X(E_NO_SYS, "no such system call")                                    \
    X(E_IPC_NOT_RECV, "environment is not receiving")                     \
    X(E_EOF, "unexpected end of file")                                    \
    X(E_NO_DISK, "no space left on disk")                                 \
    X(E_MAX_OPEN, "too many open files")                                  \
    X(E_NOT_FOUND, "no such file or directory")                           \
    X(E_BAD_PATH, "bad path")                                             \
    X(E_FILE_EXISTS, "file already exists")                               \
    X(E_NOT_EXEC, "not a valid executable")                               \
    X(E_NOT_SUPP, "not supported")                                        \
    X(E_PERM, "permission denied")                                        \
    X(E_IO, "input/output error")                                         \
    X(E_BUSY, "resource is in use")                                       \
    X(E_IS_DIR, "is a directory")                                         \
    X(E_NOT_DIR, "is not a directory")                                    \
    X(E_NOT_EMPTY, "directory is not empty")                              \
    X(E_TOO_BIG, "too large")                                             \
    X(E_AGAIN, "try again")                                               \
    X(E_CORRUPT, "file system is corrupt")                                \
    X(E_READ_ONLY, "file system needs fsck, and is read-only until then") \
    X(E_NOT_OPEN, "file is not open here")                                \
    X(E_POWER, "the power button was pressed")                            \
    X(E_INTR, "interrupted by Ctrl-C")

enum {
    E_NONE = 0,
#define ERROR_ENUM(name, text) name,
    ERROR_LIST(ERROR_ENUM)
#undef ERROR_ENUM
    E_MAX
};

#endif
