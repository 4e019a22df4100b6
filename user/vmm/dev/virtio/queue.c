/*
 * The split virtqueue: from the available ring over descriptors to checked pieces of guest memory,
 * and back by the used ring. Layouts and rules: Virtual I/O Device specification, "The Virtqueue
 * Descriptor Table", "The Virtqueue Available Ring", "The Virtqueue Used Ring".
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/virtio/queue.h>

#define NO_VECTOR 0xffff

struct Desc {
    uint64_t gpa;
    uint32_t len;
    uint16_t flags, next;
};
_Static_assert(sizeof(struct Desc) == 16, "virtqueue descriptor");
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

#define AVAIL_INDEX        2 /* offset */
#define AVAIL_RING         4
#define AVAIL_NO_INTERRUPT 1u
#define USED_INDEX         2
#define USED_RING          4
#define USED_ENTRY         8 /* bytes: the chain's head, and the bytes written */

static bool broken(struct Queue *q, const char *words)
{
    q->broken_by = words;
    return false;
}

static const char no_ring[] = "a ring is not in its RAM";

/* ---- Fields of the rings: each is aligned to its size, so that it is in one page ---- */

static bool load16(struct Queue *q, gpa_t gpa, uint16_t *value)
{
    const char *p = dma_at(q->dma, gpa, DMA_READ);
    if (!p)
        return broken(q, no_ring);
    *value = __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
    return true;
}

static bool store16(struct Queue *q, gpa_t gpa, uint16_t value)
{
    char *p = dma_at(q->dma, gpa, DMA_WRITE);
    if (!p)
        return broken(q, no_ring);
    __atomic_store_n((uint16_t *)p, value, __ATOMIC_RELEASE);
    return true;
}

static bool store32(struct Queue *q, gpa_t gpa, uint32_t value)
{
    char *p = dma_at(q->dma, gpa, DMA_WRITE);
    if (!p)
        return broken(q, no_ring);
    __atomic_store_n((uint32_t *)p, value, __ATOMIC_RELAXED);
    return true;
}

/* Descriptors are aligned to their size in the queue's own table, but not in an indirect one. */
static bool load_desc(struct Queue *q, gpa_t gpa, struct Desc *d)
{
    const char *p = dma_at(q->dma, gpa, DMA_READ);
    if (p && PGOFF(gpa) <= PGSIZE - sizeof(*d)) {
        __builtin_memcpy(d, p, sizeof(*d));
        return true;
    }
    return dma_read(q->dma, gpa, d, sizeof(*d)) || broken(q, "a descriptor is not in its RAM");
}

/* After the rings' entries: the field by which one side tells the other from where on it wants to
 * hear of new ones. */
static gpa_t used_event_at(const struct Queue *q)
{
    return q->s.avail + AVAIL_RING + 2ul * q->s.size;
}

static gpa_t avail_event_at(const struct Queue *q)
{
    return q->s.used + USED_RING + (gpa_t)USED_ENTRY * q->s.size;
}

/* ---- Set-up ---- */

void queue_reset(struct Queue *q)
{
    q->event_idx = q->indirect = false;
    q->broken_by = NULL;
    q->s = (struct QueueState){ .size = q->max, .vector = NO_VECTOR };
}

bool queue_areas_ok(const struct Queue *q)
{
    const struct QueueState *s = &q->s;
    uint64_t n = s->size;
    return s->desc % sizeof(struct Desc) == 0 && s->avail % 2 == 0 && s->used % 4 == 0 &&
           dma_is_ram(q->dma, s->desc, n * sizeof(struct Desc)) &&
           dma_is_ram(q->dma, s->avail, AVAIL_RING + 2 * n + 2) &&
           dma_is_ram(q->dma, s->used, USED_RING + USED_ENTRY * n + 2);
}

int queue_load(struct Queue *q, const struct QueueState *s)
{
    static const uint8_t zeroes[sizeof(s->pad)];
    struct Queue other = *q;
    other.s = *s;
    if (s->size == 0 || s->size > q->max || (s->size & (s->size - 1)) || s->enabled > 1 ||
        memcmp(s->pad, zeroes, sizeof(zeroes)) != 0 || (s->enabled && !queue_areas_ok(&other)))
        return -E_INVAL;
    q->s = *s;
    return 0;
}

/* ---- Chains ---- */

/* A walk over descriptors. */
struct Walk {
    gpa_t table;
    uint32_t ndesc, index; /* in the table, and of the next one */
    unsigned steps;        /* that are left */
    bool indirect;         /* the table is one */
};

static bool add_piece(struct Queue *q, struct Chain *c, const struct Desc *d)
{
    bool write = d->flags & DESC_WRITE;
    if (d->len == 0)
        return true;
    if (!dma_is_ram(q->dma, d->gpa, d->len))
        return broken(q, "a buffer is not in its RAM");
    if (!write && c->nwrite > 0)
        return broken(q, "a buffer to be read comes after one to be written");
    c->pieces[c->nread + c->nwrite] = (struct QueuePiece){ d->gpa, d->len };
    c->nread += !write;
    c->nwrite += write;
    *(write ? &c->write_len : &c->read_len) += d->len;
    return true;
}

/* Go on in the table that the descriptor names. */
static bool enter_table(struct Queue *q, struct Walk *w, const struct Desc *d)
{
    if (!q->indirect)
        return broken(q, "an indirect descriptor was not negotiated");
    if (w->indirect)
        return broken(q, "an indirect table has an indirect descriptor");
    if (d->flags & DESC_NEXT)
        return broken(q, "a descriptor is indirect and has a next one");
    if (d->len == 0 || d->len % sizeof(struct Desc) != 0 || !dma_is_ram(q->dma, d->gpa, d->len))
        return broken(q, "an indirect table is not in its RAM, or of no such size");
    *w = (struct Walk){ d->gpa, d->len / sizeof(struct Desc), 0, w->steps, true };
    return true;
}

/* One descriptor. *more: there is another one. */
static bool walk_step(struct Queue *q, struct Walk *w, struct Chain *c, bool *more)
{
    struct Desc d;
    if (w->steps-- == 0)
        return broken(q, "a chain is longer than the queue");
    if (w->index >= w->ndesc)
        return broken(q, "a descriptor's number is beyond the table");
    if (!load_desc(q, w->table + (gpa_t)w->index * sizeof(d), &d))
        return false;
    *more = d.flags & (DESC_NEXT | DESC_INDIRECT);
    if (d.flags & DESC_INDIRECT)
        return enter_table(q, w, &d);
    w->index = d.next;
    return add_piece(q, c, &d);
}

/* The descriptor that names an indirect table is no part of the chain's length. */
static bool collect(struct Queue *q, struct Chain *c)
{
    struct Walk w = { q->s.desc, q->s.size, c->head, q->s.size, false };
    bool more = true;
    c->nread = c->nwrite = 0;
    c->read_len = c->write_len = 0;
    while (more) {
        bool was_indirect = w.indirect;
        if (!walk_step(q, &w, c, &more))
            return false;
        w.steps += w.indirect && !was_indirect;
    }
    return true;
}

/* How many entries the driver offers that were not taken; -1: the queue is broken. */
static int offered(struct Queue *q)
{
    uint16_t index;
    if (!load16(q, q->s.avail + AVAIL_INDEX, &index))
        return -1;
    uint16_t n = index - q->s.next;
    if (n > q->s.size) {
        broken(q, "the available ring has more entries than its size");
        return -1;
    }
    return n;
}

/* Ask for a notification when the next entry comes. Entries that came before the driver could see
 * that count as offered. */
static int ask_for_notice(struct Queue *q)
{
    if (!q->event_idx)
        return 0;
    if (!store16(q, avail_event_at(q), q->s.next))
        return -1;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return offered(q);
}

enum QueueResult queue_pop(struct Queue *q, struct Chain *c)
{
    if (q->broken_by)
        return QUEUE_BROKEN;
    int n = offered(q);
    if (n == 0)
        n = ask_for_notice(q);
    if (n <= 0)
        return n == 0 ? QUEUE_EMPTY : QUEUE_BROKEN;
    if (!load16(q, q->s.avail + AVAIL_RING + 2ul * (q->s.next & (q->s.size - 1)), &c->head) ||
        !collect(q, c))
        return QUEUE_BROKEN;
    q->s.next++;
    return QUEUE_CHAIN;
}

void queue_unpop(struct Queue *q)
{
    q->s.next--;
}

bool queue_push(struct Queue *q, uint16_t head, uint32_t written)
{
    gpa_t entry = q->s.used + USED_RING + (gpa_t)USED_ENTRY * (q->s.used_index & (q->s.size - 1));
    if (q->broken_by || !store32(q, entry, head) || !store32(q, entry + 4, written))
        return false;
    return store16(q, q->s.used + USED_INDEX, ++q->s.used_index);
}

bool queue_wants_interrupt(struct Queue *q)
{
    uint16_t last = q->s.signalled, now = q->s.used_index, word;
    q->s.signalled = now;
    if (last == now)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the driver sees our index, or we its wish */
    if (!load16(q, q->event_idx ? used_event_at(q) : q->s.avail, &word))
        return false;
    if (!q->event_idx)
        return !(word & AVAIL_NO_INTERRUPT);
    return (uint16_t)(now - word - 1) < (uint16_t)(now - last);
}

/* ---- Copies ---- */

static size_t copy(struct Dma *d, const struct QueuePiece *p, unsigned npieces, uint64_t from,
                   char *buf, size_t n, bool write)
{
    size_t done = 0;
    for (unsigned i = 0; i < npieces && done < n; i++) {
        if (from >= p[i].len) {
            from -= p[i].len;
            continue;
        }
        size_t len = MIN(n - done, p[i].len - from);
        if (write ? !dma_write(d, p[i].gpa + from, buf + done, len)
                  : !dma_read(d, p[i].gpa + from, buf + done, len))
            break;
        done += len;
        from = 0;
    }
    return done;
}

size_t chain_read(struct Dma *d, const struct Chain *c, uint64_t from, void *buf, size_t n)
{
    return copy(d, c->pieces, c->nread, from, buf, n, false);
}

size_t chain_write(struct Dma *d, const struct Chain *c, uint64_t from, const void *buf, size_t n)
{
    return copy(d, c->pieces + c->nread, c->nwrite, from, (char *)buf, n, true);
}
