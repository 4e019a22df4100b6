/*
 * Words about a disk that is corrupt.
 */
#include <inc/error.h>
#include <fs/core/disk.h>
#include <fs/core/fs.h>

#define COMPLAINTS_MAX \
    20 /* messages about corruption, so that a bad disk does not flood the console */

int fs_complain(struct Fs *fs, const char *what, uint64_t number)
{
    if (fs->complaints < COMPLAINTS_MAX)
        os_say("fs: corrupt: %s (%lu)", what, (unsigned long)number);
    if (++fs->complaints == COMPLAINTS_MAX)
        os_say("fs: more of these will not be printed; check the disk with fsck");
    return -E_CORRUPT;
}
