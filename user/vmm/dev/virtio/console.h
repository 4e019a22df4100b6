/*
 * virtio-console: one port, of one line each way (Virtual I/O Device specification, "Console
 * Device").
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_CONSOLE_H
#define JOS_USER_VMM_DEV_VIRTIO_CONSOLE_H

#include <user/vmm/dev/virtio/virtio.h>

/* The other end of its line. */
struct ConsolePeer {
    /* The next byte for the guest, -1: none. With ask, the guest waits for it. */
    int (*next)(bool ask);
    void (*put)(const char *s, size_t n);
    /* Show what was put. */
    void (*flush)(void);
};

struct VirtioConsole {
    struct Virtio virtio;
    const struct ConsolePeer *line;
    bool used; /* the guest has written to it, so that input is for it */
};

/* 0 or -E_*. */
int virtio_console_add(struct VirtioConsole *c, const struct VirtioPeer *peer,
                       const struct ConsolePeer *line);
/* There may be input: give it to the guest, as far as that has room and uses this console. */
void virtio_console_input(struct VirtioConsole *c);

#endif
