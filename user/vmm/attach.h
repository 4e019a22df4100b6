/*
 * Who has the host's console.
 */
#ifndef JOS_USER_VMM_ATTACH_H
#define JOS_USER_VMM_ATTACH_H

#include <user/vmm/common.h>

/* What a client asks a monitor for, by sys_ipc_call. MON_ATTACH: the host's console is the guest's
 * while the client waits for the answer. MON_STOP: press the guest's power button; 0, or
 * -E_NOT_SUPP: the guest does not look at it. */
#define MON_ATTACH 1
#define MON_STOP   2
/* The output that is kept, from byte MON_LOG_FROM(value) of all the guest's output on, or from the
 * oldest one: the answer is 0 with a page, struct MonLog, which is the client's own. */
#define MON_LOG             3
#define MON_LOG_VALUE(from) ((uint64_t)(from) << 8 | MON_LOG)
#define MON_LOG_FROM(value) ((value) >> 8)
#define MON_REQUEST(value)  ((value)&0xff)
/* Answered with 0 and nothing else. */
#define MON_PING 4
struct MonLog {
    uint64_t start, end; /* the first byte here; the end of all output so far */
    char text[PGSIZE - 16];
};
_Static_assert(sizeof(struct MonLog) == PGSIZE, "one page");
/* Answers to MON_ATTACH: the console was given back; the guest has ended with status
 * MON_STATUS(answer); or -E_BUSY, -E_INVAL. */
#define MON_DETACHED      1
#define MON_ENDED(status) (2 | (uint64_t)(status) << 8)
#define MON_STATUS(value) ((int)((value) >> 8 & 0xff))

/* The monitor's side. Attached from the start to the env that waits for this monitor. */
void attach_start(envid_t client);
/* Does the host's console belong to this guest? Only as long as the client lives. */
bool attached(void);
/* And did the client ask for it, rather than start this monitor? */
bool attached_on_request(void);
/* Show output if somebody is attached (on_console: it is not written elsewhere), and keep it. */
void attach_output(const char *s, size_t n, bool on_console);
/* Answer a message. */
void attach_message(envid_t from, uint64_t value);
/* Give the console back, with this answer. */
void attach_end(uint64_t answer);

#endif
