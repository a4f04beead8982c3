/* breaker.c - one circuit breaker: counts in, changes of state out. Reads nothing but its arguments. */
#include "broker/core/breaker.h"
#include "broker/core/canary.h"

/* ---- the window: a ring of slices, so that a call costs the same whatever the window holds ---- */

static int64_t slice_ms(const struct jq_breaker_config *config) {
    const int64_t length_ms = config->window_ms / BREAKER_SLICE_COUNT;
    return length_ms > 0 ? length_ms : 1;
}

void breaker_window_move(struct breaker_window *window, const struct jq_breaker_config *config, int64_t now_ms) {
    const int64_t slice = now_ms / slice_ms(config);
    const int64_t steps = slice - window->slice;
    for (int64_t i = 1; i <= steps && i <= BREAKER_SLICE_COUNT; i++) {
        const int64_t at = (window->slice + i) % BREAKER_SLICE_COUNT;
        window->calls_sum -= window->calls[at];
        window->bad_sum -= window->bad[at];
        window->calls[at] = 0;
        window->bad[at] = 0;
    }
    if (steps > 0) {
        window->slice = slice;
    }
}

static void window_add(struct breaker_window *window, const struct jq_breaker_config *config, int64_t now_ms,
                       bool bad) {
    breaker_window_move(window, config, now_ms);
    const int64_t at = window->slice % BREAKER_SLICE_COUNT;
    window->calls[at]++;
    window->calls_sum++;
    window->bad[at] += bad;
    window->bad_sum += bad;
}

static bool window_is_bad(const struct breaker_window *window, const struct jq_breaker_config *config) {
    return window->calls_sum >= config->min_calls &&
           (uint64_t)window->bad_sum * 100 >= (uint64_t)window->calls_sum * config->failure_percent;
}

/* ---- states ---- */

static struct breaker_change opening(int64_t now_ms, int64_t cool_down_ms) {
    return (struct breaker_change){
        .state = JQ_BREAKER_OPEN, .until_ms = now_ms + cool_down_ms, .cool_down_ms = cool_down_ms};
}

static bool probe_ended(struct breaker *breaker, const struct jq_breaker_config *config, int64_t now_ms,
                        enum breaker_call call, struct breaker_change *ret_change) {
    const int64_t doubled_ms = 2 * breaker->cool_down_ms;
    switch (call) {
    case BREAKER_CALL_GOOD:
        *ret_change = (struct breaker_change){.state = JQ_BREAKER_CLOSED};
        return ++breaker->probes_good >= config->probes;
    case BREAKER_CALL_BAD:
        *ret_change = opening(now_ms, doubled_ms < config->cool_down_max_ms ? doubled_ms : config->cool_down_max_ms);
        return true;
    default: breaker->probes -= breaker->probes > 0; return false;
    }
}

bool breaker_call_ended(struct breaker *breaker, const struct jq_breaker_config *config, int64_t now_ms,
                        enum breaker_call call, bool probe, struct breaker_change *ret_change) {
    if (probe) {
        return probe_ended(breaker, config, now_ms, call, ret_change);
    }
    if (breaker->state != JQ_BREAKER_CLOSED || call == BREAKER_CALL_NEUTRAL) {
        return false; /* else it began before the breaker opened: what it tells is known by now */
    }
    window_add(&breaker->window, config, now_ms, call == BREAKER_CALL_BAD);
    *ret_change = opening(now_ms, config->cool_down_ms);
    return config->enabled && call == BREAKER_CALL_BAD && window_is_bad(&breaker->window, config);
}

bool breaker_lets_through(const struct breaker *breaker, const struct jq_breaker_config *config) {
    return breaker->state == JQ_BREAKER_CLOSED ||
           (breaker->state == JQ_BREAKER_HALF_OPEN && (breaker->probes < config->probes || CANARY(BREAKER_LEAK)));
}

bool breaker_is_due(const struct breaker *breaker, int64_t now_ms) {
    return breaker->state == JQ_BREAKER_OPEN && breaker->until_ms > 0 && breaker->until_ms <= now_ms;
}
