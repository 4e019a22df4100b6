/*
 * The shell's language: words, quotes, parameters, redirection, pipelines. A pipeline is parsed
 * right before it runs, so that $? in it is the status of the one before.
 */
#include "sh.h"

enum Token {
    TOK_END,
    TOK_WORD,
    TOK_PIPE,
    TOK_SEQ,
    TOK_BACKGROUND,
    TOK_AND,
    TOK_OR,
    TOK_IN,
    TOK_OUT,
    TOK_APPEND,
    TOK_ERROR,
};

/* Longest first. */
static const struct {
    const char *text;
    enum Token token;
} operators[] = {
    { "&&", TOK_AND }, { "||", TOK_OR }, { ">>", TOK_APPEND },    { ";", TOK_SEQ },
    { "|", TOK_PIPE }, { "<", TOK_IN },  { "&", TOK_BACKGROUND }, { ">", TOK_OUT },
};

static const enum Link links[] = {
    [TOK_END] = LINK_END, [TOK_SEQ] = LINK_SEQ, [TOK_BACKGROUND] = LINK_BACKGROUND,
    [TOK_AND] = LINK_AND, [TOK_OR] = LINK_OR,
};

struct Parser {
    const char *p;
    struct Pipeline *pl;
    const char *why;
    int next_arg; /* of the script, while $@ is being replaced by them; 0: it is not */
};

static bool put(struct Parser *ps, char c)
{
    if (ps->pl->used >= sizeof(ps->pl->text)) {
        ps->why = "line too long";
        return false;
    }
    ps->pl->text[ps->pl->used++] = c;
    return true;
}

static bool put_text(struct Parser *ps, const char *s)
{
    for (; *s; s++)
        if (!put(ps, *s))
            return false;
    return true;
}

static bool put_number(struct Parser *ps, int n)
{
    char buf[16];
    snprintf(buf, sizeof(buf), "%d", n);
    return put_text(ps, buf);
}

/* All arguments of the script, with blanks between. */
static bool put_args(struct Parser *ps)
{
    for (int i = 1; i < vars.argc; i++)
        if ((i > 1 && !put(ps, ' ')) || !put_text(ps, vars.argv[i]))
            return false;
    return true;
}

/* A parameter, after its $; a $ with anything else after it stands for itself. */
static bool put_parameter(struct Parser *ps)
{
    char c = *ps->p;

    if (c == '?')
        return ps->p++, put_number(ps, vars.status);
    if (c == '#')
        return ps->p++, put_number(ps, MAX(vars.argc - 1, 0));
    if (c == '@' || c == '*')
        return ps->p++, put_args(ps);
    if (c >= '0' && c <= '9') {
        ps->p++;
        return c - '0' < vars.argc ? put_text(ps, vars.argv[c - '0']) : true;
    }
    return put(ps, '$');
}

static bool put_single_quoted(struct Parser *ps)
{
    const char *end = strchr(ps->p, '\'');
    if (!end) {
        ps->why = "unterminated '";
        return false;
    }
    while (ps->p < end)
        if (!put(ps, *ps->p++))
            return false;
    ps->p++;
    return true;
}

static bool put_double_quoted(struct Parser *ps)
{
    for (;;) {
        char c = *ps->p;
        bool ok;
        if (c == '\0') {
            ps->why = "unterminated \"";
            return false;
        }
        ps->p++;
        if (c == '"')
            return true;
        if (c == '$')
            ok = put_parameter(ps);
        else if (c == '\\' && *ps->p && strchr("\"\\$", *ps->p))
            ok = put(ps, *ps->p++);
        else
            ok = put(ps, c);
        if (!ok)
            return false;
    }
}

static bool ends_word(char c)
{
    return c == '\0' || strchr(" \t;&|<>", c);
}

/* A word may change between quoted and unquoted parts. */
static enum Token lex_word(struct Parser *ps)
{
    for (;;) {
        char c = *ps->p;
        bool ok;
        if (ends_word(c))
            break;
        ps->p++;
        if (c == '\'')
            ok = put_single_quoted(ps);
        else if (c == '"')
            ok = put_double_quoted(ps);
        else if (c == '$')
            ok = put_parameter(ps);
        else if (c == '\\' && *ps->p)
            ok = put(ps, *ps->p++);
        else
            ok = put(ps, c);
        if (!ok)
            return TOK_ERROR;
    }
    return put(ps, '\0') ? TOK_WORD : TOK_ERROR;
}

/* Is there a $@, or a quoted one, as a word of its own? It is skipped then, and the script's
 * arguments take its place, each as a word. */
static bool at_all_args(struct Parser *ps)
{
    static const char *const forms[] = { "$@", "\"$@\"" };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        size_t len = strlen(forms[i]);
        if (strncmp(ps->p, forms[i], len) == 0 && ends_word(ps->p[len])) {
            ps->p += len;
            return true;
        }
    }
    return false;
}

static enum Token lex_arg(struct Parser *ps, const char **word)
{
    *word = ps->pl->text + ps->pl->used;
    const char *arg = vars.argv[ps->next_arg++];
    return put_text(ps, arg) && put(ps, '\0') ? TOK_WORD : TOK_ERROR;
}

/* The next token; *word is the text of a TOK_WORD. A comment ends the line. */
static enum Token lex(struct Parser *ps, const char **word)
{
    if (ps->next_arg > 0 && ps->next_arg < vars.argc)
        return lex_arg(ps, word);
    ps->next_arg = 0;
    while (*ps->p == ' ' || *ps->p == '\t')
        ps->p++;
    if (at_all_args(ps)) {
        ps->next_arg = 1;
        return lex(ps, word);
    }
    if (*ps->p == '#')
        ps->p += strlen(ps->p);
    if (*ps->p == '\0')
        return TOK_END;
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        size_t len = strlen(operators[i].text);
        if (strncmp(ps->p, operators[i].text, len) == 0) {
            ps->p += len;
            return operators[i].token;
        }
    }
    *word = ps->pl->text + ps->pl->used;
    return lex_word(ps);
}

static bool fail(struct Parser *ps, const char *why)
{
    ps->why = why;
    return false;
}

static bool parse_redirection(struct Parser *ps, struct Command *cmd, enum Token token)
{
    const char *word = NULL;
    enum Token next = lex(ps, &word);

    if (next != TOK_WORD)
        return next == TOK_ERROR ? false : fail(ps, "file name expected after < or >");
    if (token == TOK_IN) {
        cmd->in = word;
    } else {
        cmd->out = word;
        cmd->append = token == TOK_APPEND;
    }
    return true;
}

/* One command; *end is the token after it. */
static bool parse_command(struct Parser *ps, struct Command *cmd, enum Token *end)
{
    const char *word = NULL;

    memset(cmd, 0, sizeof(*cmd));
    for (;;) {
        *end = lex(ps, &word);
        if (*end == TOK_ERROR)
            return false;
        if (*end == TOK_IN || *end == TOK_OUT || *end == TOK_APPEND) {
            if (!parse_redirection(ps, cmd, *end))
                return false;
            continue;
        }
        if (*end != TOK_WORD)
            return true;
        if (cmd->argc == MAX_ARGS)
            return fail(ps, "too many arguments");
        cmd->argv[cmd->argc++] = word;
    }
}

static bool parse_commands(struct Parser *ps, enum Token *end)
{
    struct Pipeline *pl = ps->pl;

    for (;;) {
        if (pl->ncmds == MAX_PARTS)
            return fail(ps, "too many commands in a pipeline");
        struct Command *cmd = &pl->cmd[pl->ncmds];
        if (!parse_command(ps, cmd, end))
            return false;
        bool empty = cmd->argc == 0 && !cmd->in && !cmd->out;
        if (empty && pl->ncmds == 0 && (*end == TOK_END || *end == TOK_SEQ))
            return true;
        if (cmd->argc == 0)
            return fail(ps, "command expected");
        pl->ncmds++;
        if (*end != TOK_PIPE)
            return true;
    }
}

int parse_pipeline(const char **p, struct Pipeline *pl, const char **why)
{
    struct Parser ps = { .p = *p, .pl = pl };
    enum Token end = TOK_END;

    pl->ncmds = 0;
    pl->used = 0;
    bool ok = parse_commands(&ps, &end);
    *p = ps.p;
    *why = ps.why;
    pl->link = ok ? links[end] : LINK_END;
    return ok ? 0 : -E_INVAL;
}
