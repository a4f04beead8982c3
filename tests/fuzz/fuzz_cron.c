/* fuzz_cron.c - cron expressions, time zone files and rules, scopes and rates of limits. What is due next lies behind what was asked
 * for, and asking again from there goes on. */
#include "common/cron.h"
#include "common/limit.h"
#include "tests/fuzz/fuzz.h"

enum { TIMES = 5 };

static void cron(struct jq_str text, const struct jq_zone *zone, int64_t after_ms) {
    struct jq_cron cron;
    struct jq_error error;
    if (jq_cron_parse(text, &cron, &error) != JQ_OK) {
        JQ_CHECK(error.message[0] != '\0');
        return;
    }
    for (int i = 0; i < TIMES; i++) {
        int64_t next_ms = 0;
        if (!jq_cron_next(&cron, zone, 0, after_ms, &next_ms)) {
            return;
        }
        JQ_CHECK(next_ms > after_ms);
        after_ms = next_ms;
    }
}

/* A zone from the first piece, an expression from the rest. */
static void zoned(struct fuzz_input *input, bool rule) {
    struct jq_zone *zone = NULL;
    const struct jq_bytes piece = fuzz_piece(input);
    const struct jq_str text = fuzz_text(piece.data, piece.size);
    const int64_t after_ms = INT64_C(1700000000000) + 86400000 * (int64_t)fuzz_byte(input);
    const enum jq_err err = rule ? jq_zone_of_rule(text, &zone, NULL)
                                 : jq_zone_parse((struct jq_bytes){(const uint8_t *)text.data, text.size}, &zone, NULL);
    if (err == JQ_OK) {
        cron((struct jq_str){(const char *)input->data, input->size}, zone, after_ms);
        jq_zone_free(zone);
    }
    free((char *)(uintptr_t)text.data);
}

static void limits(struct jq_str text) {
    struct jq_scope scope;
    struct jq_rate rate, again;
    char place[JQ_RATE_TEXT_SIZE];
    (void)jq_scope_parse(text, &scope, NULL);
    if (jq_rate_parse(text, &rate, NULL) == JQ_OK) {
        (void)jq_rate_format(rate, place);
        JQ_CHECK(jq_rate_parse(jq_str_of(place), &again, NULL) == JQ_OK);
        JQ_CHECK(again.count == rate.count && again.period_ms == rate.period_ms && jq_rate_interval_us(rate) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    const uint8_t kind = fuzz_byte(&input) % 4;
    if (kind > 1) {
        zoned(&input, kind == 2);
        return 0;
    }
    const struct jq_str text = fuzz_text(input.data, input.size);
    if (kind == 0) {
        cron(text, &jq_zone_utc, INT64_C(1700000000000));
    } else {
        limits(text);
    }
    free((char *)(uintptr_t)text.data);
    return 0;
}
