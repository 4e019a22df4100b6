/*
 * Words of the kernel's command line.
 */
#include <inc/string.h>
#include <kern/cmdline.h>
#include <kern/platform.h>

bool cmdline_word(const char *name, char *buf, size_t size)
{
    size_t len = strlen(name);

    for (const char *word = boot_cmdline; *word;) {
        const char *end = strfind(word, ' ');
        const char *rest = word + len;
        if (strncmp(word, name, len) == 0 && (rest == end || *rest == '=')) {
            const char *value = rest == end ? end : rest + 1;
            if (buf && size > 0)
                strlcpy(buf, value, MIN(size, (size_t)(end - value) + 1));
            return true;
        }
        word = *end ? end + 1 : end;
    }
    return false;
}
