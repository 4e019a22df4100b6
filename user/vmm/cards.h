/*
 * The cards in the guest's PCI slots, and what they are connected to.
 */
#ifndef JOS_USER_VMM_CARDS_H
#define JOS_USER_VMM_CARDS_H

#include <user/vmm/choices.h>
#include <user/vmm/dev/pci/ecam.h>
#include <user/vmm/dev/virtio/console.h>
#include <user/vmm/dev/virtio/net.h>
#include <user/vmm/dev/virtio/rng.h>
#include <user/vmm/window.h>

struct Cards {
    envid_t guest;
    struct Window window;
    struct Dma dma;
    struct PciPeer pci_peer;
    struct PciHost pci;
    struct PciEcam ecam;
    struct VirtioPeer virtio_peer;
    struct VirtioRng rng;
    struct VirtioConsole console;
    struct NetPeer loopback;
    struct VirtioNet net;
};

/* Plug them in, for a guest with memsize bytes of RAM; shared is the page of sys_guest_share. 0 or
 * -E_*. */
int cards_init(struct Cards *c, struct Bus *bus, envid_t guest, uint64_t memsize,
               const struct GuestExit *shared, const struct CardOptions *options);
/* The guest has ended: give back what of its memory is mapped. */
void cards_end(struct Cards *c);
/* The guest's console may have input. */
static inline void cards_input(struct Cards *c)
{
    virtio_console_input(&c->console);
}

#endif
