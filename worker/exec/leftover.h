/* leftover.h - what a worker that was killed left behind, and its removal at the next start.
 *
 * For each child there is a file `children/NUMBER` in the state directory, of one line (what follows it is of longer ones before):
 *
 *     PID START_TICKS BOOT_ID MARKER\n
 *
 * The file of a child that has ended waits, with `-` for a line, for the next one: files made and deleted for each child let the file
 * system search longer and longer for free inodes.
 *
 * PID and START_TICKS (proc_pid_stat(5), field 22) name the process, BOOT_ID (/proc/sys/kernel/random/boot_id) the run of the machine,
 * MARKER an environment variable that every descendant inherited. A process is killed only if its start time or its
 * marker agrees: a number alone may by now belong to a stranger.
 */
#ifndef JQ_WORKER_EXEC_LEFTOVER_H
#define JQ_WORKER_EXEC_LEFTOVER_H

#include "common/err.h"
#include "worker/exec/procs.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { JQ_BOOT_ID_SIZE = 37 };

struct jq_leftover_record {
    pid_t pid;
    uint64_t start_ticks;
    char boot_id[JQ_BOOT_ID_SIZE];
    char marker[JQ_MARKER_SIZE_MAX];
};

/* The machine's present boot id; "?" if it has none. */
void jq_leftover_boot_id(char ret_boot_id[JQ_BOOT_ID_SIZE]);

/* The files of a worker's children. Start with the folder's descriptor, which stays the caller's, and else all zero. */
struct jq_leftover_book {
    int children_fd;
    int *spare; /* files that wait for a child */
    size_t spare_count, file_count;
};

/* Writes down one child. A record that cannot be written costs only the cleaning up after a crash: -1, errno set; else the
 * descriptor of its file, for jq_leftover_book_erase(), which takes -1, too. */
int jq_leftover_book_write(struct jq_leftover_book *book, const struct jq_leftover_record *record);
void jq_leftover_book_erase(struct jq_leftover_book *book, int fd);

/* Deletes the files that wait. */
void jq_leftover_book_fini(struct jq_leftover_book *book);

/* Reads one line. False if it is not a record. */
bool jq_leftover_parse(const char *text, struct jq_leftover_record *ret_record);

/* Kills what still runs of the records in children_fd and removes the files. Waits at most 5 s for the killed. Returns how many
 * processes were killed. */
unsigned jq_leftover_kill(int children_fd);

#endif
