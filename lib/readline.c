/*
 * Reading a line from the console with editing and history, for the shell and for the kernel
 * monitor. Keys change only the line in memory. When no input is left, refresh() compares the line
 * with what the terminal shows and writes the difference in one go, since each serial byte is
 * expensive.
 *
 * Long lines wrap where the terminal ends, so it is asked for its width when a line grows long.
 * Nobody waits for the answer, which comes like a key. What does not answer has 80 columns, or is
 * no terminal. Short lines ask nothing, since whoever pastes a command with its input wants no
 * answer of the terminal's in that.
 */
#include <inc/stdio.h>
#include <inc/string.h>

#define LINE_SIZE 1024
#define HIST_SIZE 4096

#define COLUMNS     80 /* of a terminal that does not tell */
#define COLUMNS_MIN 2
#define COLUMNS_ASK 20 /* how long, with its prompt, a line is before its terminal is asked */
/* Go right as far as it goes, tell the cursor's place, and go back. */
#define ASK_COLUMNS "\0337\033[999C\033[6n\0338"

#define CTRL(c) ((c)&0x1f)
#define KEY_ESC 0x1b
#define KEY_DEL 0x7f

/* Keys that arrive as escape sequences. */
enum {
    KEY_UP = 0x100,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_NONE, /* the sequence is not complete, or is unknown */
};

/* Text of at most LINE_SIZE - 1 bytes and a cursor in it. */
struct Text {
    char s[LINE_SIZE];
    size_t len, cur;
};

static struct Text line;  /* what is edited */
static struct Text shown; /* what the terminal shows of it */
static bool written;      /* by a character, and not moved, the cursor came where it is */
static size_t columns = COLUMNS;
static enum {
    ASK_NOT,
    ASK_SENT,
    ASK_ANSWERED,
} ask_state; /* in this line */
static size_t prompt_len;
static bool after_cr; /* the last line ended with CR: an LF right after it belongs to it */

/* Past lines, each with its NUL, the oldest first; the last one is followed by hist_len. */
static char hist[HIST_SIZE];
static size_t hist_len;
static size_t hist_pos; /* the line shown; hist_len: none, a new one is edited */

/* ---- History ---- */

const char *readline_history(int n)
{
    size_t pos = 0;
    while (n-- > 0 && pos < hist_len)
        pos += strlen(hist + pos) + 1;
    return pos < hist_len ? hist + pos : NULL;
}

/* Start of the line before pos, which is not 0. */
static size_t hist_before(size_t pos)
{
    pos--;
    while (pos > 0 && hist[pos - 1] != '\0')
        pos--;
    return pos;
}

/* Append the line, unless it is empty or repeats the last one; the oldest ones make room. */
static void hist_add(void)
{
    if (line.len == 0 || (hist_len > 0 && strcmp(hist + hist_before(hist_len), line.s) == 0))
        return;
    while (hist_len + line.len + 1 > HIST_SIZE) {
        size_t oldest = strlen(hist) + 1;
        memmove(hist, hist + oldest, hist_len - oldest);
        hist_len -= oldest;
    }
    memcpy(hist + hist_len, line.s, line.len + 1);
    hist_len += line.len + 1;
}

static void hist_show(size_t pos)
{
    hist_pos = pos;
    strlcpy(line.s, pos < hist_len ? hist + pos : "", LINE_SIZE);
    line.len = line.cur = strlen(line.s);
}

/* ---- Editing ---- */

static void insert(char c)
{
    if (line.len + 1 >= LINE_SIZE)
        return;
    memmove(line.s + line.cur + 1, line.s + line.cur, line.len - line.cur + 1);
    line.s[line.cur++] = c;
    line.len++;
}

/* Remove [from, to) and leave the cursor there. */
static void cut(size_t from, size_t to)
{
    memmove(line.s + from, line.s + to, line.len - to + 1);
    line.len -= to - from;
    line.cur = from;
}

static void key_left(void)
{
    line.cur -= line.cur > 0;
}

static void key_right(void)
{
    line.cur += line.cur < line.len;
}

static void key_home(void)
{
    line.cur = 0;
}

static void key_end(void)
{
    line.cur = line.len;
}

static void key_backspace(void)
{
    if (line.cur > 0)
        cut(line.cur - 1, line.cur);
}

static void key_delete(void)
{
    if (line.cur < line.len)
        cut(line.cur, line.cur + 1);
}

static void key_kill_before(void)
{
    cut(0, line.cur);
}

static void key_kill_after(void)
{
    cut(line.cur, line.len);
}

static void key_kill_word(void)
{
    size_t from = line.cur;
    while (from > 0 && line.s[from - 1] == ' ')
        from--;
    while (from > 0 && line.s[from - 1] != ' ')
        from--;
    cut(from, line.cur);
}

static void key_older(void)
{
    if (hist_pos > 0)
        hist_show(hist_before(hist_pos));
}

static void key_newer(void)
{
    if (hist_pos < hist_len)
        hist_show(hist_pos + strlen(hist + hist_pos) + 1);
}

static const struct {
    int key;
    void (*act)(void);
} bindings[] = {
    { CTRL('B'), key_left },        { KEY_LEFT, key_left },        { CTRL('F'), key_right },
    { KEY_RIGHT, key_right },       { CTRL('A'), key_home },       { KEY_HOME, key_home },
    { CTRL('E'), key_end },         { KEY_END, key_end },          { CTRL('H'), key_backspace },
    { KEY_DEL, key_backspace },     { CTRL('D'), key_delete },     { KEY_DELETE, key_delete },
    { CTRL('U'), key_kill_before }, { CTRL('K'), key_kill_after }, { CTRL('W'), key_kill_word },
    { CTRL('P'), key_older },       { KEY_UP, key_older },         { CTRL('N'), key_newer },
    { KEY_DOWN, key_newer },
};

static void edit(int key)
{
    for (size_t i = 0; i < ARRAY_SIZE(bindings); i++)
        if (bindings[i].key == key)
            return bindings[i].act();
    if (key == '\t')
        key = ' ';
    if (key >= ' ' && key <= 0xff)
        insert(key);
}

/* ---- Escape sequences: ESC [ letter, ESC O letter, ESC [ number ~, ESC [ row ; column R ---- */

static const struct {
    char final; /* the letter, or '~' with the number */
    int number;
    int key;
} sequences[] = {
    { 'A', 0, KEY_UP },   { 'B', 0, KEY_DOWN }, { 'C', 0, KEY_RIGHT },  { 'D', 0, KEY_LEFT },
    { 'H', 0, KEY_HOME }, { 'F', 0, KEY_END },  { '~', 1, KEY_HOME },   { '~', 7, KEY_HOME },
    { '~', 4, KEY_END },  { '~', 8, KEY_END },  { '~', 3, KEY_DELETE },
};

enum SeqState {
    SEQ_NONE,
    SEQ_ESC,
    SEQ_BODY,
};
static enum SeqState seq_state;
static int seq_number, seq_last; /* all digits; those of the last number */

/* The terminal says at which column its last one is. */
static void take_columns(size_t n)
{
    if (ask_state != ASK_SENT || n < COLUMNS_MIN)
        return;
    ask_state = ASK_ANSWERED;
    columns = n;
}

/* Feed one character; returns a key, or KEY_NONE while a sequence goes on. */
static int decode(int c)
{
    if (c == KEY_ESC) {
        seq_state = SEQ_ESC;
        return KEY_NONE;
    }
    if (seq_state == SEQ_NONE)
        return c;
    if (seq_state == SEQ_ESC) {
        seq_state = c == '[' || c == 'O' ? SEQ_BODY : SEQ_NONE;
        seq_number = seq_last = 0;
        return KEY_NONE;
    }
    if (c >= '0' && c <= '9') {
        seq_number = (seq_number * 10 + c - '0') % 1000;
        seq_last = (seq_last * 10 + c - '0') % 1000;
        return KEY_NONE;
    }
    if (c == ';') {
        seq_last = 0;
        return KEY_NONE;
    }
    seq_state = SEQ_NONE;
    if (c == 'R')
        take_columns(seq_last);
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
        if (sequences[i].final == c && (c != '~' || sequences[i].number == seq_number))
            return sequences[i].key;
    return KEY_NONE;
}

/* ---- The terminal ---- */

/* Output is collected here and written when it is full or complete. */
static char outbuf[256];
static size_t outlen;

static void out_flush(void)
{
    if (outlen > 0)
        term_write(outbuf, outlen);
    outlen = 0;
}

static void out(const char *s, size_t len)
{
    for (; len > 0; len--) {
        if (outlen == sizeof(outbuf))
            out_flush();
        outbuf[outlen++] = *s++;
    }
}

static void out_repeat(char c, size_t n)
{
    while (n-- > 0)
        out(&c, 1);
}

/* Write s from the cursor on. */
static void put_text(const char *s, size_t len)
{
    out(s, len);
    shown.cur += len;
    written = written || len > 0;
}

/* Was the last column written, so that the cursor wraps with the next character? */
static bool wrap_pending(void)
{
    return written && (prompt_len + shown.cur) % columns == 0;
}

/* Write the character at the cursor and step back, so that the terminal's cursor is in the row it
 * belongs to. */
static void finish_wrap(void)
{
    out(shown.cur < shown.len ? shown.s + shown.cur : " ", 1);
    out("\b", 1);
    written = false;
}

/* Move the terminal's cursor to position `to` of the shown text. */
static void move_cursor(size_t to)
{
    if (to >= shown.cur)
        return put_text(shown.s + shown.cur, to - shown.cur);
    if (wrap_pending())
        finish_wrap();

    size_t row_now = (prompt_len + shown.cur) / columns, row = (prompt_len + to) / columns;
    if (row == row_now) {
        out_repeat('\b', shown.cur - to);
    } else {
        char seq[32];
        size_t col = (prompt_len + to) % columns;
        out(seq, snprintf(seq, sizeof(seq), "\033[%zuA\r", row_now - row));
        if (col > 0)
            out(seq, snprintf(seq, sizeof(seq), "\033[%zuC", col));
    }
    shown.cur = to;
    written = false;
}

/* Make the terminal show the line. */
static void refresh(void)
{
    size_t same = 0, old_len = shown.len;
    while (same < line.len && same < shown.len && line.s[same] == shown.s[same])
        same++;
    if (same < line.len || same < shown.len) {
        move_cursor(same);
        put_text(line.s + same, line.len - same);
        size_t extra = old_len > line.len ? old_len - line.len : 0;
        memcpy(shown.s, line.s, line.len + 1);
        memset(shown.s + line.len, ' ', extra);
        put_text(shown.s + line.len, extra);
        shown.s[line.len] = '\0';
        shown.len = line.len;
    }
    if (shown.cur != line.cur)
        move_cursor(line.cur);
    out_flush();
}

/* What a key that ends the line does to it. */
enum End {
    END_NOT,
    END_LINE,
    END_EOF,
    END_CANCEL,
};

static enum End line_end(int key)
{
    if (key == '\n' && after_cr) {
        after_cr = false;
        return END_NOT;
    }
    after_cr = key == '\r';
    if (key == '\r' || key == '\n')
        return END_LINE;
    if (key == CTRL('C'))
        return END_CANCEL;
    return key == CTRL('D') && line.len == 0 ? END_EOF : END_NOT;
}

/* Ask for the width, once a line. */
static void ask_columns(void)
{
    if (ask_state != ASK_NOT || prompt_len + line.len < COLUMNS_ASK)
        return;
    if (wrap_pending())
        finish_wrap(); /* not every terminal comes back to that */
    out(ASK_COLUMNS, strlen(ASK_COLUMNS));
    ask_state = ASK_SENT;
}

/* Edit until a key ends the line. */
static enum End edit_line(void)
{
    for (;;) {
        int c;
        if (!(c = term_key(false))) {
            refresh();
            ask_columns(); /* the echo does not wait for that */
            c = term_key(true);
            if (c < 0)
                return END_EOF;
        }
        int key = decode(c);
        enum End end = line_end(key);
        if (end != END_NOT)
            return end;
        edit(key);
    }
}

char *readline(const char *prompt)
{
    memset(&shown, 0, sizeof(shown));
    memset(&line, 0, sizeof(line));
    hist_pos = hist_len;
    seq_state = SEQ_NONE;
    written = false;
    if (ask_state == ASK_SENT) /* it did not answer while the last line was edited */
        columns = COLUMNS;
    ask_state = ASK_NOT;
    prompt_len = strlen(prompt);
    out(prompt, prompt_len);

    enum End end = edit_line();
    line.cur = line.len;
    refresh();
    if (end == END_CANCEL) {
        line.len = 0;
        line.s[0] = '\0';
        out("^C", 2);
    }
    out("\n", 1);
    out_flush();
    hist_add();
    return end == END_EOF ? NULL : line.s;
}
