/*
 * PCI devices for drivers in envs. There is no IOMMU here, so whoever has a device has all of
 * memory: only the file server may have any.
 */
#include <inc/error.h>
#include <inc/msi.h>
#include <inc/pci.h>
#include <inc/trap.h>
#include <kern/cpu.h>
#include <kern/dev/pci.h>
#include <kern/env.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>
#include <kern/sysdev.h>
#include <kern/uaccess.h>

#define NOBODY     0
#define THE_KERNEL (-1)

static struct spinlock devices_lock = SPINLOCK_INIT("devices of envs"); /* of all below */
static envid_t device_owner[PCI_DEVICES];
static struct PciBar device_bars[PCI_DEVICES][PCI_NBARS]; /* of those that envs have */
static envid_t line_owner[NMSI];                          /* of IRQ_MSI + n */

static bool take(unsigned number, envid_t owner)
{
    spin_lock(&devices_lock);
    bool taken = device_owner[number] == NOBODY || device_owner[number] == owner;
    if (taken)
        device_owner[number] = owner;
    spin_unlock(&devices_lock);
    return taken;
}

bool sysdev_take(unsigned number)
{
    return take(number, THE_KERNEL);
}

/* May the current env drive devices, and this one? */
static int check_owner(unsigned device)
{
    if (curenv->env_type != ENV_TYPE_FS)
        return -E_PERM;
    if (device >= PCI_DEVICES || device_owner[device] != curenv->env_id)
        return -E_INVAL;
    return 0;
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
    if (!take(device, curenv->env_id))
        return -E_BUSY;
    pci_start(device, &d);
    for (unsigned n = 0; n < PCI_NBARS; n++)
        device_bars[device][n] = d.bars[n];
    return (r = copyout(dst, &d, sizeof(d))) < 0 ? r : device;
}

/* Each BAR has a place of its own in the window. */
int64_t sys_pci_map(unsigned device, unsigned bar)
{
    int r = check_owner(device);

    if (r < 0)
        return r;
    if (bar >= PCI_NBARS || !pci_can_map(&device_bars[device][bar]))
        return -E_INVAL;
    const struct PciBar *b = &device_bars[device][bar];
    uintptr_t va = UDEV + (device * PCI_NBARS + bar) * (uintptr_t)PCI_MAP_MAX;
    spin_lock(env_mem(curenv));
    r = device_map(curenv->env_pml4, va, b->start, b->size);
    spin_unlock(env_mem(curenv));
    return r < 0 ? r : (int64_t)va;
}

static int take_line(void)
{
    int n = 0;

    spin_lock(&devices_lock);
    while (n < NMSI && line_owner[n] != NOBODY)
        n++;
    if (n < NMSI)
        line_owner[n] = curenv->env_id;
    spin_unlock(&devices_lock);
    return n < NMSI ? n : -E_BUSY;
}

/* Interrupts of devices go to the boot CPU. */
int64_t sys_pci_irq(unsigned device, uintptr_t dst)
{
    int r = check_owner(device), line;

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
    spin_lock(&devices_lock);
    for (unsigned n = 0; n < PCI_DEVICES; n++)
        if (device_owner[n] == owner) {
            pci_stop(n);
            device_owner[n] = NOBODY;
        }
    for (unsigned n = 0; n < NMSI; n++)
        if (line_owner[n] == owner)
            line_owner[n] = NOBODY;
    spin_unlock(&devices_lock);
}
