/* canary.h - bugs planted for the simulator to find: one for each kind of thing that must hold.
 *
 * A simulator that never finds anything proves nothing. A build with JQ_CANARIES has all of these in it, and `jq_canary` names
 * the one that sings; every other build has none. Build step sim-canary runs them all: each must be caught within a bounded
 * number of seeds. Adding one: a row here, `CANARY(NAME)` where the bug sits.
 */
#ifndef JQ_BROKER_CORE_CANARY_H
#define JQ_BROKER_CORE_CANARY_H

/* name, what the bug does */
#define JQ_CANARY_LIST(X)                                                                                              \
    X(STALE_TOKEN, "a report under an old token is accepted")                                                          \
    X(WINDOW_BLIND, "a request that is sent again is done again")                                                      \
    X(EARLY_ANSWER, "a submit is answered before it is on disk")                                                       \
    X(NO_EPOCH, "tokens begin anew at each start")                                                                     \
    X(OVERBOOK, "what a lease reserves is not taken off the worker's account")                                         \
    X(ORDER, "a lower priority goes first")                                                                            \
    X(KEY_BLIND, "a key makes a second task")                                                                          \
    X(NO_BACKOFF, "a failed task is tried again at once")                                                              \
    X(NO_CRASH_LIMIT, "a task that crashes is tried for ever")                                                         \
    X(EARLY_FORGET, "a result is forgotten before its time")                                                           \
    X(SILENT_CHANGE, "durable state changes without a record")                                                         \
    X(SHORT_PROLOGUE, "a prologue leaves out what was answered")                                                       \
    X(HASTY_DEATH, "one unanswered survey makes a worker dead")                                                        \
    X(LATE_IDS, "ids are used before their reservation is on disk")                                                    \
    X(PARENT_IGNORED, "a task does not care how those ended that it waits for")                                        \
    X(UNIT_TWICE, "two leases get the same unit of an offer")                                                          \
    X(BREAKER_LEAK, "a half-open breaker lets everything through")                                                     \
    X(SCHEDULE_TWICE, "a due time is not settled when it has made its task")                                           \
    X(SHED_HIGH, "the highest task is shed")                                                                           \
    X(UNTIL_LEASED, "until_done holds only until the task is leased")                                                  \
    X(LIMIT_PLUS_ONE, "a limit lets one more run at once")                                                             \
    X(FAST_RATE, "a rate lets through twice as much")                                                                  \
    X(HELD_RUNS, "a held task is ready when its time comes")                                                           \
    X(MOVED_FRESH, "a task that is moved in the log begins to count its attempts anew")                                \
    X(NEVER_MOVED, "nothing leaves the log's oldest part")                                                             \
    X(WEIGHT_UPSIDE, "a queue of more weight gets less")                                                               \
    X(GROUP_HOG, "a group that was served keeps its turn")                                                             \
    X(HOLD_LEAK, "what is held back for a task is given to others")                                                    \
    X(FACT_BLIND, "a term about a fact always holds")                                                                  \
    X(WANT_UPSIDE, "of two tasks alike the one that would rather not goes first")                                      \
    X(SLICE_SKIPS, "between two slices of a selection a few tasks are left out")                                       \
    X(DRY_RUN_ACTS, "a dry run is none")                                                                               \
    X(CATCH_UP_BLIND, "what was missed is made up for, whatever the schedule says")                                    \
    X(MISS_SILENT, "a due time that is passed over is not counted")                                                    \
    X(MEMORY_BLIND, "a broker whose memory is full takes tasks")                                                       \
    X(KEY_LEAK, "the text of a forgotten key is not given back")                                                       \
    X(REFS_BLIND, "a task's files are not counted as in use")                                                          \
    X(FILES_STAY, "files go only when a segment begins")                                                               \
    X(CACHE_FILES, "the key of a result leaves out the files of its task")                                             \
    X(CACHE_DISAGREE, "results are answered though the workers have different versions")                               \
    X(MADE_BLIND, "outputs are taken by a report's word, whether they are there or not")

enum jq_canary {
    CANARY_NONE,
#define JQ_CANARY_ENUM(name, text) CANARY_##name,
    JQ_CANARY_LIST(JQ_CANARY_ENUM)
#undef JQ_CANARY_ENUM
        CANARY_END
};

#ifdef JQ_CANARIES
extern enum jq_canary jq_canary;
#define CANARY(name) (jq_canary == CANARY_##name)
#else
#define CANARY(name) 0
#endif

#endif
