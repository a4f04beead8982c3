/* tie.h - what people should be told of the tie between a worker and its broker: that it is not there, that it is there again, that requests
 * get through but surveys do not (a port that is shut: such a worker registers, and is declared dead again and again). Pure.
 *
 * Each trouble is told once, and once more after it was over. Times are milliseconds of one clock that does not go back.
 */
#ifndef JQ_WORKER_AGENT_TIE_H
#define JQ_WORKER_AGENT_TIE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    JQ_TIE_APART_MS = 3000,   /* a broker that restarts is back sooner */
    JQ_TIE_SILENT_MS = 30000, /* twice the default of [liveness] liveness */
};

enum jq_tie_word {
    JQ_TIE_NOTHING,
    JQ_TIE_APART,    /* there is no connection */
    JQ_TIE_TOGETHER, /* there is one again */
    JQ_TIE_SILENT,   /* registered, but no survey has come since */
};

/* All zero at the start. */
struct jq_tie {
    int64_t apart_since_ms, silent_since_ms; /* 0: it is not */
    bool apart_told, silent_told;
};

/* What is to be told now. `surveyed`: a survey has come since the worker registered. */
enum jq_tie_word jq_tie_look(struct jq_tie *tie, int64_t now_ms, bool connected, bool registered, bool surveyed);

#endif
