/*
 * Registers of a PC's real-time clock (MC146818 data sheet, "Address Map"), for the kernel, which
 * reads it, and for the monitor, which plays it.
 */
#ifndef JOS_INC_RTC_H
#define JOS_INC_RTC_H

#define RTC_PORT_INDEX 0x70 /* bit 7 masks NMIs */
#define RTC_PORT_DATA  0x71

#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS   0x04
#define RTC_WEEKDAY 0x06
#define RTC_DAY     0x07
#define RTC_MONTH   0x08
#define RTC_YEAR    0x09
#define RTC_A       0x0a
#define RTC_B       0x0b
#define RTC_C       0x0c
#define RTC_D       0x0d
#define RTC_CENTURY 0x32

#define RTC_A_UPDATE 0x80 /* an update is under way */
#define RTC_B_SET    0x80 /* no updates: the time may be set */
#define RTC_B_24H    0x02
#define RTC_B_BINARY 0x04
#define RTC_C_UPDATE 0x10 /* an update has ended; reading clears it */
#define RTC_D_VALID  0x80 /* the battery has kept time and memory */
#define RTC_HOURS_PM 0x80 /* without RTC_B_24H */

#endif
