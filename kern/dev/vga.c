/*
 * The VGA screen in its 80 by 25 text mode, which the firmware has set. It understands the control
 * characters and the few ANSI escape sequences that line editing uses (ECMA-48 "Control
 * functions"); others are swallowed.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/dev/consdev.h>
#include <kern/dev/vga.h>
#include <kern/kaddr.h>

#define VGA_TEXT  0xb8000 /* physical */
#define ROWS      25
#define COLS      80
#define TAB_WIDTH 8
#define BLANK     0x0720 /* a space, light grey on black */
#define ATTRIBUTE 0x0700

/* CRT controller: index and data port, and the cursor's registers. */
#define CRTC_INDEX     0x3d4
#define CRTC_DATA      0x3d5
#define CRTC_CURSOR_HI 0x0e
#define CRTC_CURSOR_LO 0x0f

#define ESC          0x1b
#define MAX_PARAMS   2
#define LAST_CONTROL 0x1f /* ASCII below the space */

static uint16_t *screen;
static struct {
    uint32_t row, col;
} saved; /* by ESC 7 */
static uint32_t row, col;

/* Where we are in an escape sequence: ESC [ params final. */
static struct {
    enum {
        TEXT,
        SEEN_ESC,
        SEEN_BRACKET
    } state;
    uint32_t nparams;
    uint32_t param[MAX_PARAMS];
} esc;

static void blank(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        screen[i] = BLANK;
}

static uint8_t crtc_read(uint8_t reg)
{
    outb(CRTC_INDEX, reg);
    return inb(CRTC_DATA);
}

static void crtc_write(uint8_t reg, uint8_t v)
{
    outb(CRTC_INDEX, reg);
    outb(CRTC_DATA, v);
}

/* Go on below what the loader has written. */
static bool vga_init(void)
{
    uint32_t pos = crtc_read(CRTC_CURSOR_HI) << 8 | crtc_read(CRTC_CURSOR_LO);

    screen = KADDR(VGA_TEXT);
    row = pos < ROWS * COLS ? pos / COLS : 0;
    col = pos < ROWS * COLS ? pos % COLS : 0;
    return true;
}

static void newline(void)
{
    if (++row < ROWS)
        return;
    row = ROWS - 1;
    memmove(screen, screen + COLS, row * COLS * sizeof(*screen));
    blank(row * COLS, ROWS * COLS);
}

static void put_glyph(int c)
{
    if (col == COLS) {
        col = 0;
        newline();
    }
    screen[row * COLS + col++] = ATTRIBUTE | (uint8_t)c;
}

static void put_text(int c)
{
    switch (c) {
    case '\n':
        col = 0;
        newline();
        break;
    case '\r':
        col = 0;
        break;
    case '\b':
        col -= col > 0;
        break;
    case '\t':
        do
            put_glyph(' ');
        while (col % TAB_WIDTH != 0);
        break;
    case ESC:
        esc.state = SEEN_ESC;
        break;
    default:
        if (c > LAST_CONTROL)
            put_glyph(c);
    }
}

/* Parameter i of a sequence, at least 1, as cursor movements count. */
static uint32_t count(uint32_t i)
{
    return MAX(esc.param[i], 1u);
}

static void esc_up(void)
{
    row -= MIN(row, count(0));
}

static void esc_down(void)
{
    row = MIN(row + count(0), ROWS - 1u);
}

static void esc_right(void)
{
    col = MIN(col + count(0), COLS - 1u);
}

static void esc_left(void)
{
    col -= MIN(col, count(0));
}

static void esc_position(void)
{
    row = MIN(count(0), (uint32_t)ROWS) - 1;
    col = MIN(count(1), (uint32_t)COLS) - 1;
}

/* 0: from the cursor to the end, 2: all of the screen */
static void esc_erase_screen(void)
{
    blank(esc.param[0] == 0 ? row * COLS + col : 0, ROWS * COLS);
}

static void esc_erase_line(void)
{
    blank(row * COLS + (esc.param[0] == 0 ? col : 0), (row + 1) * COLS);
}

static const struct {
    char final;
    void (*act)(void);
} sequences[] = {
    { 'A', esc_up },       { 'B', esc_down },         { 'C', esc_right },      { 'D', esc_left },
    { 'H', esc_position }, { 'J', esc_erase_screen }, { 'K', esc_erase_line },
};

static void end_sequence(int final)
{
    esc.state = TEXT;
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
        if (sequences[i].final == final)
            sequences[i].act();
}

/* One character after ESC [: a digit, a separator, or the final one. */
static void put_param(int c)
{
    uint32_t *p = &esc.param[esc.nparams];

    if (c >= '0' && c <= '9')
        *p = MIN(*p * 10 + (c - '0'), 1000u);
    else if (c == ';')
        esc.nparams = MIN(esc.nparams + 1, MAX_PARAMS - 1u);
    else if (c >= '@' && c <= '~')
        end_sequence(c);
}

/* The character after ESC. */
static void end_escape(int c)
{
    memset(&esc, 0, sizeof(esc));
    if (c == '[')
        esc.state = SEEN_BRACKET;
    if (c == '7') {
        saved.row = row;
        saved.col = col;
    }
    if (c == '8') {
        row = saved.row;
        col = saved.col;
    }
}

static void put_char(int c)
{
    switch (esc.state) {
    case TEXT:
        put_text(c);
        break;
    case SEEN_ESC:
        end_escape(c);
        break;
    case SEEN_BRACKET:
        put_param(c);
        break;
    }
}

static void vga_write(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_char((uint8_t)s[i]);

    uint32_t pos = row * COLS + MIN(col, COLS - 1u);
    crtc_write(CRTC_CURSOR_HI, pos >> 8);
    crtc_write(CRTC_CURSOR_LO, pos & 0xff);
}

const struct ConsDev vga_dev = {
    .name = "VGA text screen",
    .init = vga_init,
    .write = vga_write,
};
