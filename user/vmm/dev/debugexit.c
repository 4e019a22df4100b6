/*
 * The debug exit, at the port of QEMU's isa-debug-exit; but the value itself is the exit status.
 */
#include <user/vmm/dev/debugexit.h>

#define PORT_EXIT 0x501

static uint64_t debugexit_read(struct Device *d, uint64_t offset, unsigned size)
{
    (void)d;
    (void)offset;
    (void)size;
    return 0xff;
}

static void debugexit_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    (void)size;
    ((struct DebugExit *)d)->power->off(value);
}

static const struct DeviceKind debugexit_kind = {
    .name = "exit",
    .bytes = true,
    .read = debugexit_read,
    .write = debugexit_write,
};

int debugexit_add(struct DebugExit *x, struct BusSpace *ports, const struct PowerSwitch *power)
{
    *x = (struct DebugExit){ .device.kind = &debugexit_kind, .power = power };
    return bus_add(ports, PORT_EXIT, 1, &x->device, 0);
}
