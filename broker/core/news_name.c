/* news_name.c - the events' names, as `jqctl events` tells them and a where selects them. */
#include "broker/core/effect.h"

static const char *breaker_name(enum jq_breaker_state state) {
    switch (state) {
    case JQ_BREAKER_CLOSED: return "breaker.closed";
    case JQ_BREAKER_OPEN: return "breaker.open";
    case JQ_BREAKER_HALF_OPEN: return "breaker.half_open";
    }
    return "?";
}

const char *jq_news_name(enum jq_news_type type, int64_t number) {
    switch (type) {
    case JQ_NEWS_TASK_SUBMITTED: return "task.submitted";
    case JQ_NEWS_TASK_READY: return "task.ready";
    case JQ_NEWS_TASK_LEASED: return "task.leased";
    case JQ_NEWS_TASK_RETRIED: return "task.retried";
    case JQ_NEWS_TASK_CANCELLING: return "task.cancelling";
    case JQ_NEWS_TASK_ENDED: return "task.ended";
    case JQ_NEWS_TASK_REVIVED: return "task.revived";
    case JQ_NEWS_TASK_FORGOTTEN: return "task.forgotten";
    case JQ_NEWS_TASK_HELD: return "task.held";
    case JQ_NEWS_TASK_RELEASED: return "task.released";
    case JQ_NEWS_TASK_MOVED: return "task.moved";
    case JQ_NEWS_TASK_PROGRESS: return "task.progress";
    case JQ_NEWS_WORKER_REGISTERED: return "worker.registered";
    case JQ_NEWS_WORKER_DEAD: return "worker.dead";
    case JQ_NEWS_WORKER_DRAINING: return number ? "worker.draining" : "worker.undrained";
    case JQ_NEWS_WORKER_ASLEEP: return "worker.asleep";
    case JQ_NEWS_WORKER_RUNG: return "worker.rung";
    case JQ_NEWS_QUEUE_SET: return number ? "queue.paused" : "queue.resumed";
    case JQ_NEWS_QUEUE_DRAINING: return number ? "queue.draining" : "queue.undrained";
    case JQ_NEWS_QUEUE_TUNED: return "queue.tuned";
    case JQ_NEWS_TASK_BLOCKED: return "task.blocked";
    case JQ_NEWS_TASK_UNBLOCKED: return "task.unblocked";
    case JQ_NEWS_TASK_EDITED: return "task.edited";
    case JQ_NEWS_TASK_RENEWED: return "task.renewed";
    case JQ_NEWS_FLOW_COMMITTED: return "flow.committed";
    case JQ_NEWS_FLOW_CANCELLING: return "flow.cancelling";
    case JQ_NEWS_FLOW_FORGOTTEN: return "flow.forgotten";
    case JQ_NEWS_BREAKER_SET: return breaker_name((enum jq_breaker_state)number);
    case JQ_NEWS_SCHEDULE_SET: return number ? "schedule.set" : "schedule.paused";
    case JQ_NEWS_SCHEDULE_GONE: return "schedule.removed";
    case JQ_NEWS_SCHEDULE_MISSED: return "schedule.missed";
    case JQ_NEWS_QUEUE_FULL: return number ? "queue.full" : "queue.roomy";
    case JQ_NEWS_LIMIT_SET: return number ? "limit.set" : "limit.removed";
    case JQ_NEWS_MARK: return number ? "mark.reached" : "mark.cleared";
    }
    return "?";
}
