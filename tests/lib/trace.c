#include "tests/lib/trace.h"

#include <inttypes.h>

static void retried(struct jq_buf *out, const struct jq_news *news, const struct jq_core_config *config) {
    jq_buf_append_format(out, "task %" PRIu64 " %s: %s", news->task.value, news->number > 0 ? "scheduled" : "ready",
                         jq_outcome_name(news->outcome));
    if (news->outcome == JQ_OUTCOME_LOST && news->losses > 0) {
        jq_buf_append_format(out, ", loss %u of %u", news->losses, config->lost_limit);
    }
    if (news->crashes > 0) {
        jq_buf_append_format(out, ", crash %u of %u", news->crashes, config->crash_limit);
    }
    if (news->attempts > 0) {
        jq_buf_append_format(out, ", attempt %u failed", news->attempts);
    }
    if (news->number > 0) {
        jq_buf_append_format(out, ", in %" PRId64 " ms", news->number);
    }
}

static void ended(struct jq_buf *out, const struct jq_news *news) {
    jq_buf_append_format(out, "task %" PRIu64 " %s", news->task.value, jq_state_name(news->state));
    if (news->state == JQ_STATE_DEAD || (news->state == JQ_STATE_CANCELLED && news->outcome != JQ_OUTCOME_CANCELLED)) {
        jq_buf_append_format(out, ": %s", jq_outcome_name(news->outcome));
    }
}

static void breaker(struct jq_buf *out, const struct jq_news *news) {
    jq_buf_append_format(out, "breaker %.*s %s", JQ_STR_ARG(news->name), jq_breaker_state_name(news->breaker_state));
    if (news->number > 0) {
        jq_buf_append_format(out, " for %" PRId64 " ms", news->number);
    }
    jq_buf_append_format(out, "%s", news->by_operator && news->breaker_state == JQ_BREAKER_OPEN ? ", tripped" : "");
}

static void sleeper(struct jq_buf *out, const struct jq_news *news) {
    jq_buf_append_format(out, "worker %.*s ", JQ_STR_ARG(news->name));
    if (news->type == JQ_NEWS_WORKER_ASLEEP) {
        jq_buf_append_format(out, "asleep");
    } else {
        jq_buf_append_format(out, "rung: %" PRId64, news->number);
    }
}

static bool told(enum jq_news_type type) {
    return type != JQ_NEWS_TASK_SUBMITTED && type != JQ_NEWS_TASK_LEASED && type != JQ_NEWS_TASK_PROGRESS &&
           type != JQ_NEWS_WORKER_REGISTERED;
}

static void line(struct jq_buf *out, const struct jq_news *news, const struct jq_core_config *config) {
    switch (news->type) {
    case JQ_NEWS_TASK_RETRIED: retried(out, news, config); break;
    case JQ_NEWS_TASK_ENDED: ended(out, news); break;
    case JQ_NEWS_TASK_READY: jq_buf_append_format(out, "task %" PRIu64 " ready", news->task.value); break;
    case JQ_NEWS_TASK_CANCELLING: jq_buf_append_format(out, "task %" PRIu64 " cancelling", news->task.value); break;
    case JQ_NEWS_TASK_REVIVED:
        jq_buf_append_format(out, "task %" PRIu64 " revived", news->task.value);
        if (news->number > 0) {
            jq_buf_append_format(out, ", in %" PRId64 " ms", news->number);
        }
        break;
    case JQ_NEWS_TASK_FORGOTTEN: jq_buf_append_format(out, "task %" PRIu64 " forgotten", news->task.value); break;
    case JQ_NEWS_TASK_BLOCKED:
        jq_buf_append_format(out, "task %" PRIu64 " blocked by task %" PRId64, news->task.value, news->number);
        break;
    case JQ_NEWS_TASK_UNBLOCKED:
        jq_buf_append_format(out, "task %" PRIu64 " waiting for task %" PRId64, news->task.value, news->number);
        break;
    case JQ_NEWS_FLOW_COMMITTED:
        jq_buf_append_format(out, "flow %" PRIu64 " committed: %" PRId64 " tasks", news->task.value, news->number);
        break;
    case JQ_NEWS_FLOW_CANCELLING: jq_buf_append_format(out, "flow %" PRIu64 " cancelling", news->task.value); break;
    case JQ_NEWS_FLOW_FORGOTTEN: jq_buf_append_format(out, "flow %" PRIu64 " forgotten", news->task.value); break;
    case JQ_NEWS_TASK_HELD: jq_buf_append_format(out, "task %" PRIu64 " held", news->task.value); break;
    case JQ_NEWS_TASK_RELEASED:
        jq_buf_append_format(out, "task %" PRIu64 " released: %s", news->task.value, jq_state_name(news->state));
        break;
    case JQ_NEWS_TASK_MOVED:
        jq_buf_append_format(out, "task %" PRIu64 " moved to %.*s", news->task.value, JQ_STR_ARG(news->name));
        break;
    case JQ_NEWS_WORKER_DEAD:
        jq_buf_append_format(out, "worker %.*s dead: %" PRId64 " surveys unanswered", JQ_STR_ARG(news->name),
                             news->number);
        break;
    case JQ_NEWS_WORKER_ASLEEP:
    case JQ_NEWS_WORKER_RUNG: sleeper(out, news); break;
    case JQ_NEWS_WORKER_DRAINING:
        jq_buf_append_format(out, "worker %.*s %s", JQ_STR_ARG(news->name), news->number ? "draining" : "not draining");
        break;
    case JQ_NEWS_QUEUE_SET:
        jq_buf_append_format(out, "queue %.*s %s", JQ_STR_ARG(news->name), news->number ? "paused" : "resumed");
        break;
    case JQ_NEWS_TASK_EDITED: jq_buf_append_format(out, "task %" PRIu64 " edited", news->task.value); break;
    case JQ_NEWS_BREAKER_SET: breaker(out, news); break;
    case JQ_NEWS_TASK_RENEWED: jq_buf_append_format(out, "task %" PRIu64 " renewed", news->task.value); break;
    case JQ_NEWS_LIMIT_SET:
        jq_buf_append_format(out, "limit %.*s %s", JQ_STR_ARG(news->name), news->number ? "set" : "removed");
        break;
    case JQ_NEWS_SCHEDULE_SET:
        jq_buf_append_format(out, "schedule %.*s %s", JQ_STR_ARG(news->name), news->number ? "on" : "paused");
        break;
    case JQ_NEWS_SCHEDULE_GONE: jq_buf_append_format(out, "schedule %.*s removed", JQ_STR_ARG(news->name)); break;
    case JQ_NEWS_SCHEDULE_MISSED:
        jq_buf_append_format(out, "schedule %.*s missed %" PRId64, JQ_STR_ARG(news->name), news->number);
        break;
    case JQ_NEWS_QUEUE_FULL:
        jq_buf_append_format(out, "queue %.*s %s", JQ_STR_ARG(news->name), news->number ? "full" : "has room again");
        break;
    case JQ_NEWS_QUEUE_DRAINING:
        jq_buf_append_format(out, "queue %.*s %s", JQ_STR_ARG(news->name), news->number ? "draining" : "not draining");
        break;
    case JQ_NEWS_QUEUE_TUNED: jq_buf_append_format(out, "queue %.*s tuned", JQ_STR_ARG(news->name)); break;
    case JQ_NEWS_MARK:
        jq_buf_append_format(out, "%.*s %s", JQ_STR_ARG(news->name), news->number ? "reached" : "clear again");
        break;
    default: break;
    }
}

void trace_news(struct jq_buf *out, int64_t at_ms, const struct jq_news *news, const struct jq_core_config *config) {
    if (!told(news->type)) {
        return;
    }
    jq_buf_append_format(out, "[%" PRId64 "] ", at_ms);
    line(out, news, config);
    jq_buf_append_u8(out, '\n');
}
