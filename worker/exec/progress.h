/* progress.h - progress told by a line on stderr, for programs without a reply channel (exec):
 *
 *     jq:progress 0.5 half of it        the fraction that is done, 0 to 1, and a text, which may be missing
 *     jq:progress 50% half of it
 *
 * Lines longer than JQ_PROGRESS_LINE_MAX bytes, and others, mean nothing. The line stays part of the output.
 */
#ifndef JQ_WORKER_EXEC_PROGRESS_H
#define JQ_WORKER_EXEC_PROGRESS_H

#include "common/types.h"

#include <stdbool.h>

enum { JQ_PROGRESS_LINE_MAX = 191 };

struct jq_exec_progress {
    size_t size; /* of the line so far */
    bool skips;  /* the rest of the line: it is none of these */
    bool told;
    int32_t permille;
    char line[JQ_PROGRESS_LINE_MAX + 1];
    char text[JQ_PROGRESS_LINE_MAX + 1];
};

/* Zeroed memory is a fresh one. Takes the next bytes of the stream. */
void jq_exec_progress_feed(struct jq_exec_progress *progress, struct jq_bytes bytes);

#endif
