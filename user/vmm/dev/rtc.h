/*
 * The real-time clock of a PC, a Motorola MC146818, with its 128 bytes of memory (CMOS), at ports
 * 0x70 and 0x71.
 */
#ifndef JOS_USER_VMM_DEV_RTC_H
#define JOS_USER_VMM_DEV_RTC_H

#include <user/vmm/dev/bus.h>

#define RTC_MEMORY 128

/* Where the time comes from: seconds since the beginning of 1970. */
struct RtcPeer {
    int64_t (*seconds)(void);
};

struct RtcState {
    uint8_t index;              /* of the register that port 0x71 is */
    uint8_t memory[RTC_MEMORY]; /* the time's registers are kept here only while B says SET */
    int64_t offset;             /* seconds that the guest has set its clock ahead */
    int64_t told;               /* the second at which register C was read last */
};

struct Rtc {
    struct Device device;
    struct RtcState state;
    const struct RtcPeer *peer;
    struct IrqLine irq; /* never raised: there are no alarms and no other interrupts */
};

/* Add it to the bus. 0 or -E_*. */
int rtc_add(struct Rtc *r, struct BusSpace *ports, const struct RtcPeer *peer, struct IrqLine irq);

#endif
