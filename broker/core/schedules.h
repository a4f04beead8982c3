/* schedules.h - inside the core: tasks that are submitted again and again, by the clock on the wall.
 *
 * What a schedule is (definition) and how far it has come (state) are durable; when it is due next follows from both and from
 * the zone, and is worked out by step alone. All due times up to `settled_wall_ms` are done with: fired, or passed over by the
 * schedule's policy. A firing is one record, the task's own (JQ_RECORD_TASK_SUBMITTED with `schedule`), so that a log that is
 * cut between any two records has both or neither: each due time makes one task, whatever happens.
 *
 * Due times that are missed (the broker was down, or slept, or could not submit) follow `catch_up`:
 *   none  the last of them is fired if it is at most JQ_SCHEDULE_LATE_MS ago; the others are passed over
 *   last  the last of them is fired, however late
 *   all   each is fired, the oldest first, but at most the last JQ_SCHEDULE_CATCH_UP_MAX
 * A clock set forward makes what lies between missed. A clock set back fires nothing twice: the schedule waits until the clock
 * is beyond what is settled; if that is more than a day (JQ_SCHEDULE_BACK_MS) off, the clock was wrong before, and the schedule
 * goes on from the new time.
 */
#ifndef JQ_BROKER_CORE_SCHEDULES_H
#define JQ_BROKER_CORE_SCHEDULES_H

#include "broker/core/effect.h"
#include "common/buf.h"
#include "common/cron.h"
#include "common/heap.h"
#include "common/map.h"

enum {
    JQ_SCHEDULES_MAX = 10000,
    JQ_SCHEDULE_BYTES_MAX = 4 * 1024 * 1024, /* of all definitions: each prologue re-states them */
    JQ_SCHEDULE_CATCH_UP_MAX = 1000,
    JQ_SCHEDULE_LATE_MS = 60000,
    JQ_SCHEDULE_BACK_MS = 86400000,
    JQ_SCHEDULE_RETRY_MS = 5000, /* a submit that was refused is tried again after it */
};

/* Not of a copy of it: pointers go into `bytes`. */
struct schedule {
    bool used;                      /* D */
    uint8_t *bytes;                 /* D, owned: the definition as the record carries it */
    size_t size;                    /* D */
    struct jq_schedule_state state; /* D */
    struct jq_schedule_def def;     /* I: what `bytes` say */
    struct jq_cron cron;            /* I */
    bool readable;                  /* I: cron was parsed */
    uint32_t timer;                 /* S: in the heap, + 1 */
    int64_t next_wall_ms;           /* S: 0: never, see trouble */
    const char *trouble;            /* S: why it does not fire; NULL: nothing stands before it. Static */
};

struct schedules {
    struct schedule *items; /* from 1 on; 0 is none */
    uint32_t count, capacity, used_count;
    uint64_t bytes; /* of all definitions */
    struct jq_strmap names;
    struct jq_heap timers; /* S: by wall time */
    uint32_t troubled;     /* S: with a trouble */
};

struct jq_core;

void schedules_init(struct jq_core *core);
void schedules_fini(struct jq_core *core);
uint32_t schedule_find(const struct jq_core *core, struct jq_str name); /* 0: none */

/* ---- schedule_code.c: definitions as bytes ---- */
void schedule_def_pack(const struct jq_schedule_def *def, struct jq_buf *out);
bool schedule_def_unpack(struct jq_bytes bytes, struct jq_schedule_def *ret_def); /* texts are lent by `bytes` */

/* ---- apply_schedule.c ---- */
enum jq_err apply_schedule_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
enum jq_err apply_schedule_fired(struct jq_core *core, const struct jq_record *submitted, struct jq_error *reterr);
uint64_t schedules_digest(const struct jq_core *core);
void schedules_say(struct jq_core *core); /* in a prologue */

/* ---- schedule_plan.c: when it is due, and what happens then ---- */
const struct jq_zone *schedule_zone(const struct jq_core *core, struct jq_str name); /* NULL: there is none such */
void schedule_plan(struct jq_core *core, uint32_t index);
void schedules_plan(struct jq_core *core); /* all of them: at a start, and when zones have changed */
void schedules_fire(struct jq_core *core);
void schedules_set_back(struct jq_core *core); /* the wall clock was set back, and far */
int64_t schedules_deadline_wall_ms(const struct jq_core *core);
/* One task of it, now. `due_wall_ms` 0: by hand. False: refused, *ret_refused says why until the next submit. */
bool schedule_submit(struct jq_core *core, uint32_t index, int64_t due_wall_ms, jq_task_id *ret_task,
                     struct jq_exception *ret_refused);

/* ---- schedule_ops.c ---- */
void schedule_set_request(struct jq_core *core, const struct jq_request *request);
void schedule_rm_request(struct jq_core *core, const struct jq_request *request);
void schedule_pause_request(struct jq_core *core, const struct jq_request *request);
void schedule_run_request(struct jq_core *core, const struct jq_request *request);
void schedule_ls_request(struct jq_core *core, const struct jq_request *request);
void schedule_show_request(struct jq_core *core, const struct jq_request *request);

#endif
