/*
 * The PS/2 keyboard behind an 8042 controller that translates to scan-code set 1 (IBM PS/2
 * Technical Reference, "Keyboard and Auxiliary Device Controller"). US layout; cursor keys become
 * the ANSI sequences that a terminal would send.
 */
#include <inc/string.h>
#include <inc/trap.h>
#include <inc/x86.h>
#include <kern/dev/consdev.h>
#include <kern/dev/console.h>
#include <kern/dev/kbd.h>
#include <kern/dev/pic.h>

#define KBD_DATA   0x60
#define KBD_STATUS 0x64
#define KBD_CMD    0x64

#define STATUS_OUT       0x01 /* a byte for us */
#define STATUS_IN        0x02 /* the controller has not taken our last byte */
#define STATUS_AUX       0x20 /* the byte is the mouse's */
#define STATUS_NO_DEVICE 0xff

#define CMD_READ_CONFIG  0x20
#define CMD_WRITE_CONFIG 0x60
#define CONFIG_IRQ       0x01
#define CONFIG_OFF       0x10
#define CONFIG_TRANSLATE 0x40

#define SC_RELEASE  0x80
#define SC_EXTENDED 0xe0
#define SC_CTRL     0x1d
#define SC_LSHIFT   0x2a
#define SC_RSHIFT   0x36
#define SC_CAPS     0x3a
#define SC_SLASH    0x35
#define SC_HOME     0x47
#define SC_DELETE   0x53

/* Reads of the status register before the controller counts as absent, and bytes to throw away. */
#define MAX_POLLS 100000
#define MAX_DRAIN 64

static const char plain[] = "\0\033"
                            "1234567890-=\b\t"
                            "qwertyuiop[]\n\0"
                            "asdfghjkl;'`\0\\"
                            "zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033"
                              "!@#$%^&*()_+\b\t"
                              "QWERTYUIOP{}\n\0"
                              "ASDFGHJKL:\"~\0|"
                              "ZXCVBNM<>?\0*\0 ";
_Static_assert(sizeof(plain) == sizeof(shifted), "one entry a key in both tables");

/* Keys from SC_HOME to SC_DELETE: the cursor block, or the number pad with Num Lock off. */
static const char *const cursor_keys[] = {
    [0x47 - SC_HOME] = "\033[H",  [0x48 - SC_HOME] = "\033[A",  [0x49 - SC_HOME] = "\033[5~",
    [0x4a - SC_HOME] = "-",       [0x4b - SC_HOME] = "\033[D",  [0x4d - SC_HOME] = "\033[C",
    [0x4e - SC_HOME] = "+",       [0x4f - SC_HOME] = "\033[F",  [0x50 - SC_HOME] = "\033[B",
    [0x51 - SC_HOME] = "\033[6~", [0x52 - SC_HOME] = "\033[2~", [0x53 - SC_HOME] = "\033[3~",
};
_Static_assert(ARRAY_SIZE(cursor_keys) == SC_DELETE - SC_HOME + 1, "the whole block");

static bool shift, ctrl, caps, extended;

/* Wait until the status has (or has not) this bit. Returns false if that does not happen. */
static bool wait_status(uint8_t bit, bool set)
{
    for (int i = 0; i < MAX_POLLS; i++) {
        if (((inb(KBD_STATUS) & bit) != 0) == set)
            return true;
        cpu_pause();
    }
    return false;
}

static void drain(void)
{
    for (int i = 0; i < MAX_DRAIN && (inb(KBD_STATUS) & STATUS_OUT); i++)
        inb(KBD_DATA);
}

/* Read the controller's configuration and write it back with interrupts and translation on. */
static bool kbd_init(void)
{
    if (inb(KBD_STATUS) == STATUS_NO_DEVICE)
        return false;
    drain();
    if (!wait_status(STATUS_IN, false))
        return false;
    outb(KBD_CMD, CMD_READ_CONFIG);
    if (!wait_status(STATUS_OUT, true))
        return false;
    uint8_t config = (inb(KBD_DATA) | CONFIG_IRQ | CONFIG_TRANSLATE) & ~CONFIG_OFF;
    if (!wait_status(STATUS_IN, false))
        return false;
    outb(KBD_CMD, CMD_WRITE_CONFIG);
    if (!wait_status(STATUS_IN, false))
        return false;
    outb(KBD_DATA, config);
    return true;
}

static void input_string(const char *s)
{
    while (s && *s)
        cons_input(*s++);
}

/* Take note of a modifier key. Returns false if the key is none. */
static bool modifier(uint8_t key, bool pressed)
{
    switch (key) {
    case SC_CTRL:
        ctrl = pressed;
        return true;
    case SC_LSHIFT:
    case SC_RSHIFT:
        shift = pressed;
        return true;
    case SC_CAPS:
        caps ^= pressed;
        return true;
    default:
        return false;
    }
}

/* The character of a key of the main block with the modifiers as they are; 0: none. */
static int key_char(uint8_t key)
{
    int c = plain[key];
    bool letter = c >= 'a' && c <= 'z';

    if (letter ? shift != caps : shift)
        c = shifted[key];
    if (ctrl && ((c >= '@' && c <= '_') || (c >= 'a' && c <= 'z')))
        c &= 0x1f;
    return c;
}

static void scan_code(uint8_t code)
{
    if (code == SC_EXTENDED) {
        extended = true;
        return;
    }
    bool was_extended = extended;
    uint8_t key = code & ~SC_RELEASE;
    extended = false;

    /* Extended "shift" codes only bracket cursor keys. */
    if (was_extended && (key == SC_LSHIFT || key == SC_RSHIFT))
        return;
    if (modifier(key, !(code & SC_RELEASE)) || (code & SC_RELEASE))
        return;
    if (key >= SC_HOME && key <= SC_DELETE)
        input_string(cursor_keys[key - SC_HOME]);
    else if (was_extended && key == SC_SLASH)
        cons_input('/');
    else if (key < sizeof(plain) - 1)
        cons_input(key_char(key));
}

static void kbd_poll(bool force)
{
    (void)force;
    uint8_t status;
    while ((status = inb(KBD_STATUS)) != STATUS_NO_DEVICE && (status & STATUS_OUT)) {
        uint8_t code = inb(KBD_DATA);
        if (!(status & STATUS_AUX))
            scan_code(code);
    }
}

static void kbd_intr_enable(void)
{
    /* A key pressed meanwhile would hold the line up, and an edge is needed. */
    kbd_poll(true);
    pic_enable(IRQ_KBD);
}

const struct ConsDev kbd_dev = {
    .name = "PS/2 keyboard",
    .init = kbd_init,
    .poll = kbd_poll,
    .intr_enable = kbd_intr_enable,
};
