/* Checks broker/PROTOCOL.md, from the repository's root. With JQ_PROTOCOL_WRITE=1 in the environment it writes the
 * page's made parts anew instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/shell/decode.h"
#include "common/codec_fields.h"
#include "tests/lib/examples.h"
#include "tests/lib/notation.h"
#include "tests/lib/protocol_doc.h"

static const char page_path[] = "broker/PROTOCOL.md";

static void read_page(struct jq_buf *page) {
    FILE *file = fopen(page_path, "rb");
    if (!file)
        fail_msg("%s cannot be opened: run me from the repository's root", page_path);
    char chunk[4096];
    size_t size;
    jq_buf_init(page, 1U << 20);
    while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0)
        jq_buf_append(page, chunk, size);
    fclose(file);
}

static void write_page(const struct jq_buf *page) {
    FILE *file = fopen(page_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(page->data, 1, page->size, file), page->size);
    assert_int_equal(fclose(file), 0);
}

/* The page that people read says what the table says and what the code puts on the wire, byte by byte. */
static void the_page_is_what_the_table_says(void **state) {
    (void)state;
    struct jq_buf page, renewed;
    read_page(&page);
    jq_buf_init(&renewed, 1U << 20);
    protocol_doc_renew(&renewed, jq_buf_str(&page));
    if (getenv("JQ_PROTOCOL_WRITE")) {
        write_page(&renewed);
    } else {
        size_t line = 1;
        for (size_t i = 0; i < page.size && i < renewed.size && page.data[i] == renewed.data[i]; i++)
            line += page.data[i] == '\n';
        if (page.size != renewed.size || memcmp(page.data, renewed.data, page.size) != 0)
            fail_msg("%s:%zu: not what the table says; JQ_PROTOCOL_WRITE=1 renews it", page_path, line);
    }
    jq_buf_fini(&page);
    jq_buf_fini(&renewed);
}

static void expect_part(const struct jq_buf *page, const char *what, const char *name) {
    char mark[128];
    snprintf(mark, sizeof(mark), "<!-- %s %s -->\n", what, name);
    if (!strstr((const char *)page->data, mark))
        fail_msg("%s does not show: %s %s", page_path, what, name);
}

/* Nothing is left out: every message with its fields, every example. */
static void the_page_shows_every_message(void **state) {
    (void)state;
    struct jq_buf page;
    read_page(&page);
    jq_buf_append_u8(&page, 0);
    for (size_t i = 0; i < jq_messages_count; i++)
        expect_part(&page, "fields", jq_messages[i]->name);
    for (size_t i = 0; i < examples_count; i++)
        expect_part(&page, "example", examples[i].name);
    jq_buf_fini(&page);
}

static void check_object(const struct jq_message *message, const msgpack_object *object);

static void check_field(const struct jq_field *field, const msgpack_object *object) {
    if (!field->of || !object)
        return;
    if (field->type == JQ_FIELD_MAP) {
        check_object(field->of, object);
        return;
    }
    for (uint32_t i = 0; i < object->via.array.size; i++)
        check_object(field->of, &object->via.array.ptr[i]);
}

/* Does an object follow the table, all the way down? A map must have no key beside. */
static void check_object(const struct jq_message *message, const msgpack_object *object) {
    struct jq_values values;
    struct jq_fault fault;
    if (message->count == 0) {
        assert_int_equal(object->via.map.size, 0);
        return;
    }
    if (!jq_fields_read(message, object, &values, &fault))
        fail_msg("%s: %s: %s", message->name, fault.field, fault.reason);
    if (!message->tuple)
        assert_int_equal(object->via.map.size, __builtin_popcountll(values.given));
    for (unsigned place = 0; place < message->count; place++) {
        if (jq_given(&values, place))
            check_field(&message->fields[place], values.at[place].object);
    }
}

static void check_example(const struct example *example, struct jq_bytes frame) {
    const struct jq_message *const envelopes[] = {&jq_message_request, &jq_message_reply, NULL};
    const struct jq_message *envelope = envelopes[example->kind];
    msgpack_object root;
    if (example->message == &jq_message_notice)
        frame = (struct jq_bytes){frame.data + strlen("w/w1") + 1, frame.size - strlen("w/w1") - 1};
    assert_int_equal(jq_unpack(jq_unpacker_of_thread(), frame, &root, NULL), JQ_OK);
    if (!envelope) {
        check_object(example->message, &root);
        return;
    }
    check_object(envelope, &root);
    assert_int_equal(root.via.array.size, envelope->count);
    check_object(example->message, &root.via.array.ptr[envelope->count - 1]);
}

/* What the encoder writes is what the table promises, field by field; and so is what the examples ask. */
static void every_example_follows_the_table(void **state) {
    (void)state;
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    for (size_t i = 0; i < examples_count; i++) {
        example_frame(&examples[i], &frame);
        check_example(&examples[i], jq_buf_bytes(&frame));
    }
    jq_buf_fini(&frame);
}

/* Every request in the page is one that the broker takes, and every op has one. */
static void the_broker_takes_every_request(void **state) {
    (void)state;
    struct jq_decoder *decoder = jq_decoder_new(NULL);
    struct jq_buf frame;
    uint64_t seen = 0;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    for (size_t i = 0; i < examples_count; i++) {
        struct jq_request request;
        struct jq_envelope envelope;
        struct jq_error error;
        if (examples[i].kind != EXAMPLE_REQUEST)
            continue;
        example_frame(&examples[i], &frame);
        if (jq_decode_request(decoder, jq_buf_bytes(&frame), &request, &envelope, &error) != JQ_OK)
            fail_msg("%s: %s", examples[i].name, error.message);
        assert_string_equal(envelope.op->name, examples[i].name);
        assert_ptr_equal(envelope.op->request, examples[i].message);
        seen |= UINT64_C(1) << envelope.op->number;
    }
    assert_int_equal(seen, (UINT64_C(1) << jq_ops_count) - 1);
    jq_buf_fini(&frame);
    jq_decoder_free(decoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_what_the_table_says),
        cmocka_unit_test(the_page_shows_every_message),
        cmocka_unit_test(every_example_follows_the_table),
        cmocka_unit_test(the_broker_takes_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
