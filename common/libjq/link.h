/* link.h - a worker's tie to its broker: registration, one parked poll, reports, surveys. Used by libjq's workers and by jqworker.
 *
 * The owner's thread calls jq_link_step() whenever jq_link_fd() is readable or the time that the last step gave has come; all
 * callbacks run inside it. Surveys are answered by the transport's threads from what the link knows, so a busy owner is no dead
 * worker; but an owner that has not stepped for `stall_ms` is silent, so that a hung worker is found.
 *
 * A lease is held from the receipt of the answer that carried it until the verdict on its report has arrived, whatever happens to
 * connections and brokers in between: reports are sent again until they are answered, a broker that does not know the session is
 * registered with again under the same incarnation.
 */
#ifndef JQ_COMMON_LIBJQ_LINK_H
#define JQ_COMMON_LIBJQ_LINK_H

#include "common/buf.h"
#include "common/libjq/jq.h"
#include "common/message.h"
#include "common/need.h"

struct jq_link;

struct jq_link_input {
    struct jq_str name;
    struct jq_blob blob;
};

/* A task as the broker hands it out. Borrowed for the call. */
struct jq_link_task {
    jq_task_id id;
    jq_lease_token token;
    unsigned attempt;
    struct jq_str queue, handler;
    int64_t soft_limit_ms, hard_limit_ms; /* 0: none */
    uint64_t memory_bytes;                /* reserved; 0: nothing */
    uint64_t cpu_thousandths;
    struct jq_bytes payload;
    struct jq_bytes headers; /* msgpack map, or empty */
    const jq_task_id *after; /* the tasks that it waited for */
    size_t after_count;
    const struct jq_link_input *inputs; /* files that it reads */
    size_t input_count;
    const struct jq_str *outputs; /* names of files that it is to make */
    size_t output_count;
    const struct jq_offers *units; /* its own until it ends, of offers like gpu=[0,1]; NULL: none */
};

enum jq_link_command { JQ_LINK_CANCEL = 1, JQ_LINK_KILL = 2, JQ_LINK_DRAIN = 3 };

struct jq_link_handler {
    const char *name, *version, *need; /* version and need may be NULL */
    int64_t soft_limit_ms, hard_limit_ms;
    bool pure;
};

struct jq_link_config {
    struct jq_connect_config connect;
    const char *survey_url; /* NULL: $JQ_SURVEY, else the default */
    struct jq_uuid id;      /* of the worker */
    const char *name;
    const char *offers, *facts;             /* texts of need.h's grammar; NULL: none */
    const char *accept;                     /* names of offers, blanks between them: takes only tasks that reserve one
                                               of them; NULL or empty: all */
    unsigned slots;                         /* 0: as the offers say */
    const struct jq_link_handler *handlers; /* borrowed for the link's life, as accept is */
    size_t handler_count;
    const char *doorbell; /* where the broker wakes this worker when it sleeps; NULL or empty: nowhere */
    int64_t stall_ms;     /* 0: 30000 */
    void *ctx;
    void (*on_task)(void *ctx, const struct jq_link_task *task);
    void (*on_command)(void *ctx, enum jq_link_command command, jq_task_id task, jq_lease_token token,
                       uint32_t grace_ms);
    /* The end of a lease: JQ_REPLY_OK, or JQ_REPLY_STALE_LEASE: the outcome was not accepted. NULL: not wanted. */
    void (*on_verdict)(void *ctx, jq_task_id task, jq_lease_token token, enum jq_reply verdict);
    /* Registered (again), or refused for good (an error). NULL: not wanted. */
    void (*on_state)(void *ctx, bool registered, const struct jq_error *error);
};

/* What an attempt leaves behind. Borrowed for the call of jq_link_report(). */
struct jq_link_report {
    jq_task_id task;
    jq_lease_token token;
    enum jq_outcome outcome;
    bool crashed;
    struct jq_bytes result;
    int exit_code, signal_number; /* -1: none */
    struct jq_str message, service;
    struct jq_bytes stdout_tail, stderr_tail;
    int64_t duration_ms, cpu_ms;         /* -1: not known */
    uint64_t rss_bytes;                  /* 0: not known */
    const struct jq_named_blob *outputs; /* with success: files that it made, stored */
    size_t output_count;
    struct jq_str version; /* of a pure handler: the one that ran; empty: the result is not cached */
};

enum jq_err jq_link_new(const struct jq_link_config *config, struct jq_link **ret_link, struct jq_error *reterr);
void jq_link_free(struct jq_link *link);

/* The session with the broker, for such requests; false: none now. */
bool jq_link_session(struct jq_link *link, struct jq_uuid *ret_session);

/* Whether a survey has come since it registered: without any it will be taken for dead. Any thread. */
bool jq_link_surveyed(struct jq_link *link);

/* For requests of the owner's own; its flights end before the link is freed. */
struct jq_client *jq_link_client(struct jq_link *link);

/* Readable when there is something to do. */
int jq_link_fd(const struct jq_link *link);

/* Does what is to do. Returns when to call again at the latest: milliseconds of jq_flight_now_ms(). */
int64_t jq_link_step(struct jq_link *link);

/* Makes jq_link_fd() readable. Any thread. */
void jq_link_wake(struct jq_link *link);

/* What a worker offers. `accept` and handlers are borrowed until they are replaced. */
struct jq_link_offer {
    const char *offers, *facts, *accept;
    const struct jq_link_handler *handlers;
    size_t handler_count;
};

/* Registers again with these, under the same incarnation: leases stay. Nothing has changed unless it is JQ_OK. */
enum jq_err jq_link_offer_anew(struct jq_link *link, const struct jq_link_offer *offer, struct jq_error *reterr);

/* How many tasks the worker would take at a time; 0: none, only commands. Asks anew when that is more, or less, than before. */
void jq_link_want(struct jq_link *link, unsigned want);

/* Tells the broker that this worker, which holds nothing, goes: for good, or until its doorbell is rung. What was on its way to it goes
 * back to the queues. The last thing a link does. True: the broker has heard it, or there was no session in which to say it; false:
 * not within `wait_ms`. */
bool jq_link_leave(struct jq_link *link, int64_t wait_ms);

/* Ends a lease. Copied; sent within 2 ms, with others; sent again until there is a verdict. JQ_ERR_TOO_BIG: the result. */
enum jq_err jq_link_report(struct jq_link *link, const struct jq_link_report *report, struct jq_error *reterr);

/* Sends what has been gathered now, for an owner that does not know of more that comes soon. While others are on their way it goes when
 * their verdicts are here, at the latest after its 2 ms: as many go together as end in the time that the broker takes for one. */
void jq_link_flush(struct jq_link *link);
/* False while every frame of reports waits for its verdict: then jq_link_report() waits, too. */
bool jq_link_has_free_frame(const struct jq_link *link);

/* A running task's progress, told with the next survey: the 32 that moved last. Any thread. */
void jq_link_progress(struct jq_link *link, jq_task_id task, unsigned permille, struct jq_str text);

/* Load and memory pressure for surveys, thousandths. Any thread. */
void jq_link_load(struct jq_link *link, unsigned load_permille, unsigned memory_permille);

size_t jq_link_held_count(struct jq_link *link);
/* True when every report has its verdict. */
bool jq_link_settled(struct jq_link *link);

#endif
