/*
 * Open files. Each has a page with a struct Fd that its clients map; when the server's own mapping
 * is the only one left, all of them have closed it or are gone.
 */
#include <fs/serv.h>
#include <inc/x86.h>

#define MAXOWNED (MAXOPEN / 4)  /* slots that one family may fill */
#define RESERVED 32             /* the last slots: for init and the shell, to start programs */
#define FILEVA   UL(0x20000000) /* slot i's fd page is at FILEVA + i * PGSIZE */

struct OpenFile opentab[MAXOPEN];
static uint32_t ntop; /* slots below this one have been used */

/* How many mappings slot i's fd page has, the server's included; 0: the page does not exist yet. */
static uint32_t refs(uint32_t i)
{
    uint64_t pte = uvpt_entry(FILEVA + (uintptr_t)i * PGSIZE);
    return pte & PTE_P ? pages[PTE_ADDR(pte) >> PGSHIFT].pp_ref : 0;
}

static bool alive(uint32_t i)
{
    return opentab[i].inum && refs(i) > 1;
}

/* An id that other clients cannot guess, so that nobody uses a file that somebody else opened. */
static uint32_t new_id(uint32_t i)
{
    static uint64_t state;

    state = (state ^ read_tsc()) * 0x9e3779b97f4a7c15ul + 1;
    return (uint32_t)(state >> 32) << LOG2MAXOPEN | i;
}

static void drop(uint32_t i)
{
    uint32_t inum = opentab[i].inum;

    opentab[i].inum = 0;
    if (!open_has(inum, 0) && !gdisk_has(inum))
        fs_release(&fs, inum);
}

int open_sweep(void)
{
    int n = 0;

    for (uint32_t i = 0; i < ntop; i++)
        if (opentab[i].inum && !alive(i)) {
            drop(i);
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

/* Who counts as the owner of what this env opens: the first in the line of its ancestors that the
 * shell has started, so that children do not multiply an env's share. */
static envid_t family(envid_t id)
{
    for (int i = 0; i < NENV; i++) {
        envid_t parent = envs[ENVX(id)].env_parent_id;
        if (parent == 0 || is_vital(parent))
            break;
        id = parent;
    }
    return id;
}

/* Slots in use that this family has filled. */
static uint32_t owned(envid_t owner)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ntop; i++)
        n += opentab[i].inum && opentab[i].owner == owner;
    return n;
}

int open_alloc(envid_t client, uint32_t mode, struct OpenFile **out)
{
    uint32_t i = 0, end = is_vital(client) ? MAXOPEN : MAXOPEN - RESERVED;
    envid_t owner = family(client);

    open_sweep();
    while (i < ntop && opentab[i].inum)
        i++;
    if (i >= end || owned(owner) >= MAXOWNED)
        return -E_MAX_OPEN;
    struct OpenFile *of = &opentab[i];
    of->fd = (struct Fd *)(FILEVA + (uintptr_t)i * PGSIZE);
    if (refs(i) == 0) {
        int r = sys_page_alloc(0, of->fd, PTE_P | PTE_U | PTE_W | PTE_NX);
        if (r < 0)
            return r;
    }
    memset(of->fd, 0, PGSIZE);
    of->id = new_id(i);
    of->owner = owner;
    of->mode = mode;
    ntop = MAX(ntop, i + 1);
    *out = of;
    return 0;
}

bool open_has(uint32_t inum, uint32_t mode_bits)
{
    for (uint32_t i = 0; i < ntop; i++)
        if (opentab[i].inum == inum && alive(i) &&
            (mode_bits == 0 || (opentab[i].mode & mode_bits & O_ACCMODE)))
            return true;
    return false;
}
