/*
 * Open files. Each has a page with a struct Fd that its clients map; when the server's own mapping
 * is the only one left, all of them have closed it or are gone.
 */
#include <inc/lib.h>
#include <fs/core/dir.h>
#include <fs/server/gdisk.h>
#include <fs/server/open.h>
#include <fs/server/serv.h>

#define MAXOWNED (MAXOPEN / 4)  /* slots that one family may fill */
#define RESERVED 32             /* the last slots: for init and the shell, to start programs */
#define FILEVA   UL(0x20000000) /* slot i's fd page is at FILEVA + i * PGSIZE */

static struct OpenFile opentab[MAXOPEN];
struct OpenFile *openbuckets[NBUCKETS];
static uint32_t ntop; /* slots below this one have been used */

/* How many mappings slot i's fd page has, the server's included; 0: the page does not exist yet. */
static uint32_t refs(uint32_t i)
{
    uint64_t pte = uvpt_entry(FILEVA + (uintptr_t)i * PGSIZE);
    return pte & PTE_P ? pages[PTE_ADDR(pte) >> PGSHIFT].pp_ref : 0;
}

static bool is_open(uint32_t i)
{
    return opentab[i].inum && refs(i) > 1;
}

/* Slot that has this frame, open or not. */
static struct OpenFile *slot_of(uint32_t frame)
{
    struct OpenFile *of = openbuckets[frame % NBUCKETS];

    while (of && of->frame != frame)
        of = of->next;
    return of;
}

/* The client becomes the first of the holders; place is where it was, or who is to be forgotten. */
static void to_front(struct OpenFile *of, int place, envid_t client)
{
    memmove(of->holder + 1, of->holder, place * sizeof(of->holder[0]));
    of->holder[0] = client;
}

static void close_slot(uint32_t i)
{
    uint32_t inum = opentab[i].inum;

    opentab[i].inum = 0;
    memset(opentab[i].holder, 0, sizeof(opentab[i].holder));
    if (!open_has(inum, 0) && !gdisk_has(inum))
        fs_release(&fs, inum);
}

struct OpenFile *__attribute__((noinline)) open_search(uint32_t frame, envid_t client)
{
    struct OpenFile *of = slot_of(frame);

    if (of && of->inum && !is_open(of - opentab)) {
        close_slot(of - opentab);
        return NULL;
    }
    for (int i = 0; of && i < HOLDERS; i++)
        if (of->holder[i] == client) {
            to_front(of, i, client);
            return of;
        }
    return NULL;
}

int open_show(uintptr_t va, envid_t client)
{
    struct OpenFile *of = slot_of(PGNUM(PTE_ADDR(uvpt_entry(va))));

    if (!of || !of->inum)
        return -E_INVAL;
    if (!open_search(of->frame, client))
        to_front(of, HOLDERS - 1, client);
    return 0;
}

int open_sweep(void)
{
    int n = 0;

    for (uint32_t i = 0; i < ntop; i++)
        if (opentab[i].inum && !is_open(i)) {
            close_slot(i);
            n++;
        }
    return n;
}

/* Is it init, or what init has started? */
static bool is_vital(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];
    envid_t parent = e->env_parent_id;

    return e->env_type == ENV_TYPE_INIT || (parent && envs[ENVX(parent)].env_type == ENV_TYPE_INIT);
}

/* Slots in use that this family has filled. */
static uint32_t files_of_family(envid_t owner)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ntop; i++)
        n += opentab[i].inum && opentab[i].owner == owner;
    return n;
}

/* Give slot i its fd page, which it keeps. */
static int make_page(struct OpenFile *of, uint32_t i)
{
    struct Fd *fd = (struct Fd *)(FILEVA + (uintptr_t)i * PGSIZE);
    int r = sys_page_alloc(0, fd, PTE_P | PTE_U | PTE_W | PTE_NX);

    if (r < 0)
        return r;
    of->fd = fd;
    of->frame = PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)fd)));
    of->next = openbuckets[of->frame % NBUCKETS];
    openbuckets[of->frame % NBUCKETS] = of;
    return 0;
}

int open_alloc(envid_t client, uint32_t mode, struct OpenFile **out)
{
    uint32_t i = 0, end = is_vital(client) ? MAXOPEN : MAXOPEN - RESERVED;
    envid_t owner = envs[ENVX(client)].env_family;

    open_sweep();
    while (i < ntop && opentab[i].inum)
        i++;
    if (i >= end || files_of_family(owner) >= MAXOWNED)
        return -E_MAX_OPEN;
    struct OpenFile *of = &opentab[i];
    if (!of->fd) {
        int r = make_page(of, i);
        if (r < 0)
            return r;
    }
    memset(of->fd, 0, PGSIZE);
    of->owner = owner;
    of->mode = mode & O_ACCMODE;
    ntop = MAX(ntop, i + 1);
    *out = of;
    return 0;
}

bool open_has(uint32_t inum, uint32_t mode_bits)
{
    for (uint32_t i = 0; i < ntop; i++)
        if (opentab[i].inum == inum && is_open(i) &&
            (mode_bits == 0 || (opentab[i].mode & mode_bits)))
            return true;
    return false;
}
