#include "broker/shell/release.h"

#include "common/err.h"

void jq_release_init(struct jq_release *release, uint64_t lsn) {
    *release = (struct jq_release){.pushed = 0};
    for (size_t level = 0; level <= JQ_EFFECT_DURABLE; level++)
        release->queues[level].last = &release->queues[level].first;
    release->marks[JQ_EFFECT_AT_ONCE] = UINT64_MAX;
    release->marks[JQ_EFFECT_WRITTEN] = lsn;
    release->marks[JQ_EFFECT_DURABLE] = lsn;
}

void jq_release_push(struct jq_release *release, struct jq_release_item *item) {
    struct jq_release_queue *queue = &release->queues[item->level];
    item->next = NULL;
    item->order = release->pushed++;
    *queue->last = item;
    queue->last = &item->next;
    release->waiting++;
}

void jq_release_advance(struct jq_release *release, uint64_t written_lsn, uint64_t durable_lsn) {
    JQ_CHECK(written_lsn >= release->marks[JQ_EFFECT_WRITTEN] && durable_lsn >= release->marks[JQ_EFFECT_DURABLE]);
    JQ_CHECK(durable_lsn <= written_lsn);
    release->marks[JQ_EFFECT_WRITTEN] = written_lsn;
    release->marks[JQ_EFFECT_DURABLE] = durable_lsn;
}

static struct jq_release_item *queue_pop(struct jq_release_queue *queue) {
    struct jq_release_item *item = queue->first;
    queue->first = item->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    item->next = NULL;
    return item;
}

struct jq_release_item *jq_release_take(struct jq_release *release) {
    struct jq_release_queue *earliest = NULL;
    for (size_t level = 0; level <= JQ_EFFECT_DURABLE; level++) {
        struct jq_release_queue *queue = &release->queues[level];
        if (queue->first == NULL || queue->first->lsn > release->marks[level])
            continue;
        if (earliest == NULL || queue->first->order < earliest->first->order)
            earliest = queue;
    }
    if (earliest == NULL)
        return NULL;
    release->waiting--;
    return queue_pop(earliest);
}

struct jq_release_item *jq_release_take_all(struct jq_release *release) {
    struct jq_release_item *first = NULL;
    struct jq_release_item **last = &first;
    for (struct jq_release_item *item; (item = jq_release_take(release)) != NULL; last = &item->next)
        *last = item;
    return first;
}
