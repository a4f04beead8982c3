#include "broker/shell/decode_error.h"

#include "common/text.h"

static bool out_of_memory(struct jq_decoder *decoder) {
    return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "", "out of memory");
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct jq_str without_blanks(struct jq_str text) {
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    while (text.size > 0 && is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    return text;
}

static struct jq_str last_line(struct jq_bytes tail) {
    struct jq_str text = without_blanks((struct jq_str){(const char *)tail.data, tail.size});
    for (size_t i = text.size; i > 0; i--) {
        if (text.data[i - 1] == '\n')
            return without_blanks((struct jq_str){text.data + i, text.size - i});
    }
    return text;
}

/* At most so much of a text that the rest still has a chance, and no half character at its end. */
static struct jq_str shortened(struct jq_str text, size_t size_max) {
    if (text.size <= size_max)
        return text;
    while (size_max > 0 && ((uint8_t)text.data[size_max] & 0xc0) == 0x80)
        size_max--;
    return (struct jq_str){text.data, size_max};
}

static size_t append(char *line, size_t size, struct jq_str text) {
    text = shortened(text, JQ_ERROR_TEXT_SIZE_MAX - size);
    if (text.size > 0)
        memcpy(line + size, text.data, text.size);
    return size + text.size;
}

bool jq_decode_error_text(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_str *ret_text) {
    char line[JQ_ERROR_TEXT_SIZE_MAX + 1];
    const struct jq_str message = without_blanks(jq_value_text(detail, JQ_AT_DETAIL_MESSAGE));
    const struct jq_str cause = last_line(jq_value_bytes(detail, JQ_AT_DETAIL_STDERR));
    size_t size = append(line, 0, message);
    if (message.size > 0 && cause.size > 0)
        size = append(line, size, JQ_STR(": "));
    size = append(line, size, cause);
    for (size_t i = 0; i < size; i++)
        line[i] = (char)(line[i] == '\0' ? '?' : line[i]);
    line[size] = '\0';
    jq_text_make_line(line);
    *ret_text = jq_arena_text(&decoder->arena, jq_str_of(line));
    return ret_text->data ? true : out_of_memory(decoder);
}

static char name_char(char c) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : fits ? c : '_');
}

bool jq_decode_service(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_str *ret_name) {
    const struct jq_str text = jq_value_text(detail, JQ_AT_DETAIL_SERVICE);
    *ret_name = (struct jq_str){NULL, 0};
    if (text.size == 0)
        return true;
    char name[JQ_NAME_SIZE_MAX];
    const size_t size = text.size < sizeof(name) ? text.size : sizeof(name);
    for (size_t i = 0; i < size; i++)
        name[i] = name_char(text.data[i]);
    *ret_name = jq_arena_text(&decoder->arena, (struct jq_str){name, size});
    return ret_name->data ? true : out_of_memory(decoder);
}
