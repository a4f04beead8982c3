/* state.h - inside the core: what its files do for each other, a section a file. The entries stand in entries.h. */
#ifndef JQ_BROKER_CORE_STATE_H
#define JQ_BROKER_CORE_STATE_H

#include "broker/core/entries.h"

static inline struct edge *edge_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->edges, ref);
}
static inline struct flow *flow_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->flows, ref);
}

/* Of a task that waits, is waited for or belongs to a flow; NULL: it has none. */
static inline struct node *node_if(const struct jq_core *core, const struct task *task) {
    return task->node ? jq_slab_at(&core->nodes, task->node) : NULL;
}
/* Of a flow that is not committed, or that is being dropped. */
static inline bool task_is_staged(const struct jq_core *core, const struct task *task) {
    const struct node *node = node_if(core, task);
    return node && node->flow != 0 && flow_at(core, node->flow)->phase <= JQ_FLOW_DROPPED;
}
/* Its flow, if it has one, counts it in its present state once more (1) or less (-1). */
static inline void flow_count(struct jq_core *core, const struct task *task, int by) {
    if (task->node != 0) {
        flow_count_node(core, task, by);
    }
}

/* ---- tasks.c: the table of tasks, their hashes and timers ---- */
static inline struct task *task_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->tasks, ref);
}
uint32_t task_find(struct jq_core *core, jq_task_id id);     /* 0: none, or staged in a flow that is not committed */
uint32_t task_find_any(struct jq_core *core, jq_task_id id); /* staged ones, too */
uint32_t task_add(struct jq_core *core, jq_task_id id);
void task_remove(struct jq_core *core, uint32_t ref); /* entry, id, body and side; must be in no list, heap or lease */
struct side *task_side(struct jq_core *core, struct task *task); /* makes it */
static inline const struct side *task_side_if(const struct jq_core *core, const struct task *task) {
    return task->side ? jq_slab_at(&core->sides, task->side) : NULL;
}
static inline uint64_t side_version(const struct side *side) { /* 1 for one that was never edited */
    return 1 + (uint64_t)(side ? side->edits : 0);
}
void task_set_error(struct jq_core *core, struct task *task, struct jq_str error); /* empty: none; only by apply */
enum jq_state
task_shown(const struct task *task); /* its state as people are told it: held goes before where it waits */
uint64_t task_hash(const struct jq_core *core, const struct task *task);
void task_set_timer(struct jq_core *core, uint32_t ref, int64_t at_ms, bool wall);
void task_clear_timer(struct jq_core *core, uint32_t ref);
uint64_t tasks_memory_bytes(const struct jq_core *core);
/* `bytes` of the log at `lsn` are needed; the same is taken back by unpin. */
void segment_pin(struct jq_core *core, uint64_t lsn, uint64_t bytes);
void segment_unpin(struct jq_core *core, uint64_t lsn, uint64_t bytes);

/* ---- ready.c: lanes ---- */
static inline struct lane *lane_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->lanes, ref);
}
static inline bool lane_open(const struct jq_core *core, uint32_t ref) {
    return core->lane_places[ref].turn != 0;
}
void ready_add(struct jq_core *core, uint32_t ref);
void ready_remove(struct jq_core *core, uint32_t ref);
/* First of the lane in key order; with `no_suspects` suspects are passed over. 0: none. */
uint32_t lane_first(const struct jq_core *core, const struct lane *lane, bool no_suspects);
uint32_t lane_of(const struct jq_core *core, const struct task *task); /* 0: none is ready there */
bool task_before(const struct task *a, const struct task *b);
bool task_suspect(const struct jq_core *core, const struct task *task);

/* ---- bucket.c: what of a queue can be handed out ---- */
static inline struct bucket *bucket_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->buckets, ref);
}
static inline struct seat *seat_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->seats, ref);
}
uint32_t bucket_take(struct jq_core *core, const struct task *task); /* for one more lane */
void bucket_give(struct jq_core *core, uint32_t ref);                /* a lane went */
void bucket_open_lane(struct jq_core *core, uint32_t lane);          /* not empty; its group is not blocked */
void bucket_close_lane(struct jq_core *core, uint32_t lane);
void bucket_head_changed(struct jq_core *core, uint32_t lane); /* the lane has another first task */
/* The lane whose turn it is, or that has the oldest task, exactly. Of a bucket with a place. */
uint32_t bucket_next_lane(struct jq_core *core, struct bucket *bucket);
uint32_t bucket_oldest_lane(struct jq_core *core, struct bucket *bucket);
uint64_t lane_turn(const struct jq_core *core, const struct lane *lane);
uint32_t class_next_seat(struct jq_core *core, uint16_t class_index); /* in the fairest queue; 0: none */
void class_seats_init(struct jq_core *core, uint16_t class_index);
void class_note_open(struct jq_core *core, uint16_t class_index);
void queue_note_open(struct jq_core *core, uint16_t queue);
void queue_seats_back(struct jq_core *core, uint16_t queue);

/* ---- group.c ---- */
static inline struct group *group_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->groups, ref);
}
uint32_t group_find(const struct jq_core *core, uint16_t queue, struct jq_str name); /* 0: none */
uint32_t group_take(struct jq_core *core, uint16_t queue, struct jq_str name); /* for one more task; made if new */
void group_give(struct jq_core *core, uint32_t ref);
void group_move(struct jq_core *core, struct task *task, uint16_t queue); /* of a task in no index of its queue */
bool group_forget_unused(struct jq_core *core, uint32_t ref);             /* true: it is gone */
void group_came(struct jq_core *core, const struct task *task);           /* a task became ready */
void group_went(struct jq_core *core, const struct task *task);           /* and is no more */
void group_served(struct jq_core *core, const struct task *task);         /* its turn is behind all others' now */

/* ---- block.c: what is not handed out now ---- */
void class_block(struct jq_core *core, uint16_t class_index, enum block_reason reason, bool on);
void queue_block(struct jq_core *core, uint16_t queue, enum block_reason reason, bool on);
void group_block(struct jq_core *core, uint32_t group, enum block_reason reason, bool on);
void worker_block(struct jq_core *core, uint32_t index, enum block_reason reason, bool on);

/* ---- intern.c: queues, classes, option sets, resources ---- */
enum jq_reply queue_intern(struct jq_core *core, struct jq_str name, uint16_t *ret_queue);
enum jq_reply class_intern(struct jq_core *core, struct jq_str handler, struct jq_str need, struct jq_str want,
                           uint16_t *ret_class);
void class_free(struct class_entry *entry); /* what it owns */
enum jq_reply options_intern(struct jq_core *core, const struct jq_options *options, uint32_t *ret_options);
enum jq_err apply_intern_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
/* What the configuration says of a queue of that name; NULL: nothing. */
const struct jq_queue_config *queue_config(const struct jq_core *core, struct jq_str name);
void queue_configure(struct jq_core *core, uint16_t at, const struct jq_queue_config *config);
int queue_find(const struct jq_core *core, struct jq_str name);     /* -1: none */
uint32_t resource_intern(struct jq_core *core, struct jq_str name); /* there must be room for a new one */
struct jq_str text_copy(struct jq_str text);
/* The error of a replay under a configuration that allows less than the log holds; JQ_ERR_TOO_BIG. */
enum jq_err table_too_small(struct jq_error *reterr, const char *key, uint32_t max);
uint64_t queue_hash(const struct jq_core *core, uint16_t queue);
uint64_t class_hash(const struct jq_core *core, uint16_t class_index);
uint64_t options_hash(const struct jq_core *core, uint32_t index);

/* ---- window.c: senders and the answers they got ---- */
enum window_verdict {
    WINDOW_NEW,
    WINDOW_AGAIN,
    WINDOW_FORGOTTEN,
    WINDOW_FULL,         /* of senders */
    WINDOW_SENDER_HEAVY, /* of this sender's answers */
    WINDOW_HEAVY,        /* of answers */
};
enum window_verdict window_look(struct jq_core *core, const struct jq_request *request,
                                const struct answer **ret_answer);
/* Answers a request that the window cannot let through. False: it may go on. */
bool window_refuses(struct jq_core *core, const struct jq_request *request, enum window_verdict seen);
void window_record(struct jq_core *core, const struct jq_uuid *sender, uint64_t request, uint64_t done,
                   const struct jq_verdict *verdict);
struct jq_bytes exceptions_pack(struct jq_core *core, const struct jq_exception *exceptions, size_t count);
size_t exceptions_unpack(struct jq_core *core, struct jq_bytes packed); /* into core->exceptions */
uint64_t window_memory_bytes(const struct jq_core *core);
void window_expire(struct jq_core *core);
int64_t window_deadline_ms(const struct jq_core *core);
uint64_t sender_hash(const struct jq_core *core, const struct sender *sender);
void exception_add(struct jq_core *core, struct jq_exception exception);

/* ---- keys.c: idempotency keys ---- */
uint32_t key_find(const struct jq_core *core, struct jq_str text);
static inline struct key *key_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->keys, ref);
}
uint32_t key_of(const struct jq_core *core, struct jq_str queue, struct jq_str key); /* 0: none */
/* Keys are unique inside a namespace, the first part of a queue's name: "ns" 0 "key". */
enum { KEY_SCOPED_SIZE_MAX = JQ_NAME_SIZE_MAX + 1 + JQ_KEY_SIZE_MAX };
struct jq_str key_scoped(struct jq_str queue, struct jq_str key, char out[KEY_SCOPED_SIZE_MAX]);
void keys_init(struct jq_core *core);
void keys_fini(struct jq_core *core);
/* The key of a submit. True: it is bound to the task, whose flag TASK_FLAG_KEYED is the caller's to set. */
bool key_add(struct jq_core *core, const struct jq_record *submitted);
/* The task with that flag was leased, or has ended: does its key still stand for it? */
bool key_outlives(struct jq_core *core, const struct task *task, bool ended);
/* The same, where the log no longer tells of the task: its key may have been moved behind it. */
void key_outlives_unknown(struct jq_core *core, jq_task_id task, enum jq_record_type type);
/* A key that was moved, in a log that has lost its first place: older than any of that text which is known. */
bool key_restore(struct jq_core *core, const struct jq_record *submitted);
enum jq_err apply_key_forgotten(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
uint64_t keys_digest(const struct jq_core *core);
uint32_t key_of_task(const struct jq_core *core, struct jq_str text, jq_task_id task); /* 0: none */
void key_move(struct jq_core *core, uint32_t ref, uint64_t lsn);
void keys_forget_below(struct jq_core *core, uint64_t lsn);
void keys_expire(struct jq_core *core);
int64_t keys_deadline_ms(const struct jq_core *core);
uint64_t key_hash(const struct key *key);

/* ---- apply.c, apply_task.c ---- */
enum jq_err apply_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
enum jq_err apply_task_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
enum jq_err apply_sender_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
void task_make_ready(struct jq_core *core, uint32_t ref); /* of a task in no index: into its bucket */
void task_wake(struct jq_core *core, uint32_t ref);       /* of a scheduled task whose time has come */
void task_drop(struct jq_core *core, uint32_t ref);       /* forgets it, in whatever state it is */
/* step's way to apply: stamps, journals and applies one record. */
void emit(struct jq_core *core, struct jq_record *record);

/* ---- wake.c ---- */
enum jq_err apply_worker_doorbell(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
void sleeper_remove(struct jq_core *core, uint32_t index);
void worker_note_able(struct jq_core *core, uint32_t index); /* after a change of profile, sleep or blocks */
void worker_take_doorbell(struct jq_core *core, uint32_t index, struct jq_str doorbell);
void worker_falls_asleep(struct jq_core *core, uint32_t index);
void sleepers_start(struct jq_core *core);
void sleepers_wake(struct jq_core *core);
int64_t sleepers_deadline_ms(const struct jq_core *core);

/* ---- workers.c ---- */
static inline struct worker *worker_at(const struct jq_core *core, uint32_t index) {
    return &core->workers[index];
}
uint32_t worker_of_session(const struct jq_core *core, const struct jq_uuid *session);
void worker_register(struct jq_core *core, const struct jq_request *request);
void worker_heard(struct jq_core *core, uint32_t index);
void worker_forget_session(struct jq_core *core, uint32_t index);
void worker_dead(struct jq_core *core, uint32_t index);
void worker_goes(struct jq_core *core, uint32_t index);
void worker_lose_leases(struct jq_core *core, uint32_t index);
/* Takes (or gives back) what the lease reserves there, in the worker's account. Nothing while its offers are unknown. */
void worker_reserve(struct jq_core *core, struct worker *worker, const struct lease *lease, bool take);
uint64_t worker_hash(const struct jq_core *core, const struct worker *worker);
/* The worker takes no task of the class until then; and until when that is, 0: it does. */
void worker_shun(struct jq_core *core, uint32_t index, uint16_t class_index, int64_t until_ms);
int64_t worker_shuns_until_ms(const struct jq_core *core, const struct worker *worker, uint16_t class_index);
uint32_t worker_of_name(const struct jq_core *core, struct jq_str name); /* 0: none */
void worker_name_add(struct jq_core *core, uint32_t index);
void worker_name_remove(struct jq_core *core, uint32_t index);

/* ---- liveness.c ---- */
void survey_send(struct jq_core *core);
void survey_response(struct jq_core *core, const struct jq_survey_response *response);
void workers_check_liveness(struct jq_core *core);
int64_t liveness_deadline_ms(const struct jq_core *core);
void held_list_check(struct jq_core *core, uint32_t index, const struct jq_request *request);

/* ---- profile.c: what kinds of worker can run which classes ---- */
enum jq_err profile_make(struct jq_core *core, const struct jq_request *request, struct profile **ret_profile,
                         struct jq_error *reterr);
void profile_release(struct jq_core *core, struct profile *profile);
const struct plan *profile_plan(struct jq_core *core, struct profile *profile, uint16_t class_index);
/* The first term of an alternative that this kind of worker fails; NULL: none. And does it take such tasks at all? */
const struct jq_need_term *profile_failing_term(const struct jq_core *core, const struct profile *profile,
                                                const struct jq_need_group *group);
bool profile_accepts(const struct jq_core *core, const struct profile *profile, const struct jq_need_group *group);
const struct jq_handler_def *profile_handler(const struct profile *profile, struct jq_str name);
void profile_park(struct jq_core *core, uint32_t index);
void profile_unpark(struct jq_core *core, uint32_t index);
void profiles_drop_class(struct jq_core *core, uint16_t class_index);
bool class_is_possible(struct jq_core *core, uint16_t class_index);
/* Of its handler, if all registered workers that have it declare it pure, and agree on the version; empty: not so. Lent until a worker
 * registers or goes. */
struct jq_str class_pure_version(struct jq_core *core, uint16_t class_index);

/* ---- units.c: offers whose units are told apart ---- */
bool units_valid(struct jq_bytes units);
/* Encodes units for a lease that fits there. */
void units_choose(const struct worker *worker, const struct plan *plan, const struct plan_alternative *alternative,
                  struct jq_buf *out);
void units_account(struct jq_core *core, struct worker *worker, struct jq_bytes units, bool take);
size_t units_free(const struct worker *worker, uint8_t resource, uint16_t indexes[JQ_OFFER_INDEXES_MAX]);
static inline struct jq_bytes units_of(const struct lease *lease) {
    return (struct jq_bytes){lease->units, lease->units_size};
}

/* ---- limit.c ---- */
static inline struct limit *limit_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->limits, ref);
}
static inline struct meter *meter_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->meters, ref);
}
uint32_t limit_find(const struct jq_core *core, struct jq_str scope); /* 0: none */
uint64_t limit_hash(const struct jq_core *core, const struct limit *limit);
enum jq_err apply_limit_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
/* `starts` false: it has run on; the rates counted it when it started. */
void limits_leased(struct jq_core *core, const struct task *task, int64_t now_ms, bool starts);
void limits_ended(struct jq_core *core, const struct task *task);
void limit_bind_queue(struct jq_core *core, uint16_t queue);
void limit_unbind_queue(struct jq_core *core, uint16_t queue);
void limit_bind_class(struct jq_core *core, uint16_t class_index);
void limit_unbind_class(struct jq_core *core, uint16_t class_index);
void limit_bind_group(struct jq_core *core, uint32_t group);
void limit_unbind_group(struct jq_core *core, uint32_t group);
bool limit_keeps_group(struct jq_core *core, uint32_t group);
/* A replay comes by a start, or may have missed one, whose task it does not know. */
void unknown_until(struct jq_core *core, int64_t ms);
void limits_start(struct jq_core *core);
void limits_sweep(struct jq_core *core);
void limits_expire(struct jq_core *core);
int64_t limits_deadline_ms(const struct jq_core *core);
/* When the meter next allows a start by its rate: core time, in ms. */
int64_t meter_opens_ms(const struct jq_core *core, const struct meter *meter);

/* ---- blob.c ---- */
static inline struct blob *blob_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->blobs, ref);
}
uint32_t blob_find(const struct jq_core *core, const uint8_t *hash); /* 0: none */
/* They replace those before; empty ones change nothing. The task's hash is out of the digest. */
void task_set_files(struct jq_core *core, struct task *task, struct jq_bytes files);
void task_set_made(struct jq_core *core, struct task *task, struct jq_bytes made);
void side_drop_files(struct jq_core *core, struct side *side);
/* Its cache key; empty: none from now on. The task's hash is out of the digest. */
void task_set_cache(struct jq_core *core, struct task *task, struct jq_bytes key);
static inline const uint8_t *task_cache_key(const struct jq_core *core, const struct task *task) { /* NULL: none */
    return task->flags & TASK_FLAG_PURE ? task_side_if(core, task)->files->cache : NULL;
}
struct jq_bytes task_files(const struct jq_core *core, const struct task *task);
struct jq_bytes task_made(const struct jq_core *core, const struct task *task);
uint64_t side_files_sum(const struct side *side);
/* Somebody has them: their blobs stay. With `add` false: he has them no longer. */
void files_refer(struct jq_core *core, struct jq_bytes files, bool add);
/* False: the one that is missing. */
bool files_are_stored(const struct jq_core *core, struct jq_bytes files, struct jq_file *ret_missing);
enum jq_err apply_blob_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
void blobs_say(struct jq_core *core);
uint64_t blobs_digest(const struct jq_core *core);
void blobs_start(struct jq_core *core);
void blobs_expire(struct jq_core *core);
int64_t blobs_deadline_ms(const struct jq_core *core);
void blob_lost(struct jq_core *core, const uint8_t *hash, uint32_t version);
void blob_put_request(struct jq_core *core, const struct jq_request *request);
void blob_stat_request(struct jq_core *core, const struct jq_request *request);
void blob_ls_request(struct jq_core *core, const struct jq_request *request);
void blob_gc_request(struct jq_core *core, const struct jq_request *request);

/* ---- cache.c: results of pure handlers ---- */
struct jq_bytes cache_key(struct jq_core *core,
                          const struct jq_submit_item *item); /* lent until the next; empty: none */
/* Of a task with TASK_FLAG_PURE. True: it has ended, with a result that was kept. `first`: a miss counts. */
bool cache_answers(struct jq_core *core, uint32_t task_ref, bool first);
/* Of a leased task with that flag, which has succeeded: before it ends. */
void cache_keep(struct jq_core *core, const struct task *task, const struct jq_report *report);
enum jq_err apply_cache_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
void cache_moved(struct jq_core *core, const struct jq_record *old);
uint64_t cache_digest(const struct jq_core *core);
void cache_free(struct jq_core *core);
struct jq_cache_row cache_row(const struct jq_core *core);
void cache_stat_request(struct jq_core *core, const struct jq_request *request);
void cache_purge_request(struct jq_core *core, const struct jq_request *request);

/* ---- limit_ops.c ---- */
void limits_configure(struct jq_core *core); /* after a start */
void limit_set_request(struct jq_core *core, const struct jq_request *request);
void limit_ls_request(struct jq_core *core, const struct jq_request *request);
void limit_rm_request(struct jq_core *core, const struct jq_request *request);

/* ---- choose.c: which task for which worker ---- */
struct choice {
    uint32_t ref; /* 0: none */
    int alternative;
    int want; /* how much it would like the worker */
};
int plan_fits(const struct worker *worker, const struct plan *plan);       /* alternative, or -1 */
int plan_fits_whole(const struct worker *worker, const struct plan *plan); /* likewise, for whom the worker is kept */
struct choice choose(struct jq_core *core, const struct worker *worker);
int64_t worker_room(const struct worker *worker, uint8_t resource); /* what may be leased of it; below 0: nothing */
int64_t worker_room_whole(const struct worker *worker, uint8_t resource); /* with what is held back */

/* ---- dispatch.c: handing out ---- */
void worker_fill(struct jq_core *core, uint32_t index);      /* leases what fits its parked poll */
void worker_refill(struct jq_core *core, uint32_t index);    /* the same, when this step has been decided */
void dispatch_hot(struct jq_core *core);                     /* new ready tasks to parked workers */
void class_heat(struct jq_core *core, uint16_t class_index); /* parked workers are to be asked for it after this step */
void queue_heat(struct jq_core *core, uint16_t queue);       /* likewise, for all of it */
void queue_activate(struct jq_core *core, uint16_t queue);
void queue_deactivate(struct jq_core *core, uint16_t queue);

/* ---- reserve.c: a worker kept for a task ---- */
/* A task that is ready since then may have a worker kept; INT64_MIN: none may now. */
int64_t reserve_by_ms(const struct jq_core *core);
bool reservation_wanted(const struct jq_core *core, uint16_t class_index);
bool reservation_try(struct jq_core *core, uint32_t ref);       /* of a task that was passed over */
void reservation_task_left(struct jq_core *core, uint32_t ref); /* it is no longer ready */
void reservation_worker_left(struct jq_core *core, uint32_t index);
void reservations_check(struct jq_core *core);
struct choice reservation_choice(struct jq_core *core, const struct worker *worker); /* the task for which it is kept */
const struct reservation *reservation_of_task(const struct jq_core *core, uint32_t ref); /* NULL: none */
const struct reservation *reservation_of_worker(const struct jq_core *core, uint32_t index);

/* ---- lease.c: polls, their answers, commands ---- */
uint32_t worker_asking(struct jq_core *core, const struct jq_request *request);
void lease_request(struct jq_core *core, const struct jq_request *request);
void poll_answer(struct jq_core *core, uint32_t index,
                 uint32_t report_count); /* answers the parked poll with what was gathered and commands */
void poll_drop(struct jq_core *core, uint32_t index);
void gathered_flush(struct jq_core *core);
void commands_flush(struct jq_core *core); /* ends the polls of workers that got a command in this step */
void worker_command_cancel(struct jq_core *core, uint32_t index, jq_task_id task);
void worker_command_kill(struct jq_core *core, uint32_t index, const struct jq_held *held);
bool worker_has_commands(const struct jq_core *core, const struct worker *worker);
void polls_expire(struct jq_core *core);
static inline struct lease *lease_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->leases, ref);
}

/* ---- report.c ---- */
void reports_process(struct jq_core *core, uint32_t worker, const struct jq_report *reports, size_t count);
void report_request(struct jq_core *core, const struct jq_request *request);
void attempt_lost(struct jq_core *core, uint32_t ref, bool alone);
void attempt_returned(struct jq_core *core, uint32_t ref);
void attempt_damaged(struct jq_core *core, const struct jq_held *held);

void task_end(struct jq_core *core, uint32_t ref, enum jq_state state, enum jq_outcome outcome);
void task_end_reported(struct jq_core *core, struct task *task, enum jq_state state, enum jq_outcome outcome,
                       const struct jq_report *report);
int64_t backoff_ms(const struct jq_options *options, uint64_t task, uint32_t failures);

/* ---- submit.c ---- */
void ids_reserve(struct jq_core *core, uint32_t count); /* that many can be drawn, and more */
void submit_request(struct jq_core *core, const struct jq_request *request);
/* One task of a schedule: as schedule_submit(). */
bool submit_scheduled(struct jq_core *core, const struct jq_submit_item *item, uint32_t schedule, int64_t due_wall_ms,
                      jq_task_id *ret_task, struct jq_exception *ret_refused);
/* Decides and answers one that was withheld. `woken`: it has its turn; else its time is over. */
void submit_decide(struct jq_core *core, const struct jq_request *request, bool woken);
bool submit_key_known(struct jq_core *core, const struct jq_submit_item *item);

/* ---- shed.c: what a queue that is full would drop ---- */
void queued_add(struct jq_core *core, uint32_t ref); /* of a task that has come into a state before running */
void queued_remove(struct jq_core *core, uint32_t ref);
void queue_policy_follow(struct jq_core *core, uint16_t queue);             /* after what it depends on was set */
uint32_t shed_first(const struct jq_core *core, const struct queue *queue); /* 0: none */
void sheds_find(struct jq_core *core);
int64_t sheds_deadline_ms(const struct jq_core *core);

/* ---- pressure.c: marks ---- */
uint64_t queue_depth(const struct queue *queue); /* tasks that have not begun */
uint64_t queue_depth_max(const struct jq_core *core, const struct queue *queue);
uint64_t queue_bytes_max(const struct jq_core *core, const struct queue *queue); /* 0: none */
bool queue_note_full(struct jq_core *core, uint16_t queue);                      /* brings `full` up to date */
int64_t queue_retry_ms(const struct jq_core *core, const struct queue *queue);
/* NULL: a task of that priority may enter, what is less was shed for it. Else the mark that it meets. */
const char *queue_refuses(struct jq_core *core, uint16_t queue, int priority, bool woken);
const char *queue_refuses_many(struct jq_core *core, uint16_t at, uint64_t count); /* the same of a whole flow */
bool queue_withholds(struct jq_core *core, uint16_t queue);
const char *broker_refuses(const struct jq_core *core, const char **ret_reason); /* the broker's mark, or NULL */
void marks_note(struct jq_core *core);
/* Room on the disk for the outcomes of all that runs, each as large as a frame, and of one task more. */
bool disk_has_room(const struct jq_core *core);
void disk_note(struct jq_core *core, const struct jq_event *event);

/* ---- move.c: what is live leaves the log's oldest part ---- */
void move_work(struct jq_core *core); /* asks for a slice of it where the log is too long */
void move_read(struct jq_core *core, const struct jq_event *event);
int64_t move_deadline_ms(const struct jq_core *core);

/* ---- withheld.c: submits that wait for room ---- */
bool submit_withhold(struct jq_core *core, const struct jq_request *request); /* false: decide it now */
void queue_roomy(struct jq_core *core, uint16_t queue);                       /* looked at at the end of the step */
void withheld_serve(struct jq_core *core);
void withheld_look_again(struct jq_core *core);
void withheld_expire(struct jq_core *core);
void withheld_drop_pipe(struct jq_core *core, uint64_t pipe);
void withheld_stop(struct jq_core *core);
void withheld_free(struct jq_core *core);

/* ---- act.c: what people do to tasks ---- */
struct act {
    enum jq_op op;
    uint32_t grace_ms;
    uint16_t queue;      /* of a move: set by act_prepare() */
    int64_t interval_us; /* of a replay: 0: all at once */
};
enum jq_reply act_prepare(struct jq_core *core, struct act *act, struct jq_str to, const char **ret_reason);
const char *task_act(struct jq_core *core, const struct act *act, uint32_t ref); /* NULL, or why not */
void tasks_request(struct jq_core *core, const struct jq_request *request);

/* ---- select.c: all tasks that a where selects ---- */
/* The way along the smallest index that the terms allow. The key is lent by the where. */
struct walk {
    uint64_t id, last;
    bool dead;    /* along the dead letters: */
    uint32_t ref; /* the next of them; 0: that was the last */
    struct jq_str key;
};
static inline bool walk_over(const struct walk *walk) {
    return walk->dead ? walk->ref == 0 : walk->id > walk->last;
}
void task_subject(const struct jq_core *core, const struct task *task, struct jq_where_subject *ret_subject);
const char *walk_begin(struct jq_core *core, const struct jq_where *where,
                       struct walk *ret_walk); /* NULL, or why not */
/* The next task that matches; false: none among the *budget looked at, or the walk is over. */
bool walk_next(struct jq_core *core, const struct jq_where *where, struct walk *walk, uint32_t *budget,
               uint32_t *ret_ref);
void walks_pass(struct jq_core *core, uint32_t ref); /* this dead letter leaves its list */
void select_request(struct jq_core *core, const struct jq_request *request);
void jobs_step(struct jq_core *core);
int64_t jobs_deadline_ms(const struct jq_core *core);
void jobs_drop_pipe(struct jq_core *core, uint64_t pipe);
void jobs_stop(struct jq_core *core);
void jobs_free(struct jq_core *core);

/* ---- events.c: what has changed lately, for those who follow ---- */
void event_note(struct jq_core *core, const struct jq_news *news, const struct task *task); /* NULL: of no task */
void events_forget(struct jq_core *core);
void events_start(struct jq_core *core);
void events_free(struct jq_core *core);
void events_request(struct jq_core *core, const struct jq_request *request);
void events_flush(struct jq_core *core);
int64_t events_deadline_ms(const struct jq_core *core);
void events_drop_pipe(struct jq_core *core, uint64_t pipe);
void events_stop(struct jq_core *core);

/* ---- control.c ---- */
/* True: the request has had its answer. Else its items begin to be decided: exceptions are empty. */
bool answered_before(struct jq_core *core, const struct jq_request *request);
void many_done(struct jq_core *core, const struct jq_request *request, uint32_t count); /* remembers and answers */
void many_reply(struct jq_core *core, const struct jq_request *request, uint32_t count);
bool task_cancel(struct jq_core *core, uint32_t ref, uint32_t grace_ms); /* false: it has ended */
const char *not_dead_reason(enum jq_state state);
void worker_drain_request(struct jq_core *core, const struct jq_request *request);

/* ---- dead_edit.c ---- */
void dead_edit_request(struct jq_core *core, const struct jq_request *request);

/* ---- queues.c: what operators set of queues ---- */
void queue_set_request(struct jq_core *core, const struct jq_request *request);
void queue_put(struct jq_core *core, uint16_t queue, const struct jq_queue_set *set); /* records and tells it */
bool queue_is_set(const struct queue *queue);                                         /* anything but as configured */
uint32_t queue_weight(const struct queue *queue);
void queues_wake(struct jq_core *core); /* those whose pause has come to its end */
int64_t queues_deadline_ms(const struct jq_core *core);

/* ---- reach.c: what an asker may name ---- */
bool reach_has_queue(const struct jq_reach *reach, struct jq_str queue);
bool reach_has_task(const struct jq_core *core, const struct jq_reach *reach, const struct task *task);
bool reach_has_flow(const struct jq_core *core, const struct jq_reach *reach, const struct flow *flow); /* all of it */
uint32_t task_find_within(struct jq_core *core, const struct jq_reach *reach, jq_task_id id);
struct flow *flow_find_within(const struct jq_core *core, const struct jq_reach *reach, uint64_t first);

/* ---- wait.c ---- */
void wait_request(struct jq_core *core, const struct jq_request *request);
void waiters_wake(struct jq_core *core, jq_task_id task);
void waiters_flush(struct jq_core *core);
void waits_expire(struct jq_core *core);
void waits_drop_pipe(struct jq_core *core, uint64_t pipe);
void waits_stop(struct jq_core *core);

/* ---- query.c, explain.c ---- */
void task_show_request(struct jq_core *core, const struct jq_request *request);
void task_ls_request(struct jq_core *core, const struct jq_request *request);
void queue_ls_request(struct jq_core *core, const struct jq_request *request);
void worker_ls_request(struct jq_core *core, const struct jq_request *request);
void server_status_request(struct jq_core *core, const struct jq_request *request);
void task_row(const struct jq_core *core, const struct task *task, struct jq_task_row *ret_row);
void explain_request(struct jq_core *core, const struct jq_request *request);

/* ---- retain.c: what has ended and when it is forgotten ---- */
void task_forget(struct jq_core *core, uint32_t ref); /* one that has ended, and that nobody waits for */
void dead_remove(struct jq_core *core, uint32_t ref); /* a dead letter that others wait for is cancelled instead */
void finished_add(struct jq_core *core, uint32_t ref);
void finished_remove(struct jq_core *core, uint32_t ref);
void finished_expire(struct jq_core *core);
int64_t finished_deadline_ms(const struct jq_core *core);

/* ---- prologue.c ---- */
void prologue_write(struct jq_core *core);

/* ---- effects.c: short ways to say things ---- */
void reply_send(struct jq_core *core, const struct jq_reply_effect *reply, enum jq_effect_level level);
void reply_refuse(struct jq_core *core, const struct jq_request *request, enum jq_reply status, const char *field,
                  const char *reason);
void call_drop(struct jq_core *core, uint64_t call);
void news_task(struct jq_core *core, enum jq_news_type type, const struct task *task);
void news_progress(struct jq_core *core, const struct task *task, uint32_t permille, struct jq_str text);
void news_parent(struct jq_core *core, enum jq_news_type type, const struct task *task, const struct task *parent);
void news_flow(struct jq_core *core, enum jq_news_type type, const struct flow *flow);
void news_breaker(struct jq_core *core, const struct breaker *breaker);
void news_name(struct jq_core *core, enum jq_news_type type, struct jq_str name, int64_t number);

/* ---- bits and arrays ---- */
static inline bool bit_test(const uint64_t *bits, uint32_t at) {
    return bits[at / 64] >> at % 64 & 1;
}
static inline void bit_set(uint64_t *bits, uint32_t at, bool on) {
    bits[at / 64] = on ? bits[at / 64] | UINT64_C(1) << at % 64 : bits[at / 64] & ~(UINT64_C(1) << at % 64);
}
static inline uint32_t bit_words(uint32_t count) {
    return (count + 63) / 64;
}

/* Makes room for one more; stops the process when memory is out (memory_max stands well before). */
void *array_grow(void *array, uint32_t count, uint32_t *capacity, size_t item_size);

#endif
