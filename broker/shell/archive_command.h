/* archive_command.h - a program of the operator's that takes a segment away, for the archive.
 *
 * It is run without a shell, in a process group of its own, with nothing open but an empty standard input and a pipe for what it says.
 * In its words %f is the path of the file, %n its name, %% a per cent sign. Exit code 0 means that the file is safe where it was put.
 * A broker that died on the way runs it again for the same file: it must then succeed too, if it has the file already.
 *
 * Errors:    anything but exit code 0: NOT_FOUND, DENIED (it cannot be run), TIMEOUT (it was killed, with all of its group), IO. The
 *            message ends with the last that it said.
 */
#ifndef JQ_BROKER_SHELL_ARCHIVE_COMMAND_H
#define JQ_BROKER_SHELL_ARCHIVE_COMMAND_H

#include "common/conf.h"
#include "common/err.h"

/* Runs it and waits, for so long at most. Any thread. */
enum jq_err jq_archive_command_run(const struct jq_conf_list *words, const char *path, const char *name,
                                   int64_t time_max_ms, struct jq_error *reterr);

#endif
