/*
 * The programs that the kernel brings along: the file server and init.
 */
.section .embedded, "a"
.balign 16
.globl embedded_fs, embedded_fs_end, embedded_init, embedded_init_end
embedded_fs:
    .incbin "fs/fs"
embedded_fs_end:
.balign 16
embedded_init:
    .incbin "user/init"
embedded_init_end:
.section .note.GNU-stack, "", @progbits
