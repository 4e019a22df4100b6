/*
 * Notes of ELF files: who has made the kernel, and where PVH boot loaders enter it.
 */
#include <inc/elf.h>
#include <user/vmm/notes.h>

#define NOTES_MAX         16384 /* bytes of a PT_NOTE segment that are looked at */
#define NOTE_PHYS32_ENTRY 18    /* of Xen (XEN_ELFNOTE_PHYS32_ENTRY) */

/* The bytes of a segment of notes, in a buffer of this file. Returns how many; -E_* after a
 * sentence. */
static ssize_t read_part(const struct Image *im, const struct FilePart *part, const uint8_t **bytes)
{
    static uint8_t buf[NOTES_MAX];

    if (part->offset < 0 || !in_range(part->offset, part->size, 0, im->size)) {
        complain("%s: truncated: its notes need 0x%lx bytes at offset 0x%lx, the file has 0x%lx "
                 "bytes",
                 im->path, part->size, part->offset, im->size);
        return -E_NOT_EXEC;
    }
    ssize_t n = MIN(part->size, sizeof(buf)), got = seek(im->fd, part->offset);
    if (got == 0)
        got = readn(im->fd, buf, n);
    if (got != n) {
        complain("%s: cannot read its notes: %e", im->path, got < 0 ? (int)got : -E_EOF);
        return got < 0 ? got : -E_EOF;
    }
    *bytes = buf;
    return n;
}

static bool is_named(const struct ElfNote *note, const uint8_t *name, const char *owner)
{
    size_t n = strlen(owner) + 1;
    return note->n_namesz == n && memcmp(name, owner, n) == 0;
}

/* The address is of 32 or 64 bits, as the class of the kernel. */
static int take_entry(const struct Image *im, const struct ElfNote *note, const uint8_t *desc,
                      struct KernelNotes *notes)
{
    if (note->n_descsz != sizeof(uint32_t) && note->n_descsz != sizeof(uint64_t)) {
        complain("%s: broken: its PVH entry point has %u bytes, not 4 or 8", im->path,
                 note->n_descsz);
        return -E_NOT_EXEC;
    }
    notes->has_pvh = true;
    notes->pvh_entry = 0;
    memcpy(&notes->pvh_entry, desc, note->n_descsz);
    return 0;
}

/* Take the note at offset `at` of n bytes of notes, and move on to the next one. */
static int take_note(const struct Image *im, const uint8_t *bytes, size_t n, size_t *at,
                     struct KernelNotes *notes)
{
    struct ElfNote note;
    memcpy(&note, bytes + *at, sizeof(note));
    uint64_t name = *at + sizeof(note), desc = name + ROUNDUP((uint64_t)note.n_namesz, 4ul);
    uint64_t end = desc + note.n_descsz;
    if (end > n) {
        complain("%s: broken: its note at offset 0x%zx is longer than the segment that it is in",
                 im->path, *at);
        return -E_NOT_EXEC;
    }
    *at = ROUNDUP(end, 4ul);
    if (is_named(&note, bytes + name, "Linux"))
        notes->is_linux = true;
    if (is_named(&note, bytes + name, "Xen") && note.n_type == NOTE_PHYS32_ENTRY)
        return take_entry(im, &note, bytes + desc, notes);
    return 0;
}

int notes_read(const struct Image *im, struct KernelNotes *notes)
{
    *notes = (struct KernelNotes){ .is_linux = false };
    for (unsigned i = 0; i < im->nnotes; i++) {
        const uint8_t *bytes;
        ssize_t n = read_part(im, &im->notes[i], &bytes);
        if (n < 0)
            return n;
        for (size_t at = 0; at + sizeof(struct ElfNote) <= (size_t)n;) {
            int r = take_note(im, bytes, n, &at, notes);
            if (r < 0)
                return r;
        }
    }
    return 0;
}
