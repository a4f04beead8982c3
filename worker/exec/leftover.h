/* leftover.h - what a worker that was killed left behind, and its removal at the next start.
 *
 * For each child there is a file `children/NAME` in the state directory, of one line:
 *
 *     PID START_TICKS BOOT_ID MARKER\n
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

/* Writes the file of one child. A record that cannot be written costs only the cleaning up after a crash: false, errno set. */
bool jq_leftover_write(int children_fd, const char *name, const struct jq_leftover_record *record);
void jq_leftover_forget(int children_fd, const char *name);

/* Reads one line. False if it is not a record. */
bool jq_leftover_parse(const char *text, struct jq_leftover_record *ret_record);

/* Kills what still runs of the records in children_fd and removes the files. Waits at most 5 s for the killed. Returns how many
 * processes were killed. */
unsigned jq_leftover_kill(int children_fd);

#endif
