/* sandbox_places.h - what every task may reach of the system: programs, libraries and the configuration that programs need to start.
 *
 * Of /etc that is a list of names (sandbox_places.c): names and addresses, the loader, languages, fonts, certificates. Everything else
 * there, what administrators keep for services above all, stays shut unless [worker] `read` or a handler names it.
 *
 * What lies in a folder of the list is no place of its own: a rule is made anew for every task, and holds for all that lies below.
 * A rule of Landlock holds for the file that was there when it was made. What replaces it later (a user is added, a name server
 * changes) needs a rule of its own, so places are looked up again whenever a folder that holds them has changed.
 */
#ifndef JQ_WORKER_EXEC_SANDBOX_PLACES_H
#define JQ_WORKER_EXEC_SANDBOX_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { JQ_SANDBOX_PLACES_MAX = 512, JQ_SANDBOX_FOLDERS = 3 };

struct jq_sandbox_place {
    int fd; /* O_PATH */
    bool folder;
    bool device; /* harmless: may be written, too */
    char *path;  /* without links; NULL: a device */
};

struct jq_sandbox_places {
    struct jq_sandbox_place list[JQ_SANDBOX_PLACES_MAX];
    size_t count;
    uint64_t generation; /* of the list: another one each time that it is filled */
    struct jq_sandbox_seen {
        dev_t dev;
        ino_t ino;               /* another stands there after a mount over it */
        struct timespec changed; /* when it last was, before the look; 0: look again */
    } seen[JQ_SANDBOX_FOLDERS];
};

/* Fills the list, or leaves it as it is if nothing has changed. Start with all zero. */
void jq_sandbox_places_find(struct jq_sandbox_places *places);
void jq_sandbox_places_close(struct jq_sandbox_places *places);

#endif
