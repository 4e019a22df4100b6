/*
 * `vmm -C FEATURE=off`: features by the names of inc/cpufeatures.h.
 */
#include <inc/lib.h>
#include <user/vmm/common.h>
#include <user/vmm/features.h>

#define LINE_MAX 78

static const struct CpuFeatureRow rows[] = CPU_FEATURE_ROWS;

static const struct CpuFeatureRow *find(const char *name, size_t n)
{
    for (size_t i = 0; i < CPU_NFEATURES; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

/* All that can be turned off. */
static void list(void)
{
    size_t column = 0;
    for (size_t i = 0; i < CPU_NFEATURES; i++) {
        size_t n = strlen(rows[i].name) + 1;
        if (!rows[i].may_be_off)
            continue;
        if (column + n > LINE_MAX) {
            fprintf(2, "\n");
            column = 0;
        }
        fprintf(2, " %s", rows[i].name);
        column += n;
    }
    fprintf(2, "\n");
}

int features_option(struct CpuWords *off, const char *arg)
{
    size_t n = strfind(arg, '=') - arg;
    if (strcmp(arg + n, "=off") != 0) {
        complain("-C %s: a feature is turned off by FEATURE=off; these can be off:", arg);
        list();
        return -E_INVAL;
    }
    const struct CpuFeatureRow *f = find(arg, n);
    if (!f) {
        complain("-C %s: no such feature; these can be off:", arg);
        list();
        return -E_INVAL;
    }
    if (!f->may_be_off) {
        complain("-C %s: a guest cannot run without %s", arg, f->name);
        return -E_INVAL;
    }
    off->word[f->word] |= 1u << f->bit;
    return 0;
}

bool features_any(const struct CpuWords *off)
{
    for (size_t i = 0; i < CPU_NWORDS; i++)
        if (off->word[i] != 0)
            return true;
    return false;
}
