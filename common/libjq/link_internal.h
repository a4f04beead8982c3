/* link_internal.h - the link's own: shared by link.c (life), link_lease.c (registration, polls), link_report.c, link_survey.c. */
#ifndef JQ_COMMON_LIBJQ_LINK_INTERNAL_H
#define JQ_COMMON_LIBJQ_LINK_INTERNAL_H

#include "common/heap.h"
#include "common/libjq/flight.h"
#include "common/libjq/link.h"
#include "common/map.h"
#include "common/need.h"
#include "common/transport/survey.h"

enum {
    LINK_REPORT_FLIGHTS = 6,
    LINK_REPORT_BYTES_MAX = JQ_FRAME_SIZE_MAX - 1024,
    LINK_GATHER_MS = 2,
    LINK_WAIT_MS = JQ_WAIT_MS_MAX,
    LINK_POLL_TIMEOUT_MS = JQ_WAIT_MS_MAX + JQ_POLL_EXTRA_MS,
    LINK_OLD_POLL_MS = 5000, /* how long a replaced poll may still be answered */
    LINK_REGISTER_PAUSE_MS = 500,
};

/* A lease that is held. Listed by token in a map; the newest at the tail for `held`. */
struct link_lease {
    uint64_t task, token;
    uint32_t prev, next;
};

/* Reports packed and waiting, or on their way. */
struct report_frame {
    struct jq_flight flight;
    bool used;
    struct jq_buf items; /* packed report items, kept until the verdicts: a new session needs a new request */
    uint32_t count;
    struct link_report_name {
        uint64_t task, token;
    } names[JQ_REPORT_COUNT_MAX];
};

struct poll {
    struct jq_flight flight;
    bool used;
    unsigned want;
    bool sleeps;         /* the word that the worker goes */
    int64_t replaced_ms; /* 0: it is the current one */
};

struct link_progress {
    uint64_t task;
    uint16_t permille;
    char text[JQ_PROGRESS_TEXT_SIZE_MAX + 1];
};

struct jq_link {
    struct jq_link_config config;
    struct jq_client *client;
    struct jq_survey_respondent *respondent;
    int wake_fd;
    struct jq_offers offers;
    struct jq_facts facts;
    char name[JQ_NAME_SIZE_MAX + 1];
    uint64_t incarnation;

    /* Under `lock`: shared with the threads that answer surveys. */
    pthread_mutex_t lock;
    struct jq_uuid session;
    bool registered;
    bool surveyed; /* since it registered */
    uint32_t held_count;
    uint64_t held_sum;
    unsigned load_permille, memory_permille;
    struct link_progress progress[JQ_SURVEY_PROGRESS_COUNT_MAX];
    size_t progress_count;
    int64_t stepped_ms;

    /* The owner's thread alone. */
    bool refused; /* the broker will not have it: on_state was told */
    struct jq_flight registration;
    bool registering;
    int64_t register_again_ms;
    struct poll polls[2]; /* the current one, and one it replaced */
    unsigned want;
    int64_t poll_again_ms;
    bool sleeping, asleep;       /* jq_link_leave() was called; the broker has heard it */
    bool held_wanted;            /* the broker asked for the list */
    struct jq_map held_by_token; /* token -> index into leases */
    struct link_lease *leases;
    uint32_t lease_capacity, lease_free, lease_used;
    uint32_t newest;
    struct report_frame frames[LINK_REPORT_FLIGHTS];
    struct report_frame *gathering; /* not sent yet */
    int64_t gather_until_ms;
    bool hurried; /* it goes with the next verdicts that come */
};

static inline int64_t link_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
void link_wake(void *ctx);

/* link_lease.c */
int64_t link_register_step(struct jq_link *link);
int64_t link_polls_step(struct jq_link *link);
void link_session_lost(struct jq_link *link);
void link_held_add(struct jq_link *link, jq_task_id task, jq_lease_token token);
void link_held_drop(struct jq_link *link, uint64_t token);

/* link_report.c */
int64_t link_reports_step(struct jq_link *link);
void link_reports_free(struct jq_link *link);

/* link_survey.c */
enum jq_err link_survey_open(struct jq_link *link, struct jq_error *reterr);

#endif
