#include "broker/shell/news.h"

#include "common/log.h"
#include "common/text.h"

static void tell_task(enum jq_log_level level, const char *message, const struct jq_news *news) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    if (!jq_log_enabled(level))
        return;
    JQ_LOG_AT(level, message, JQ_F_STR("task", jq_text_format_task_id(news->task, id)), JQ_F_TEXT("name", news->name),
              JQ_F_STR("state", jq_state_name(news->state)), JQ_F_STR("outcome", jq_outcome_name(news->outcome)),
              JQ_F_UINT("attempts", news->attempts), JQ_F_UINT("crashes", news->crashes),
              JQ_F_UINT("losses", news->losses), JQ_F_INT("number", news->number));
}

static void count_outcome(atomic_uint_fast64_t *counts, enum jq_outcome outcome) {
    if (outcome < JQ_OUTCOME_END)
        jq_count(&counts[outcome], 1);
}

static void tell_worker(struct jq_metrics *metrics, const struct jq_news *news) {
    if (news->type == JQ_NEWS_WORKER_REGISTERED) {
        JQ_LOG_INFO("worker registered", JQ_F_TEXT("worker", news->name));
        if (news->number > 0)
            JQ_LOG_WARN("other workers are here under the same name: names should be one worker's alone, for `jqctl "
                        "worker` and the breaker "
                        "mean all of them",
                        JQ_F_TEXT("worker", news->name), JQ_F_INT("others", news->number));
    } else if (news->type == JQ_NEWS_WORKER_ASLEEP) {
        JQ_LOG_INFO("worker asleep", JQ_F_TEXT("worker", news->name));
    } else if (news->type == JQ_NEWS_WORKER_RUNG) {
        JQ_LOG_INFO("worker rung", JQ_F_TEXT("worker", news->name), JQ_F_INT("times", news->number));
    } else if (news->type == JQ_NEWS_WORKER_DEAD) {
        jq_count(&metrics->workers_dead, 1);
        JQ_LOG_WARN("worker dead", JQ_F_TEXT("worker", news->name), JQ_F_INT("surveys_unanswered", news->number));
    } else {
        JQ_LOG_INFO("worker draining", JQ_F_TEXT("worker", news->name), JQ_F_INT("on", news->number));
    }
}

static void tell_end(struct jq_metrics *metrics, const struct jq_news *news) {
    const bool dead = news->state == JQ_STATE_DEAD;
    count_outcome(metrics->ends, news->outcome);
    tell_task(dead ? JQ_LOG_LEVEL_INFO : JQ_LOG_LEVEL_DEBUG, dead ? "task dead" : "task ended", news);
}

static void tell_flow(const char *message, const struct jq_news *news) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    if (jq_log_enabled(JQ_LOG_LEVEL_DEBUG))
        JQ_LOG_AT(JQ_LOG_LEVEL_DEBUG, message, JQ_F_STR("flow", jq_text_format_task_id(news->task, id)),
                  JQ_F_TEXT("name", news->name), JQ_F_INT("tasks", news->number));
}

static void tell_breaker(struct jq_metrics *metrics, const struct jq_news *news) {
    jq_count(&metrics->breaker_changes[news->breaker_kind][news->breaker_state], 1);
    JQ_LOG_AT(news->breaker_state == JQ_BREAKER_OPEN ? JQ_LOG_LEVEL_WARN : JQ_LOG_LEVEL_INFO, "circuit breaker",
              JQ_F_TEXT("breaker", news->name), JQ_F_STR("state", jq_breaker_state_name(news->breaker_state)),
              JQ_F_BOOL("by_operator", news->by_operator), JQ_F_INT("for_ms", news->number));
}

void jq_news_tell(struct jq_metrics *metrics, const struct jq_news *news) {
    switch (news->type) {
    case JQ_NEWS_TASK_SUBMITTED: tell_task(JQ_LOG_LEVEL_DEBUG, "task submitted", news); break;
    case JQ_NEWS_TASK_READY: tell_task(JQ_LOG_LEVEL_DEBUG, "task ready", news); break;
    case JQ_NEWS_TASK_LEASED: tell_task(JQ_LOG_LEVEL_DEBUG, "task leased", news); break;
    case JQ_NEWS_TASK_CANCELLING: tell_task(JQ_LOG_LEVEL_DEBUG, "task cancelling", news); break;
    case JQ_NEWS_TASK_REVIVED: tell_task(JQ_LOG_LEVEL_DEBUG, "task revived", news); break;
    case JQ_NEWS_TASK_FORGOTTEN: tell_task(JQ_LOG_LEVEL_DEBUG, "task forgotten", news); break;
    case JQ_NEWS_TASK_EDITED: tell_task(JQ_LOG_LEVEL_INFO, "dead letter edited", news); break;
    case JQ_NEWS_BREAKER_SET: tell_breaker(metrics, news); break;
    case JQ_NEWS_TASK_HELD: tell_task(JQ_LOG_LEVEL_DEBUG, "task held", news); break;
    case JQ_NEWS_TASK_RELEASED: tell_task(JQ_LOG_LEVEL_DEBUG, "task released", news); break;
    case JQ_NEWS_TASK_MOVED: tell_task(JQ_LOG_LEVEL_DEBUG, "task moved", news); break;
    case JQ_NEWS_TASK_PROGRESS: tell_task(JQ_LOG_LEVEL_DEBUG, "task progress", news); break;
    case JQ_NEWS_TASK_RETRIED:
        count_outcome(metrics->retries, news->outcome);
        tell_task(JQ_LOG_LEVEL_DEBUG, "task to be retried", news);
        break;
    case JQ_NEWS_TASK_ENDED: tell_end(metrics, news); break;
    case JQ_NEWS_TASK_BLOCKED: tell_task(JQ_LOG_LEVEL_DEBUG, "task blocked", news); break;
    case JQ_NEWS_TASK_UNBLOCKED: tell_task(JQ_LOG_LEVEL_DEBUG, "task waiting again", news); break;
    case JQ_NEWS_FLOW_COMMITTED: tell_flow("flow committed", news); break;
    case JQ_NEWS_FLOW_CANCELLING: tell_flow("flow cancelling", news); break;
    case JQ_NEWS_FLOW_FORGOTTEN: tell_flow("flow forgotten", news); break;
    case JQ_NEWS_WORKER_REGISTERED:
    case JQ_NEWS_WORKER_DEAD:
    case JQ_NEWS_WORKER_ASLEEP:
    case JQ_NEWS_WORKER_RUNG:
    case JQ_NEWS_WORKER_DRAINING: tell_worker(metrics, news); break;
    case JQ_NEWS_QUEUE_SET:
        JQ_LOG_INFO("queue set", JQ_F_TEXT("queue", news->name), JQ_F_BOOL("paused", news->number != 0));
        break;
    case JQ_NEWS_TASK_RENEWED: tell_task(JQ_LOG_LEVEL_DEBUG, "task renewed", news); break;
    case JQ_NEWS_LIMIT_SET:
        JQ_LOG_INFO("limit set", JQ_F_TEXT("scope", news->name), JQ_F_BOOL("on", news->number != 0));
        break;
    case JQ_NEWS_SCHEDULE_SET:
        JQ_LOG_INFO("schedule set", JQ_F_TEXT("schedule", news->name), JQ_F_BOOL("paused", news->number == 0));
        break;
    case JQ_NEWS_SCHEDULE_GONE: JQ_LOG_INFO("schedule removed", JQ_F_TEXT("schedule", news->name)); break;
    case JQ_NEWS_SCHEDULE_MISSED:
        JQ_LOG_WARN("schedule missed", JQ_F_TEXT("schedule", news->name), JQ_F_INT("times", news->number));
        break;
    case JQ_NEWS_QUEUE_FULL:
        JQ_LOG_WARN(news->number != 0 ? "queue full" : "queue has room again", JQ_F_TEXT("queue", news->name));
        break;
    case JQ_NEWS_QUEUE_DRAINING:
        JQ_LOG_INFO("queue draining", JQ_F_TEXT("queue", news->name), JQ_F_BOOL("on", news->number != 0));
        break;
    case JQ_NEWS_QUEUE_TUNED: JQ_LOG_INFO("queue tuned", JQ_F_TEXT("queue", news->name)); break;
    case JQ_NEWS_MARK:
        JQ_LOG_WARN("watermark", JQ_F_TEXT("mark", news->name), JQ_F_BOOL("above", news->number != 0));
        break;
    }
}
