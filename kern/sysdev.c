/*
 * PCI devices for drivers in envs. There is no IOMMU here, so whoever has a device has all of
 * memory: only the file server may have any.
 */
#include <inc/error.h>
#include <inc/msi.h>
#include <inc/pci.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <kern/cpu.h>
#include <kern/dev/pci.h>
#include <kern/env.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>
#include <kern/sysdev.h>
#include <kern/uaccess.h>

#define NOBODY    0
#define OPEN_MOST 4 /* devices that envs may have */

static struct spinlock sysdev_lock = SPINLOCK_INIT("devices of envs"); /* of the slots below */
static struct OpenDevice {
    envid_t owner;
    int device;
    struct PciBar bars[PCI_NBARS];
} open_devices[OPEN_MOST];
static envid_t line_owner[NMSI]; /* of IRQ_MSI + n */

/* May the current env drive devices, and has it this one? */
static int find_open(unsigned handle, struct OpenDevice **d)
{
    if (curenv->env_type != ENV_TYPE_FS)
        return -E_PERM;
    if (handle >= OPEN_MOST || open_devices[handle].owner != curenv->env_id)
        return -E_INVAL;
    *d = &open_devices[handle];
    return 0;
}

/* The slot for a device of the current env: the one it has, or a free one. -E_BUSY. */
static int find_slot(int device)
{
    int free = -E_BUSY;

    for (int i = 0; i < OPEN_MOST; i++) {
        struct OpenDevice *d = &open_devices[i];
        if (d->owner == curenv->env_id && d->device == device)
            return i;
        if (d->owner == NOBODY)
            free = i;
    }
    return free;
}

/* Give the current env a device and a slot for it, or neither (-E_BUSY). sysdev_lock is held. */
static int take_device(int device)
{
    int slot = find_slot(device);

    if (slot >= 0 && !pci_claim(device, curenv->env_id))
        return -E_BUSY;
    if (slot >= 0)
        open_devices[slot] = (struct OpenDevice){ .owner = curenv->env_id, .device = device };
    return slot;
}

int64_t sys_pci_open(uint32_t id, unsigned nth, uintptr_t dst)
{
    struct PciDevice d;
    int r, device;

    if (curenv->env_type != ENV_TYPE_FS)
        return -E_PERM;
    if ((r = user_mem_check(curenv, dst, sizeof(d), PTE_W)) < 0)
        return r;
    if ((device = pci_find(id, nth)) < 0)
        return -E_NOT_FOUND;
    spin_lock(&sysdev_lock);
    int handle = take_device(device);
    if (handle >= 0) {
        pci_start(device, &d);
        memcpy(open_devices[handle].bars, d.bars, sizeof(d.bars));
    }
    spin_unlock(&sysdev_lock);
    if (handle < 0)
        return handle;
    return (r = copyout(dst, &d, sizeof(d))) < 0 ? r : handle;
}

/* Each BAR has a place of its own in the window. */
int64_t sys_pci_map(unsigned handle, unsigned bar)
{
    struct OpenDevice *d;
    int r = find_open(handle, &d);

    if (r < 0)
        return r;
    if (bar >= PCI_NBARS || !pci_can_map(&d->bars[bar]))
        return -E_INVAL;
    const struct PciBar *b = &d->bars[bar];
    uintptr_t va = UDEV + (handle * PCI_NBARS + bar) * (uintptr_t)PCI_MAP_MAX;
    spin_lock(env_mem(curenv));
    r = device_map(curenv->env_pml4, va, b->start, b->size);
    spin_unlock(env_mem(curenv));
    return r < 0 ? r : (int64_t)va;
}

static int take_line(void)
{
    int n = 0;

    spin_lock(&sysdev_lock);
    while (n < NMSI && line_owner[n] != NOBODY)
        n++;
    if (n < NMSI)
        line_owner[n] = curenv->env_id;
    spin_unlock(&sysdev_lock);
    return n < NMSI ? n : -E_BUSY;
}

/* Interrupts of devices go to the boot CPU. */
int64_t sys_pci_irq(unsigned handle, uintptr_t dst)
{
    struct OpenDevice *d;
    int r = find_open(handle, &d), line;

    if (r < 0 || (r = user_mem_check(curenv, dst, sizeof(struct PciMessage), PTE_W)) < 0)
        return r;
    if ((line = take_line()) < 0)
        return line;
    struct PciMessage m = {
        .address = MSI_ADDRESS | (cpus[0].cpu_apicid & MSI_DEST_MASK) << MSI_DEST_SHIFT,
        .data = T_MSI + line,
    };
    return (r = copyout(dst, &m, sizeof(m))) < 0 ? r : IRQ_MSI + line;
}

bool sysdev_has_irq(int irq)
{
    int line = irq - IRQ_MSI;
    return line >= 0 && line < NMSI && line_owner[line] == curenv->env_id;
}

void sysdev_release(envid_t owner)
{
    pci_release(owner);
    spin_lock(&sysdev_lock);
    for (unsigned n = 0; n < OPEN_MOST; n++)
        if (open_devices[n].owner == owner)
            open_devices[n].owner = NOBODY;
    for (unsigned n = 0; n < NMSI; n++)
        if (line_owner[n] == owner)
            line_owner[n] = NOBODY;
    spin_unlock(&sysdev_lock);
}
