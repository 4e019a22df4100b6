/*
 * Which cards there are, and the monitor's side of what they are connected to: guest memory,
 * interrupts, the console, random numbers.
 */
#include <user/vmm/cards.h>
#include <user/vmm/console.h>
#include <user/vmm/disks.h>
#include <user/vmm/random.h>
#include <user/vmm/run.h>

static int send_msi(void *to, uint64_t address, uint32_t data)
{
    return sys_guest_msi(((const struct Cards *)to)->guest, address, data);
}

static void tell(const char *device, const char *words)
{
    take_output();
    say("vmm: the guest's driver has broken %s: %s. It stands still until it is reset.\n", device,
        words);
}

static const struct RngPeer random = { .fill = random_fill };

static int console_next(bool ask)
{
    return cons_next_for(CONS_VIRTIO, ask);
}

static void console_put(const char *s, size_t n)
{
    take_output();
    cons_put_by(CONS_VIRTIO, s, n);
}

static const struct ConsolePeer console = { console_next, console_put, cons_flush };

/* Addresses that are administered locally; the guest's id makes the difference. */
static int add_loopback(struct Cards *c)
{
    const uint32_t id = c->guest;
    const uint8_t mac[NET_MAC] = { 0x02, 'J', id >> 24, id >> 16, id >> 8, id };
    net_loopback(&c->loopback, &c->net);
    return virtio_net_add(&c->net, &c->virtio_peer, &c->loopback, mac);
}

int cards_init(struct Cards *c, struct Bus *bus, envid_t guest, uint64_t memsize,
               const struct GuestExit *shared, const struct CardOptions *options)
{
    c->guest = guest;
    window_init(&c->window, guest);
    dma_init(&c->dma, &c->window.peer, memsize, &shared->replaced);
    c->pci_peer = (struct PciPeer){ send_msi, c };
    c->virtio_peer = (struct VirtioPeer){ &c->pci, &c->dma, tell };
    int r = pci_host_add(&c->pci, bus, &c->pci_peer);
    if (r == 0)
        r = pci_ecam_add(&c->ecam, &c->pci);
    if (r == 0)
        r = virtio_rng_add(&c->rng, &c->virtio_peer, &random);
    if (r == 0)
        r = virtio_console_add(&c->console, &c->virtio_peer, &console);
    if (r == 0 && options->loopback)
        r = add_loopback(c);
    if (r == 0)
        r = disks_plug(&c->virtio_peer);
    return r;
}

void cards_end(struct Cards *c)
{
    if (c->dma.peer) /* they were plugged */
        dma_forget(&c->dma);
}
