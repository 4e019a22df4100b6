/*
 * ACPI's fixed hardware: the PM1 event and control registers, with the power button, and the power
 * management timer ("ACPI Hardware Specification"). Their ports are as in QEMU's PC.
 */
#ifndef JOS_USER_VMM_DEV_PM_H
#define JOS_USER_VMM_DEV_PM_H

#include <user/vmm/dev/bus.h>
#include <user/vmm/dev/power.h>

#define PORT_PM1_EVENT   0x600 /* status, enable */
#define PORT_PM1_CONTROL 0x604
#define PORT_PM_TIMER    0x608
#define PM1_EVENT_BYTES  4
#define PM1_CONTROL_SIZE 2
#define PM_TIMER_SIZE    4
#define PM_SLEEP_OFF     5 /* the sleep type of \_S5; type 0 switches off, too, as on QEMU's PC */

#define SCI_INPUT 9 /* of the I/O APIC: the system control interrupt */

/* Where the time comes from: periods of the PM timer since some moment. */
struct PmPeer {
    uint64_t (*ticks)(void);
};

struct PmState {
    uint16_t status, enable, control;
    uint16_t pad;
    uint32_t seen; /* the timer, when its top bit was looked at last */
};

struct Pm {
    struct Device device;
    struct PmState state;
    const struct PmPeer *peer;
    const struct PowerSwitch *power;
    struct IrqLine sci;
};

/* Add it to the bus. The line is high while an event that is enabled has happened. 0 or -E_*. */
int pm_add(struct Pm *p, struct BusSpace *ports, const struct PmPeer *peer,
           const struct PowerSwitch *power, struct IrqLine sci);
/* Press the power button. false: the guest has not enabled that, so nothing would come of it. */
bool pm_press_power(struct Pm *p);

#endif
