/*
 * virtio-blk. A request is taken from the queue, checked, and then carried out in steps of at most
 * a block: each first without waiting, and if that cannot be done, later, with the request kept
 * until the answer. How many steps are taken for one event is bounded.
 *
 * The guest may change its buffers at any moment. The header and each segment of a discard are read
 * once; data is only moved.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/virtio/blk.h>

#define QUEUE       0
#define PCI_STORAGE 0x018000 /* class: mass storage, other */
#define BUDGET      192      /* blocks moved for one event; a request counts as one, too */
#define ZERO_STEP   512      /* sectors */

/* "Feature bits" */
#define F_SEG_MAX      (1ul << 2)
#define F_RO           (1ul << 5)
#define F_BLK_SIZE     (1ul << 6)
#define F_FLUSH        (1ul << 9)
#define F_TOPOLOGY     (1ul << 10)
#define F_DISCARD      (1ul << 13)
#define F_WRITE_ZEROES (1ul << 14)
#define FEATURES       (F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_DISCARD | F_WRITE_ZEROES)

/* "Device Operation" */
enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8, /* the device's, that is the serial number */
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
};
enum Status {
    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
};
struct Header {
    uint32_t type, reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct Header) == 16, "virtio_blk_req");
struct Segment {
    uint64_t sector;
    uint32_t count, flags;
};
_Static_assert(sizeof(struct Segment) == 16, "virtio_blk_discard_write_zeroes");
#define SEGMENT_UNMAP 1u

/* "Device configuration layout" */
struct Config {
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t blk_size;
    uint8_t block_exp, alignment;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, unused;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_alignment;
    uint32_t max_zeroes_sectors, max_zeroes_seg;
    uint8_t zeroes_may_unmap, unused2[3];
};
_Static_assert(offsetof(struct Config, max_discard_sectors) == 36, "virtio_blk_config");
_Static_assert(sizeof(struct Config) == 64 && sizeof(struct Config) <= VIRTIO_CONFIG, "its end");
#define CONFIG_SIZE 60

#define BLOCK_EXP 3 /* 8 sectors are a block */

static void set_state(struct BlkRequest *r, enum BlkState state)
{
    r->blk->ready += (state == BLK_READY) - (r->state == BLK_READY);
    r->state = state;
}

/* ---- The end of a request ---- */

/* Give it back with this status. */
static void finish(struct BlkRequest *r, enum Status status)
{
    struct Virtio *v = &r->blk->virtio;
    const struct Chain *c = &r->chain;
    const struct QueuePiece *last = &c->pieces[c->nread + c->nwrite - 1];
    bool all = status == S_OK && (r->type == T_IN || r->type == T_GET_ID);

    set_state(r, BLK_FREE);
    if (!virtio_is_live(v, QUEUE))
        return;
    char *byte = dma_at(v->peer->dma, last->gpa + last->len - 1, DMA_WRITE);
    if (!byte) {
        virtio_broken(v, "a disk request's status cannot be written");
        return;
    }
    *byte = status;
    virtio_push(v, QUEUE, c->head, all ? c->write_len : 1);
}

static void fail(struct BlkRequest *r, int error)
{
    finish(r, error == -E_NOT_SUPP ? S_UNSUPP : S_IOERR);
}

/* ---- Data ---- */

static bool is_data(const struct BlkRequest *r)
{
    return r->type == T_IN || r->type == T_OUT;
}

/* Move the place where the data goes on by n bytes. */
static void advance(struct BlkRequest *r, size_t n)
{
    while (n > 0) {
        size_t k = MIN(n, (size_t)(r->chain.pieces[r->piece].len - r->offset));
        n -= k;
        r->offset += k;
        if (r->offset == r->chain.pieces[r->piece].len) {
            r->piece++;
            r->offset = 0;
        }
    }
}

/* Copy the next r->n sectors between a page and the chain. */
static bool copy(struct BlkRequest *r, void *page)
{
    struct Dma *dma = r->blk->virtio.peer->dma;
    size_t n = r->n * BLK_SECTOR;

    if (r->type == T_IN)
        return chain_write(dma, &r->chain, r->at, page, n) == n;
    return chain_read(dma, &r->chain, sizeof(struct Header) + r->at, page, n) == n;
}

/* The next sectors are done. */
static void step_done(struct BlkRequest *r)
{
    r->sector += r->n;
    if (!is_data(r)) {
        r->left -= r->n;
        return;
    }
    r->at += r->n * BLK_SECTOR;
    r->left -= r->n * BLK_SECTOR;
    advance(r, r->n * BLK_SECTOR);
}

/* The guest's own pages, if the next sectors are blocks that are pages of its memory, too; *n: how
 * many. NULL: they are not. */
static void *whole_pages(const struct BlkRequest *r, unsigned *n)
{
    const struct QueuePiece *p = &r->chain.pieces[r->piece];
    gpa_t gpa = p->gpa + r->offset;

    struct Dma *dma = r->blk->virtio.peer->dma;
    uint64_t most = MIN(r->left, (uint64_t)(p->len - r->offset)) / PGSIZE;

    if (most == 0 || PGOFF(gpa) != 0 || r->sector % (BLK_BLOCK / BLK_SECTOR) != 0)
        return NULL;
    *n = MIN(most, (uint64_t)BLK_PAGES);
    return most == 1 ? dma_at(dma, gpa, DMA_WRITE) : dma_pages(dma, gpa, DMA_WRITE, n);
}

/* Move the next r->n sectors now, which are within a block, or more, if that can be done without
 * waiting. Returns how many, or -E_*. */
static int move_now(struct BlkRequest *r)
{
    const struct BlkPeer *peer = r->blk->peer;
    enum BlkOp op = r->type == T_IN ? BLK_READ : BLK_WRITE;
    unsigned n;
    void *pages = whole_pages(r, &n);

    if (pages)
        return peer->now(peer->to, op, r->sector, n * (BLK_BLOCK / BLK_SECTOR), pages);
    if (op == BLK_WRITE && !copy(r, peer->bounce))
        return -E_INVAL;
    int done = peer->now(peer->to, op, r->sector, r->n, peer->bounce);
    if (done > 0 && op == BLK_READ && !copy(r, peer->bounce))
        return -E_INVAL;
    return done;
}

/* ---- Steps ---- */

static enum BlkOp slow_op(const struct BlkRequest *r)
{
    if (r->flushing && r->left == 0)
        return BLK_FLUSH;
    switch (r->type) {
    case T_IN:
        return BLK_READ;
    case T_OUT:
        return BLK_WRITE;
    case T_DISCARD:
        return BLK_DISCARD_OP;
    case T_WRITE_ZEROES:
        return r->flags & SEGMENT_UNMAP ? BLK_ZERO_UNMAP : BLK_ZERO;
    }
    return BLK_FLUSH;
}

/* Ask for the next sectors and keep the request until the answer. false: too much is underway, and
 * the request stays ready. */
static bool ask_later(struct BlkRequest *r)
{
    const struct BlkPeer *peer = r->blk->peer;
    void *page = peer->page(peer->to);
    enum BlkOp op = slow_op(r);

    if (!page)
        return false;
    if (op == BLK_WRITE && !copy(r, page)) {
        fail(r, -E_INVAL);
        return true;
    }
    set_state(r, BLK_WAITS);
    peer->later(peer->to, op, r->sector, r->n, r);
    return true;
}

/* The next segment of a discard or write-zeroes request. 0; 1: there is none; -E_*. */
static int next_segment(struct BlkRequest *r)
{
    struct Segment s;
    const struct Blk *b = r->blk;
    uint64_t at = sizeof(struct Header) + r->at;

    if (at == r->chain.read_len)
        return 1;
    if (chain_read(b->virtio.peer->dma, &r->chain, at, &s, sizeof(s)) != sizeof(s))
        return -E_INVAL;
    if (s.flags & ~(r->type == T_WRITE_ZEROES ? SEGMENT_UNMAP : 0u))
        return -E_NOT_SUPP;
    if (s.count > BLK_DISCARD || s.sector > b->setup.sectors ||
        s.count > b->setup.sectors - s.sector)
        return -E_INVAL;
    r->at += sizeof(s);
    r->sector = s.sector;
    r->left = s.count;
    r->flags = s.flags;
    return 0;
}

/* How many of the next sectors are in the same block. */
static unsigned in_block(const struct BlkRequest *r)
{
    const unsigned per = BLK_BLOCK / BLK_SECTOR;

    return MIN(r->left / BLK_SECTOR, (uint64_t)(per - r->sector % per));
}

static bool step_data(struct BlkRequest *r)
{
    r->n = in_block(r);
    int done = move_now(r);
    r->blk->budget--;
    if (done == -E_AGAIN)
        return ask_later(r);
    if (done <= 0) {
        fail(r, done);
        return true;
    }
    r->n = done;
    r->blk->budget -= done / (BLK_BLOCK / BLK_SECTOR);
    step_done(r);
    return true;
}

static bool step_segment(struct BlkRequest *r)
{
    int result = r->left == 0 ? next_segment(r) : 0;

    r->blk->budget--;
    if (result > 0)
        finish(r, S_OK);
    else if (result < 0)
        fail(r, result);
    if (result != 0 || r->left == 0)
        return true;
    r->n = r->type == T_WRITE_ZEROES ? MIN(r->left, (uint64_t)ZERO_STEP) : r->left;
    return ask_later(r);
}

static bool step_flush(struct BlkRequest *r)
{
    r->n = 0;
    return ask_later(r);
}

/* One step of a request that is ready. false: it has to wait until less is underway. */
static bool step(struct BlkRequest *r)
{
    if (r->type == T_DISCARD || r->type == T_WRITE_ZEROES)
        return step_segment(r);
    if (r->left > 0)
        return step_data(r);
    if (r->flushing)
        return step_flush(r);
    finish(r, S_OK);
    return true;
}

/* ---- The beginning of a request ---- */

static bool may_change(const struct Blk *b)
{
    return !b->setup.read_only;
}

/* The length of data is checked here, once, and only whole sectors of the disk are left. */
static int start_data(struct BlkRequest *r, const struct Header *h)
{
    const struct Blk *b = r->blk;
    bool in = r->type == T_IN;
    uint64_t bytes = in ? r->chain.write_len - 1 : r->chain.read_len - sizeof(*h);

    if (bytes % BLK_SECTOR != 0 || h->sector > b->setup.sectors ||
        bytes / BLK_SECTOR > b->setup.sectors - h->sector || (!in && !may_change(b)))
        return -E_INVAL;
    r->sector = h->sector;
    r->left = bytes;
    r->piece = in ? r->chain.nread : 0;
    if (!in)
        advance(r, sizeof(*h));
    r->flushing = !in && !virtio_has(&b->virtio, F_FLUSH);
    return 0;
}

static int start_segments(struct BlkRequest *r, uint64_t feature)
{
    uint64_t bytes = r->chain.read_len - sizeof(struct Header);

    if (!virtio_has(&r->blk->virtio, feature))
        return -E_NOT_SUPP;
    return bytes % sizeof(struct Segment) != 0 || bytes == 0 ||
                   bytes / sizeof(struct Segment) > BLK_SEGS || !may_change(r->blk)
               ? -E_INVAL
               : 0;
}

static int answer_id(struct BlkRequest *r)
{
    const char *serial = r->blk->setup.serial;
    size_t n = MIN(r->chain.write_len - 1, (uint64_t)BLK_SERIAL);

    if (chain_write(r->blk->virtio.peer->dma, &r->chain, 0, serial, n) != n)
        return -E_INVAL;
    finish(r, S_OK);
    return 0;
}

/* In the guest's memory it is whole and in one page, mostly. */
static bool read_header(struct BlkRequest *r, struct Header *h)
{
    struct Dma *dma = r->blk->virtio.peer->dma;
    const struct QueuePiece *p = &r->chain.pieces[0];

    if (r->chain.nread > 0 && p->len >= sizeof(*h) && PGOFF(p->gpa) <= PGSIZE - sizeof(*h)) {
        const char *from = dma_at(dma, p->gpa, DMA_READ);
        if (from)
            __builtin_memcpy(h, from, sizeof(*h));
        return from;
    }
    return chain_read(dma, &r->chain, 0, h, sizeof(*h)) == sizeof(*h);
}

/* Look at a chain that was taken from the queue. 0: the request is ready, or done; -E_*. */
static int begin(struct BlkRequest *r)
{
    struct Header h;

    if (!read_header(r, &h))
        return -E_INVAL;
    r->type = h.type;
    switch (h.type) {
    case T_IN:
    case T_OUT:
        return start_data(r, &h);
    case T_FLUSH:
        r->flushing = true;
        return 0;
    case T_GET_ID:
        return answer_id(r);
    case T_DISCARD:
        return start_segments(r, F_DISCARD);
    case T_WRITE_ZEROES:
        return start_segments(r, F_WRITE_ZEROES);
    }
    return -E_NOT_SUPP;
}

static struct BlkRequest *free_request(struct Blk *b)
{
    for (unsigned i = 0; i < BLK_FLIGHT; i++)
        if (b->requests[i].state == BLK_FREE)
            return &b->requests[i];
    return NULL;
}

/* Take the next request from the queue. NULL: there is none, or no place for it. */
static struct BlkRequest *take(struct Blk *b)
{
    struct BlkRequest *r = free_request(b);

    if (!r || !virtio_pop(&b->virtio, QUEUE, &r->chain))
        return NULL;
    if (r->chain.write_len == 0) {
        virtio_broken(&b->virtio, "a disk request has no place for its status");
        return NULL;
    }
    set_state(r, BLK_READY);
    r->type = 0;
    r->at = r->left = 0;
    r->piece = r->offset = 0;
    r->flushing = false;
    int result = begin(r);
    if (result < 0)
        fail(r, result);
    return r;
}

/* ---- Events ---- */

/* Go on with a request as long as it is ready and the budget lasts. */
static void go_on(struct BlkRequest *r)
{
    const struct Blk *b = r->blk;

    while (r->state == BLK_READY && b->budget > 0 && step(r))
        ;
}

/* What was in flight before a reset may still change the disk: nothing is begun before that is
 * over. */
void blk_run(struct Blk *b)
{
    struct BlkRequest *r;

    if (!virtio_is_live(&b->virtio, QUEUE))
        return;
    dma_refresh(b->virtio.peer->dma);
    b->budget = BUDGET;
    for (unsigned i = 0; b->ready > 0 && i < BLK_FLIGHT; i++)
        go_on(&b->requests[i]);
    while (b->budget > 0 && b->orphans == 0 && (r = take(b))) {
        b->budget--;
        go_on(r);
    }
    virtio_signal(&b->virtio, QUEUE);
    if (b->budget <= 0)
        b->peer->nudge(b->peer->to);
}

void blk_answer(struct BlkRequest *r, int result, void *page)
{
    struct Virtio *v = &r->blk->virtio;

    if (r->state == BLK_ORPHAN)
        r->blk->orphans--;
    if (r->state == BLK_ORPHAN || !virtio_is_live(v, QUEUE)) {
        set_state(r, BLK_FREE);
        return;
    }
    dma_refresh(v->peer->dma);
    set_state(r, BLK_READY);
    if (result >= 0 && r->type == T_IN && !copy(r, page))
        result = -E_INVAL;
    if (result < 0)
        fail(r, result);
    else if (r->left > 0)
        step_done(r);
    else
        finish(r, S_OK);
}

static void notified(struct Virtio *v, unsigned queue)
{
    (void)queue;
    blk_run(container_of(v, struct Blk, virtio));
}

static void reset(struct Virtio *v)
{
    struct Blk *b = container_of(v, struct Blk, virtio);

    for (unsigned i = 0; i < BLK_FLIGHT; i++) {
        struct BlkRequest *r = &b->requests[i];
        b->orphans += r->state == BLK_WAITS;
        set_state(r, r->state == BLK_WAITS || r->state == BLK_ORPHAN ? BLK_ORPHAN : BLK_FREE);
    }
}

bool blk_is_idle(const struct Blk *b)
{
    for (unsigned i = 0; i < BLK_FLIGHT; i++)
        if (b->requests[i].state != BLK_FREE)
            return false;
    return true;
}

/* ---- The device ---- */

static void config(const struct Virtio *v, uint8_t *bytes)
{
    const struct Blk *b = container_of((struct Virtio *)v, struct Blk, virtio);
    const struct Config c = {
        .capacity = b->setup.sectors,
        .seg_max = QUEUE_MAX - 2, /* header and status are descriptors, too */
        .blk_size = BLK_SECTOR,
        .block_exp = BLOCK_EXP,
        .min_io_size = 1u << BLOCK_EXP,
        .max_discard_sectors = BLK_DISCARD,
        .max_discard_seg = BLK_SEGS,
        .discard_alignment = 1u << BLOCK_EXP,
        .max_zeroes_sectors = BLK_DISCARD,
        .max_zeroes_seg = BLK_SEGS,
        .zeroes_may_unmap = 1,
    };
    memcpy(bytes, &c, sizeof(c));
}

#define TYPE(more)                                                                           \
    {                                                                                        \
        .words = "a disk", .id = 2, .pci_class = PCI_STORAGE, .features = FEATURES | (more), \
        .nqueues = 1, .queue_max = { QUEUE_MAX }, .config_size = CONFIG_SIZE,                \
        .notified = notified, .config = config, .reset = reset,                              \
    }
static const struct VirtioType type = TYPE(0);
static const struct VirtioType type_read_only = TYPE(F_RO);

static void save(const struct Device *d, void *state)
{
    virtio_save((const struct Virtio *)d, &((struct BlkSaved *)state)->virtio);
}

static int load(struct Device *d, const void *state)
{
    return virtio_load((struct Virtio *)d, &((const struct BlkSaved *)state)->virtio);
}

static const struct DeviceKind kind = {
    .name = "vblk",
    .read = virtio_read,
    .write = virtio_write,
    .save = save,
    .load = load,
    .version = 1,
    .size = sizeof(struct BlkSaved),
};

int blk_add(struct Blk *b, const struct BlkSetup *setup, const struct BlkPeer *peer,
            const struct VirtioPeer *virtio_peer)
{
    *b = (struct Blk){ .setup = *setup, .peer = peer };
    for (unsigned i = 0; i < BLK_FLIGHT; i++)
        b->requests[i].blk = b;
    return virtio_add(&b->virtio, setup->read_only ? &type_read_only : &type, &kind, virtio_peer);
}
