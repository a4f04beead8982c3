/* fuzz_need.c - needs, wants, offers and facts as people write them. The canonical text is read as the same thing. */
#include "common/need.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 4096 };

static void need(struct jq_str text) {
    struct jq_need first, again, merged;
    struct jq_error error;
    char canonical[TEXT_MAX];
    if (jq_need_parse(text, &first, &error) != JQ_OK) {
        JQ_CHECK(error.message[0] != '\0');
        return;
    }
    const size_t size = jq_need_format(&first, canonical, sizeof(canonical));
    JQ_CHECK(size <= text.size && size < sizeof(canonical));
    JQ_CHECK(jq_need_parse((struct jq_str){canonical, size}, &again, &error) == JQ_OK);
    JQ_CHECK(jq_need_equal(&first, &again));
    if (jq_need_merge(&first, &again, &merged) == JQ_OK) {
        jq_need_fini(&merged);
    }
    jq_need_fini(&first);
    jq_need_fini(&again);
}

static void want(struct jq_str text) {
    struct jq_want first, again;
    struct jq_error error;
    char canonical[TEXT_MAX];
    if (jq_want_parse(text, &first, &error) != JQ_OK) {
        return;
    }
    const size_t size = jq_want_format(&first, canonical, sizeof(canonical));
    JQ_CHECK(size < sizeof(canonical));
    JQ_CHECK(jq_want_parse((struct jq_str){canonical, size}, &again, &error) == JQ_OK);
    JQ_CHECK(again.count == first.count);
    jq_want_fini(&first);
    jq_want_fini(&again);
}

/* Offers and facts behind each other, and the need that is matched with them. */
static void match(struct fuzz_input *input) {
    struct jq_offers offers;
    struct jq_facts facts;
    struct jq_need wanted;
    const struct jq_bytes first = fuzz_piece(input), second = fuzz_piece(input);
    if (jq_offers_parse((struct jq_str){(const char *)first.data, first.size}, &offers, NULL) != JQ_OK) {
        return;
    }
    if (jq_facts_parse((struct jq_str){(const char *)second.data, second.size}, &facts, NULL) == JQ_OK) {
        if (jq_need_parse((struct jq_str){(const char *)input->data, input->size}, &wanted, NULL) == JQ_OK) {
            (void)jq_need_first_holding(&wanted, &facts, &offers);
            jq_need_fini(&wanted);
        }
        jq_facts_fini(&facts);
    }
    jq_offers_fini(&offers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    const uint8_t kind = fuzz_byte(&input);
    const struct jq_str text = fuzz_text(input.data, input.size);
    switch (kind % 3) {
    case 0: need(text); break;
    case 1: want(text); break;
    default: match(&input); break;
    }
    free((char *)(uintptr_t)text.data);
    return 0;
}
