/*
 * virtio-console: output leaves as it comes. Input is taken only after the guest has written
 * something here, since a kernel that has a driver for this device may still talk to its user by
 * another one.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/virtio/console.h>

#define RECEIVE      0
#define TRANSMIT     1
#define INPUT_CHUNK  64
#define OUTPUT_CHUNK 256
/* Of one buffer; what comes after that is not shown, so that a doorbell is answered in bounded
 * time.
 */
#define OUTPUT_MOST 0x10000

/* Into one buffer of the guest's. */
static size_t take_input(const struct VirtioConsole *c, const struct Chain *chain, int first)
{
    char buf[INPUT_CHUNK];
    size_t n = 0, most = MIN(chain->write_len, sizeof(buf));
    for (int byte = first; n < most && byte >= 0; byte = n < most ? c->line->next(false) : -1)
        buf[n++] = byte;
    return chain_write(c->virtio.peer->dma, chain, 0, buf, n);
}

/* ask: this is the moment to read on in a file that is the guest's input. */
static void give_input(struct VirtioConsole *c, bool ask)
{
    struct Virtio *v = &c->virtio;
    struct Chain chain;
    while (c->used && virtio_pop(v, RECEIVE, &chain)) {
        int byte = chain.write_len > 0 ? c->line->next(ask) : -1;
        if (byte < 0 && chain.write_len > 0) {
            queue_unpop(&v->queues[RECEIVE]);
            break;
        }
        virtio_push(v, RECEIVE, chain.head, byte < 0 ? 0 : take_input(c, &chain, byte));
    }
    virtio_signal(v, RECEIVE);
}

void virtio_console_input(struct VirtioConsole *c)
{
    if (!c->used || !virtio_is_live(&c->virtio, RECEIVE))
        return;
    dma_refresh(c->virtio.peer->dma);
    give_input(c, false);
}

static void show(struct VirtioConsole *c, const struct Chain *chain)
{
    char buf[OUTPUT_CHUNK];
    uint64_t most = MIN(chain->read_len, (uint64_t)OUTPUT_MOST);
    size_t n;
    for (uint64_t done = 0; done < most; done += n) {
        n = chain_read(c->virtio.peer->dma, chain, done, buf, MIN(sizeof(buf), most - done));
        if (n == 0)
            return;
        c->line->put(buf, n);
        c->used = true;
    }
}

static void notified(struct Virtio *v, unsigned queue)
{
    struct VirtioConsole *c = (struct VirtioConsole *)v;
    struct Chain chain;
    if (queue == RECEIVE) {
        give_input(c, true);
        return;
    }
    while (virtio_pop(v, TRANSMIT, &chain)) {
        show(c, &chain);
        virtio_push(v, TRANSMIT, chain.head, 0);
    }
    c->line->flush();
    virtio_signal(v, TRANSMIT);
    if (virtio_is_live(v, RECEIVE))
        give_input(c, true); /* the guest may have asked for it by a prompt */
}

static void reset(struct Virtio *v)
{
    ((struct VirtioConsole *)v)->used = false;
}

static const struct VirtioType type = {
    .words = "the virtio console",
    .id = 3,
    .pci_class = 0x078000,
    .nqueues = 2,
    .queue_max = { [RECEIVE] = 64, [TRANSMIT] = 64 },
    .notified = notified,
    .reset = reset,
};

struct SavedConsole {
    struct VirtioState virtio;
    uint64_t used;
};

static void console_save(const struct Device *d, void *state)
{
    struct SavedConsole s = { .used = ((const struct VirtioConsole *)d)->used };
    virtio_save((const struct Virtio *)d, &s.virtio);
    memcpy(state, &s, sizeof(s));
}

static int console_load(struct Device *d, const void *state)
{
    struct SavedConsole s;
    memcpy(&s, state, sizeof(s));
    int r = s.used > 1 ? -E_INVAL : virtio_load((struct Virtio *)d, &s.virtio);
    if (r == 0)
        ((struct VirtioConsole *)d)->used = s.used;
    return r;
}

static const struct DeviceKind kind = {
    .name = "vcons",
    .read = virtio_read,
    .write = virtio_write,
    .save = console_save,
    .load = console_load,
    .version = 1,
    .size = sizeof(struct SavedConsole),
};

int virtio_console_add(struct VirtioConsole *c, const struct VirtioPeer *peer,
                       const struct ConsolePeer *line)
{
    c->line = line;
    return virtio_add(&c->virtio, &type, &kind, peer);
}
