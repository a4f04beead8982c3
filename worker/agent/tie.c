/* tie.c - what people should be told of the tie between a worker and its broker. */
#include "worker/agent/tie.h"

/* Whether something has lasted for `most_ms`; true once. */
static bool lasts(bool is, int64_t *since_ms, bool *told, int64_t now_ms, int64_t most_ms) {
    if (!is) {
        *since_ms = 0;
        return false;
    }
    *since_ms = *since_ms == 0 ? now_ms : *since_ms;
    if (*told || now_ms - *since_ms < most_ms) {
        return false;
    }
    *told = true;
    return true;
}

enum jq_tie_word jq_tie_look(struct jq_tie *tie, int64_t now_ms, bool connected, bool registered, bool surveyed) {
    const bool silent = connected && registered && !surveyed;
    if (lasts(!connected, &tie->apart_since_ms, &tie->apart_told, now_ms, JQ_TIE_APART_MS)) {
        return JQ_TIE_APART;
    }
    if (lasts(silent, &tie->silent_since_ms, &tie->silent_told, now_ms, JQ_TIE_SILENT_MS)) {
        return JQ_TIE_SILENT;
    }
    tie->silent_told = tie->silent_told && !surveyed;
    if (connected && tie->apart_told) {
        tie->apart_told = false;
        return JQ_TIE_TOGETHER;
    }
    return JQ_TIE_NOTHING;
}
