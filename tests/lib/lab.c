#include "tests/lib/lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/hash.h"

enum { TRACE_MAX = 1024 * 1024, LAB_SLICE_COUNT = 16 };

static struct jq_uuid uuid_of(const char *text, uint64_t salt) {
    struct jq_uuid id;
    const uint64_t halves[2] = {jq_hash_bytes(text, strlen(text), salt), jq_hash_bytes(text, strlen(text), ~salt)};
    memcpy(id.bytes, halves, sizeof(id.bytes));
    return id;
}

/* ---- the core's output ---- */

static void on_record(void *ctx, struct jq_record *record) {
    struct lab *lab = ctx;
    corelog_append(&lab->log, record);
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    struct lab *lab = ctx;
    if (effect->type == JQ_EFFECT_NEWS && lab->quiet) {
        return;
    }
    if (effect->type == JQ_EFFECT_NEWS) {
        trace_news(&lab->trace, lab->now_ms, &effect->u.news, &lab->config);
    } else if (effect->type == JQ_EFFECT_SURVEY) {
        lab->survey = effect->u.survey;
        lab->survey_wanted = true;
    } else if (effect->type == JQ_EFFECT_READ_LOG) {
        lab->read_from = effect->u.read_log.from_lsn;
        lab->read_end = effect->u.read_log.end_lsn;
    } else if (effect->type == JQ_EFFECT_NOTICE) {
        lab->notices++;
    } else if (effect->type == JQ_EFFECT_DROP_BLOB) {
        lab->drops++;
    } else if (effect->type == JQ_EFFECT_RING) {
        lab->rings++;
    } else {
        struct kept *kept = kept_copy(effect);
        kept->next = lab->replies;
        lab->replies = kept;
    }
}

static struct jq_output output_of(struct lab *lab) {
    return (struct jq_output){lab, on_record, on_effect};
}

/* ---- steps ---- */

static void check_digests(struct lab *lab) {
    assert_int_equal(jq_core_digest(lab->core), jq_core_digest(lab->log.shadow));
    if (++lab->steps % 16 == 0 && !lab->quiet) {
        assert_int_equal(jq_core_digest(lab->core), jq_core_digest_slow(lab->core));
        assert_int_equal(jq_core_digest(lab->log.shadow), jq_core_digest_slow(lab->log.shadow));
    }
}

static void step_once(struct lab *lab, struct jq_event *event) {
    const struct jq_output output = output_of(lab);
    event->now_ms = lab->now_ms;
    event->wall_ms = lab->now_ms + lab->wall_offset_ms;
    jq_core_step(lab->core, event, &output);
    check_digests(lab);
}

static void tell_written(struct lab *lab) {
    struct jq_event written = {.type = JQ_EVENT_WRITTEN, .u.written.lsn = lab->log.end_lsn};
    step_once(lab, &written);
}

static void answer_survey(struct lab *lab, const struct lab_worker *worker, uint32_t survey) {
    struct jq_event event = {.type = JQ_EVENT_SURVEY_RESPONSE,
                             .u.survey = {.survey = survey,
                                          .session = worker->session,
                                          .incarnation = worker->incarnation,
                                          .held_count = (uint32_t)worker->held_count}};
    for (size_t i = 0; i < worker->held_count; i++) {
        event.u.survey.held_sum += jq_hash_u64(worker->held[i].token.value);
    }
    step_once(lab, &event);
}

static void bring_log(struct lab *lab) {
    struct jq_record records[LAB_SLICE_COUNT];
    struct jq_event event = {.type = JQ_EVENT_LOG_READ, .u.log_read = {.from_lsn = lab->read_from, .records = records}};
    uint8_t *bytes = malloc(lab->log.bytes.size); /* the log may move while it grows */
    assert_non_null(bytes);
    memcpy(bytes, lab->log.bytes.data, lab->log.bytes.size);
    event.u.log_read.count = corelog_read(&lab->log, bytes, lab->read_from, lab->read_end, records, LAB_SLICE_COUNT,
                                          &event.u.log_read.next_lsn);
    size_t lost = 0;
    while (lost < event.u.log_read.count && records[lost].lsn < lab->damaged_below) {
        lost++;
    }
    event.u.log_read.records += lost;
    event.u.log_read.count -= lost;
    lab->read_from = 0;
    lab->read_count++;
    step_once(lab, &event);
    free(bytes);
}

void lab_step(struct lab *lab, struct jq_event *event) {
    step_once(lab, event);
    tell_written(lab);
    while (lab->read_from != 0) {
        bring_log(lab);
        tell_written(lab);
    }
    while (lab->survey_wanted) {
        lab->survey_wanted = false;
        for (size_t i = 0; i < lab->worker_count; i++) {
            if (!lab->workers[i].silent) {
                answer_survey(lab, &lab->workers[i], lab->survey);
            }
        }
    }
}

static void step_time(struct lab *lab) {
    struct jq_event event = {.type = JQ_EVENT_TIME};
    lab_step(lab, &event);
}

void advance_ms(struct lab *lab, int64_t ms) {
    const int64_t end_ms = lab->now_ms + ms;
    int64_t deadline_ms = jq_core_deadline_ms(lab->core);
    int slices = 0;
    while (deadline_ms <= end_ms) {
        lab->now_ms = deadline_ms > lab->now_ms ? deadline_ms : lab->now_ms;
        step_time(lab);
        const int64_t next_ms = jq_core_deadline_ms(lab->core);
        slices = next_ms > lab->now_ms || next_ms != deadline_ms ? 0 : slices + 1;
        assert_true(slices < LAB_SLICES_MAX); /* long work comes in slices, but it must not want the same for ever */
        deadline_ms = next_ms;
    }
    lab->now_ms = end_ms;
    step_time(lab);
}

void sleep_broker_ms(struct lab *lab, int64_t ms) {
    lab->now_ms += ms;
    step_time(lab);
}

void move_wall_ms(struct lab *lab, int64_t ms) {
    lab->wall_offset_ms += ms;
    step_time(lab);
}

void lab_prologue(struct lab *lab) {
    struct jq_event event = {.type = JQ_EVENT_SEGMENT};
    lab_step(lab, &event);
}

/* ---- beginning and end ---- */

static void start(struct lab *lab) {
    const struct jq_output output = output_of(lab);
    jq_core_start(lab->core, ++lab->epoch, lab->now_ms, lab->now_ms + lab->wall_offset_ms, &output);
}

struct lab *lab_new_with(const struct jq_core_config *config) {
    struct lab *lab = calloc(1, sizeof(*lab));
    struct jq_error error;
    assert_non_null(lab);
    lab->config = *config;
    lab->wall_offset_ms = LAB_WALL_MS;
    lab->client = uuid_of("client", 1);
    jq_buf_init(&lab->trace, TRACE_MAX);
    corelog_init(&lab->log, config);
    assert_int_equal(jq_core_new(config, 1, &lab->core, &error), JQ_OK);
    start(lab);
    lab_prologue(lab);
    return lab;
}

struct lab *lab_new(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    return lab_new_with(&config);
}

void lab_free(struct lab *lab) {
    if (!lab) {
        return;
    }
    while (lab->replies) {
        struct kept *next = lab->replies->next;
        kept_free(lab->replies);
        lab->replies = next;
    }
    jq_core_free(lab->core);
    corelog_fini(&lab->log);
    jq_buf_fini(&lab->trace);
    free(lab);
}

static struct jq_core *replayed(struct lab *lab) {
    struct jq_core *core = NULL;
    struct jq_error error = {.code = JQ_OK};
    assert_int_equal(jq_core_new(&lab->config, lab->epoch + 7, &core, &error), JQ_OK);
    if (corelog_replay(&lab->log, core, &error) != JQ_OK) {
        fail_msg("replay: %s", error.message);
    }
    assert_int_equal(jq_core_digest(core), jq_core_digest(lab->core));
    assert_int_equal(jq_core_digest(core), jq_core_digest_slow(core));
    return core;
}

void restart_broker(struct lab *lab) {
    struct jq_core *core = replayed(lab);
    jq_core_free(lab->core);
    lab->core = core;
    start(lab);
    lab_prologue(lab);
}

void expect_replay_matches_live(struct lab *lab) {
    jq_core_free(replayed(lab));
    assert_int_equal(jq_core_digest(lab->core), jq_core_digest_slow(lab->core));
}

void expect_trace_at(struct lab *lab, const char *text, const char *file, int line) {
    jq_buf_append_u8(&lab->trace, '\0');
    if (strcmp((const char *)lab->trace.data, text) != 0) {
        print_error("expected trace:\n%s\ntrace:\n%s\n", text, (const char *)lab->trace.data);
        _fail(file, line);
    }
    jq_buf_clear(&lab->trace);
}

/* ---- requests ---- */

struct jq_request lab_request(struct lab *lab, enum jq_op op) {
    return (struct jq_request){.op = op, .sender = lab->client, .id = ++lab->client_request, .pipe = 1};
}

const struct jq_reply_effect *lab_reply_to(const struct lab *lab, uint64_t call) {
    for (const struct kept *kept = lab->replies; kept; kept = kept->next) {
        if (kept->effect.type == JQ_EFFECT_REPLY && kept->effect.u.reply.call == call) {
            return &kept->effect.u.reply;
        }
    }
    return NULL;
}

bool lab_dropped(const struct lab *lab, uint64_t call) {
    for (const struct kept *kept = lab->replies; kept; kept = kept->next) {
        if (kept->effect.type == JQ_EFFECT_DROP && kept->effect.u.drop_call == call) {
            return true;
        }
    }
    return false;
}

const struct jq_reply_effect *lab_ask(struct lab *lab, struct jq_request *request) {
    request->call = ++lab->calls;
    struct jq_event event = {.type = JQ_EVENT_REQUEST, .u.request = *request};
    lab_step(lab, &event);
    return lab_reply_to(lab, request->call);
}

/* ---- clients ---- */

struct jq_submit_item lab_item(void) {
    static const uint8_t body[] = {0x81, 0xa1, 'x', 1};
    return (struct jq_submit_item){.queue = JQ_STR("default"),
                                   .handler = JQ_STR("work"),
                                   .priority = JQ_PRIORITY_DEFAULT,
                                   .retry_max = 3,
                                   .retry_base_ms = 1000,
                                   .retry_cap_ms = 600000,
                                   .result_ttl_ms = 86400000,
                                   .body = {body, sizeof(body)}};
}

const struct jq_reply_effect *submit_items(struct lab *lab, const struct jq_submit_item *items, size_t count) {
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = items;
    request.u.submit.count = count;
    return lab_ask(lab, &request);
}

jq_task_id submit_item(struct lab *lab, const struct jq_submit_item *item) {
    const struct jq_reply_effect *reply = submit_items(lab, item, 1);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.submit.exception_count, 0);
    return (jq_task_id){reply->u.submit.first};
}

jq_task_id submit_to_group(struct lab *lab, const char *queue, const char *group) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    item.group = jq_str_of(group);
    return submit_item(lab, &item);
}

jq_task_id submit_task(struct lab *lab, const char *queue) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    return submit_item(lab, &item);
}

/* The one verdict of a request about one thing. */
static enum jq_reply verdict_of(const struct jq_reply_effect *reply) {
    assert_non_null(reply);
    return reply->status == JQ_REPLY_OK && reply->u.many.exception_count > 0 ? reply->u.many.exceptions[0].status
                                                                             : reply->status;
}

enum jq_reply ask_about_task(struct lab *lab, enum jq_op op, jq_task_id task) {
    struct jq_request request = lab_request(lab, op);
    request.u.tasks.ids = &task;
    request.u.tasks.count = 1;
    return verdict_of(lab_ask(lab, &request));
}

enum jq_reply cancel_task(struct lab *lab, jq_task_id task) {
    return ask_about_task(lab, JQ_OP_TASK_CANCEL, task);
}

enum jq_reply set_named(struct lab *lab, enum jq_op op, const char *name, bool on) {
    struct jq_request request = lab_request(lab, op);
    if (op == JQ_OP_QUEUE_SET) {
        request.u.queue_set.name = jq_str_of(name);
        request.u.queue_set.given = JQ_QUEUE_SETTING_PAUSED;
        request.u.queue_set.set.paused = on;
    } else {
        request.u.named.name = jq_str_of(name);
        request.u.named.on = on;
    }
    return verdict_of(lab_ask(lab, &request));
}

struct jq_task_row task_row_of(struct lab *lab, jq_task_id task) {
    struct jq_request request = lab_request(lab, JQ_OP_TASK_SHOW);
    request.u.task.id = task;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    return reply->status == JQ_REPLY_OK ? reply->u.tasks.rows[0] : (struct jq_task_row){.state = JQ_STATE_NONE};
}

enum jq_reply set_limit(struct lab *lab, const char *scope, uint32_t concurrency, const char *rate) {
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_SET);
    request.u.limit.scope = jq_str_of(scope);
    request.u.limit.concurrency = concurrency;
    if (rate) {
        assert_int_equal(jq_rate_parse(jq_str_of(rate), &request.u.limit.rate, NULL), JQ_OK);
        request.u.limit.burst = jq_rate_burst_default(request.u.limit.rate);
    }
    return lab_ask(lab, &request)->status;
}

enum jq_reply remove_limit(struct lab *lab, const char *scope) {
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_RM);
    request.u.limit.scope = jq_str_of(scope);
    return lab_ask(lab, &request)->status;
}

enum jq_state task_state(struct lab *lab, jq_task_id task) {
    return task_row_of(lab, task).state;
}

const struct jq_reply_effect *explain_task(struct lab *lab, jq_task_id task) {
    struct jq_request request = lab_request(lab, JQ_OP_TASK_EXPLAIN);
    request.u.task.id = task;
    return lab_ask(lab, &request);
}

/* ---- workers ---- */

void lab_offer(struct lab_worker *worker, const char *name, uint64_t thousandths) {
    size_t at = 0;
    while (at < worker->offer_count && !jq_str_equal(worker->offers[at].name, jq_str_of(name))) {
        at++;
    }
    worker->offer_count = at == worker->offer_count ? at + 1 : worker->offer_count;
    assert_true(worker->offer_count <= LAB_OFFERS_MAX);
    worker->offers[at] = (struct jq_amount){jq_str_of(name), thousandths};
}

void lab_fact(struct lab_worker *worker, const char *name, const char *value) {
    assert_true(worker->fact_count < LAB_OFFERS_MAX);
    worker->facts[worker->fact_count++] = (struct jq_name_value){jq_str_of(name), jq_str_of(value)};
}

void lab_units(struct lab_worker *worker, const char *name, const uint16_t *indexes, size_t count) {
    size_t at = 0;
    lab_offer(worker, name, count * 1000);
    while (at < worker->unit_count && !jq_str_equal(worker->units[at].name, jq_str_of(name))) {
        at++;
    }
    worker->unit_count = at == worker->unit_count ? at + 1 : worker->unit_count;
    assert_true(worker->unit_count <= LAB_OFFERS_MAX);
    worker->units[at] = (struct jq_units){jq_str_of(name), indexes, count};
}

void lab_accept(struct lab_worker *worker, const char *offer) {
    assert_true(worker->accept_count < LAB_OFFERS_MAX);
    worker->accept[worker->accept_count++] = jq_str_of(offer);
}

static struct lab_worker *find_worker(struct lab *lab, const char *name) {
    for (size_t i = 0; i < lab->worker_count; i++) {
        if (strcmp(lab->workers[i].name, name) == 0) {
            return &lab->workers[i];
        }
    }
    return NULL;
}

struct lab_worker *lab_worker_unregistered(struct lab *lab, const char *name) {
    static const char *const handlers[] = {"work", "mail", "build"};
    assert_true(lab->worker_count < LAB_WORKERS_MAX);
    struct lab_worker *worker = &lab->workers[lab->worker_count++];
    *worker = (struct lab_worker){.incarnation = 1, .pipe = 100 + lab->worker_count};
    (void)snprintf(worker->name, sizeof(worker->name), "%s", name);
    worker->id = uuid_of(name, 2);
    lab_offer(worker, "slots", 4000);
    lab_offer(worker, "cpu", 4000);
    lab_offer(worker, "mem", UINT64_C(8000) << 30);
    for (size_t i = 0; i < 3; i++) {
        worker->handlers[worker->handler_count++] = (struct jq_handler_def){.name = jq_str_of(handlers[i])};
    }
    return worker;
}

void register_worker(struct lab *lab, struct lab_worker *worker) {
    worker->sender = uuid_of(worker->name, 100 + worker->incarnation);
    struct jq_request request = {.op = JQ_OP_REGISTER,
                                 .sender = worker->sender,
                                 .id = ++worker->request,
                                 .pipe = worker->pipe,
                                 .u.reg = {.id = worker->id,
                                           .session = uuid_of(worker->name, 1000 + lab->calls),
                                           .incarnation = worker->incarnation,
                                           .name = jq_str_of(worker->name),
                                           .offers = worker->offers,
                                           .offer_count = worker->offer_count,
                                           .units = worker->units,
                                           .unit_count = worker->unit_count,
                                           .accept = worker->accept,
                                           .accept_count = worker->accept_count,
                                           .facts = worker->facts,
                                           .fact_count = worker->fact_count,
                                           .handlers = worker->handlers,
                                           .handler_count = worker->handler_count,
                                           .doorbell = jq_str_of(worker->doorbell ? worker->doorbell : "")}};
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    worker->session = reply->u.reg.session;
}

struct lab_worker *lab_worker(struct lab *lab, const char *name) {
    struct lab_worker *worker = find_worker(lab, name);
    if (!worker) {
        worker = lab_worker_unregistered(lab, name);
        register_worker(lab, worker);
    }
    return worker;
}

void restart_worker(struct lab *lab, const char *name) {
    struct lab_worker *worker = lab_worker(lab, name);
    worker->incarnation++;
    worker->held_count = 0;
    worker->silent = false;
    register_worker(lab, worker);
}

void stop_answering_surveys(struct lab *lab, const char *name) {
    lab_worker(lab, name)->silent = true;
}

void start_answering_surveys(struct lab *lab, const char *name) {
    lab_worker(lab, name)->silent = false;
}

/* ---- leases ---- */

struct jq_request poll_of(struct lab *lab, const char *name, uint32_t want, int64_t wait_ms) {
    struct lab_worker *worker = lab_worker(lab, name);
    return (struct jq_request){.op = JQ_OP_LEASE,
                               .sender = worker->sender,
                               .id = ++worker->request,
                               .pipe = worker->pipe,
                               .u.lease = {.session = worker->session, .want = want, .wait_ms = wait_ms}};
}

static void hold(struct lab_worker *worker, jq_task_id task, jq_lease_token token) {
    for (size_t i = 0; i < worker->held_count; i++) {
        if (worker->held[i].token.value == token.value) {
            return;
        }
    }
    assert_true(worker->held_count < LAB_HELD_MAX);
    worker->held[worker->held_count++] = (struct jq_held){task, token};
}

void take_leases(struct lab_worker *worker, const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        hold(worker, reply->u.lease.items[i].task, reply->u.lease.items[i].token);
    }
}

jq_task_id lease_task_id(struct lab *lab, const char *name, jq_lease_token *ret_token) {
    struct jq_request request = poll_of(lab, name, 1, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    if (reply->status == JQ_REPLY_NOT_FOUND) { /* the broker knows it no more: register again */
        register_worker(lab, lab_worker(lab, name));
        return lease_task_id(lab, name, ret_token);
    }
    assert_int_equal(reply->status, JQ_REPLY_OK);
    take_leases(lab_worker(lab, name), reply);
    const bool any = reply->u.lease.count > 0;
    *ret_token = any ? reply->u.lease.items[0].token : (jq_lease_token){0};
    return any ? reply->u.lease.items[0].task : (jq_task_id){0};
}

jq_lease_token lease_task(struct lab *lab, const char *worker) {
    jq_lease_token token;
    (void)lease_task_id(lab, worker, &token);
    return token;
}

/* ---- reports ---- */

static void let_go(struct lab_worker *worker, jq_lease_token token) {
    for (size_t i = 0; i < worker->held_count; i++) {
        if (worker->held[i].token.value == token.value) {
            worker->held[i] = worker->held[--worker->held_count];
        }
    }
}

static enum jq_reply send_report(struct lab *lab, const char *name, const struct jq_report *report) {
    struct lab_worker *worker = lab_worker(lab, name);
    struct jq_request request = {.op = JQ_OP_REPORT,
                                 .sender = worker->sender,
                                 .id = ++worker->request,
                                 .pipe = worker->pipe,
                                 .u.lease = {.session = worker->session, .reports = report, .report_count = 1}};
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    if (reply->status != JQ_REPLY_OK) {
        return reply->status;
    }
    let_go(worker, report->token);
    return reply->u.lease.verdict_count > 0 ? reply->u.lease.verdicts[0].status : JQ_REPLY_OK;
}

enum jq_reply report_by(struct lab *lab, const char *name, jq_task_id task, jq_lease_token token,
                        enum jq_outcome outcome, bool crashed) {
    static const uint8_t body[] = "report";
    const struct jq_report report = {
        .task = task, .token = token, .outcome = outcome, .crashed = crashed, .body = {body, sizeof(body)}};
    return send_report(lab, name, &report);
}

enum jq_reply report_as(struct lab *lab, jq_lease_token token, struct jq_report report) {
    report.token = token;
    for (size_t i = 0; i < lab->worker_count; i++) {
        for (size_t k = 0; k < lab->workers[i].held_count; k++) {
            if (lab->workers[i].held[k].token.value == token.value) {
                report.task = lab->workers[i].held[k].task;
                enum jq_reply verdict = send_report(lab, lab->workers[i].name, &report);
                if (verdict == JQ_REPLY_NOT_FOUND) { /* of a session that ended: said again in a new one */
                    register_worker(lab, &lab->workers[i]);
                    verdict = send_report(lab, lab->workers[i].name, &report);
                }
                return verdict;
            }
        }
    }
    fail_msg("no worker holds token %llu", (unsigned long long)token.value);
    return JQ_REPLY_INVALID;
}

enum jq_reply report_failure(struct lab *lab, jq_lease_token token, enum jq_outcome outcome, bool crashed) {
    static const uint8_t body[] = "report";
    return report_as(lab, token,
                     (struct jq_report){.outcome = outcome, .crashed = crashed, .body = {body, sizeof(body)}});
}

enum jq_reply report_success(struct lab *lab, jq_lease_token token) {
    return report_failure(lab, token, JQ_OUTCOME_SUCCESS, false);
}
