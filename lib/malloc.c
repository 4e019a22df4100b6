/*
 * malloc: one heap that grows from UHEAP. Blocks lie side by side, each knows its own size and
 * that of the block before it, and free ones are on a list; neighbours that are both free become
 * one at once. Pages are mapped when the heap grows and given back when a large block at its end is
 * free.
 */
#include "internal.h"

#define HEAP_LIMIT (UHEAP + (1ul << 36))
#define ALIGN      16
#define GROW_SIZE  (64 * 1024ul)  /* the heap grows by at least this */
#define TRIM_SIZE  (256 * 1024ul) /* a free end of this size is unmapped */

/* In front of every block. The heap's end has a header too, used and of size 0. */
struct Block {
    size_t prev_size;          /* of the block before, 0: this is the first */
    size_t size;               /* with this header, a multiple of ALIGN; bit 0: in use */
    struct Block *next, *prev; /* on the free list; part of the user's bytes otherwise */
};
#define USED      1ul
#define HEADER    offsetof(struct Block, next)
#define MIN_BLOCK sizeof(struct Block)
_Static_assert(HEADER == ALIGN && MIN_BLOCK % ALIGN == 0, "blocks keep the alignment");

static struct Block free_list = { .next = &free_list, .prev = &free_list };
static struct Block *heap_end; /* the last header; NULL: no heap yet */
static uintptr_t mapped_end = UHEAP;

static size_t size_of(const struct Block *b)
{
    return b->size & ~USED;
}

static struct Block *block_after(struct Block *b)
{
    return (struct Block *)((char *)b + size_of(b));
}

static void list_remove(struct Block *b)
{
    b->prev->next = b->next;
    b->next->prev = b->prev;
}

static void list_add(struct Block *b)
{
    b->next = free_list.next;
    b->prev = &free_list;
    b->next->prev = b;
    free_list.next = b;
}

static void set_size(struct Block *b, size_t size, size_t used)
{
    b->size = size | used;
    block_after(b)->prev_size = size;
}

static void unmap_from(uintptr_t from)
{
    for (uintptr_t va = from; va < mapped_end; va += PGSIZE)
        sys_page_unmap(0, (void *)va);
    mapped_end = from;
}

/* Map pages up to end, or none at all. */
static bool map_until(uintptr_t end)
{
    uintptr_t start = mapped_end;
    for (; mapped_end < end; mapped_end += PGSIZE) {
        if (sys_page_alloc(0, (void *)mapped_end, PERM_RW) < 0) {
            unmap_from(start);
            return false;
        }
    }
    return true;
}

/* Make b, which is on no list, free together with free neighbours; returns what it became. */
static struct Block *release(struct Block *b)
{
    struct Block *after = block_after(b);
    size_t size = size_of(b);

    if (!(after->size & USED)) {
        list_remove(after);
        size += size_of(after);
    }
    struct Block *before = (struct Block *)((char *)b - b->prev_size);
    if (b->prev_size > 0 && !(before->size & USED)) {
        list_remove(before);
        size += size_of(before);
        b = before;
    }
    set_size(b, size, 0);
    list_add(b);
    return b;
}

/* Add at least size bytes to the heap's end; returns the free block there, or NULL. */
static struct Block *grow(size_t size)
{
    uintptr_t old_end = heap_end ? (uintptr_t)heap_end + HEADER : UHEAP;
    size_t need = size + (heap_end ? 0 : HEADER);

    if (need > HEAP_LIMIT - old_end)
        return NULL;
    uintptr_t end = ROUNDUP(old_end + need, PGSIZE), far_end = MAX(end, old_end + GROW_SIZE);
    if (!map_until(ROUNDUP(far_end, PGSIZE)) && !map_until(end))
        return NULL;

    struct Block *b = heap_end ? heap_end : (struct Block *)UHEAP;
    heap_end = (struct Block *)(mapped_end - HEADER);
    heap_end->size = USED;
    set_size(b, (char *)heap_end - (char *)b, USED);
    return release(b);
}

/* Unmap a large free block at the end of the heap, but for its first page. */
static void trim(struct Block *b)
{
    if (block_after(b) != heap_end || size_of(b) < TRIM_SIZE)
        return;
    uintptr_t end = ROUNDUP((uintptr_t)b + MIN_BLOCK + HEADER, PGSIZE);
    unmap_from(end);
    heap_end = (struct Block *)(end - HEADER);
    heap_end->size = USED;
    set_size(b, (char *)heap_end - (char *)b, 0);
}

/* Use the first size bytes of free block b; the rest stays free if it makes a block. */
static void *take(struct Block *b, size_t size)
{
    size_t rest = size_of(b) - size;

    list_remove(b);
    if (rest < MIN_BLOCK) {
        b->size |= USED;
        return &b->next;
    }
    set_size(b, size, USED);
    struct Block *r = block_after(b);
    set_size(r, rest, 0);
    list_add(r);
    return &b->next;
}

/* Size of a block with room for n bytes, or 0 if no block could have it. */
static size_t block_size(size_t n)
{
    if (n > HEAP_LIMIT - UHEAP)
        return 0;
    return MAX(ROUNDUP(n + HEADER, ALIGN), MIN_BLOCK);
}

void *malloc(size_t n)
{
    size_t size = block_size(n);
    if (size == 0)
        return NULL;
    for (struct Block *b = free_list.next; b != &free_list; b = b->next)
        if (size_of(b) >= size)
            return take(b, size);
    struct Block *b = grow(size);
    return b ? take(b, size) : NULL;
}

static struct Block *block_of(void *p)
{
    return (struct Block *)((char *)p - HEADER);
}

void free(void *p)
{
    if (!p)
        return;
    struct Block *b = block_of(p);
    assert(b->size & USED);
    trim(release(b));
}

void *calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = malloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *p, size_t n)
{
    if (!p)
        return malloc(n);
    size_t room = size_of(block_of(p)) - HEADER;
    if (n <= room)
        return p;
    void *q = malloc(n);
    if (!q)
        return NULL;
    memcpy(q, p, room);
    free(p);
    return q;
}
