/* text_bytes.c - the half of text.h that looks at bytes and characters: hexadecimal, base64, UTF-8, escapes. */
#include "common/text.h"

#include <stdio.h>

static int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte from two digits, or -1. */
static int byte_value(const char *digits) {
    const int high = digit_value(digits[0]);
    const int low = digit_value(digits[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

char *jq_text_format_hex(struct jq_bytes bytes, char *place) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        place[2 * i] = digits[bytes.data[i] >> 4];
        place[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    place[2 * bytes.size] = '\0';
    return place;
}

static bool all_digits(struct jq_str text) {
    for (size_t i = 0; i < text.size; i++) {
        if (digit_value(text.data[i]) < 0)
            return false;
    }
    return true;
}

enum jq_err jq_text_parse_hex(struct jq_str text, uint8_t *ret_data, size_t size, struct jq_error *reterr) {
    if (text.size % 2 != 0 || text.size / 2 != size)
        return jq_fail(reterr, JQ_ERR_INVALID, "%zu characters where %zu hexadecimal digits belong", text.size,
                       size * 2);
    if (!all_digits(text))
        return jq_fail(reterr, JQ_ERR_INVALID, "a character that is no hexadecimal digit");
    for (size_t i = 0; i < size; i++)
        ret_data[i] = (uint8_t)byte_value(text.data + 2 * i);
    return JQ_OK;
}

static bool dash_before(size_t byte) {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

enum jq_err jq_text_parse_uuid(struct jq_str text, struct jq_uuid *ret_uuid, struct jq_error *reterr) {
    struct jq_uuid uuid;
    const char *at = text.data;
    bool good = text.size == JQ_UUID_TEXT_SIZE - 1;
    for (size_t i = 0; good && i < sizeof(uuid.bytes); i++) {
        if (dash_before(i))
            good = *at++ == '-';
        const int value = byte_value(at);
        good = good && value >= 0;
        uuid.bytes[i] = (uint8_t)value;
        at += 2;
    }
    if (!good)
        return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s': not a UUID (8-4-4-4-12 hexadecimal digits)",
                       (int)(text.size > 40 ? 40 : text.size), text.data);
    *ret_uuid = uuid;
    return JQ_OK;
}

char *jq_text_format_uuid(const struct jq_uuid *uuid, char place[JQ_UUID_TEXT_SIZE]) {
    char *at = place;
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        if (dash_before(i))
            *at++ = '-';
        jq_text_format_hex((struct jq_bytes){&uuid->bytes[i], 1}, at);
        at += 2;
    }
    return place;
}

static void append_base64_group(struct jq_buf *buf, const uint8_t *at, size_t size) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)(size > 1 ? at[1] : 0) << 8 | (size > 2 ? at[2] : 0);
    const char group[4] = {alphabet[bits >> 18], alphabet[(bits >> 12) & 63],
                           size > 1 ? alphabet[(bits >> 6) & 63] : '=', size > 2 ? alphabet[bits & 63] : '='};
    jq_buf_append(buf, group, sizeof(group));
}

void jq_text_append_base64(struct jq_buf *buf, struct jq_bytes bytes) {
    for (size_t i = 0; i < bytes.size; i += 3)
        append_base64_group(buf, bytes.data + i, bytes.size - i);
}

/* Lead bytes with the range of the second byte (RFC 3629, section 4); all further bytes are 80..BF. */
static const struct utf8_form {
    uint8_t lead_min, lead_max, second_min, second_max, size;
} utf8_forms[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool form_fits(const struct utf8_form *form, const uint8_t *at, size_t left) {
    if (at[0] < form->lead_min || at[0] > form->lead_max || left < form->size)
        return false;
    if (form->size > 1 && (at[1] < form->second_min || at[1] > form->second_max))
        return false;
    for (size_t i = 2; i < form->size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return false;
    }
    return true;
}

size_t jq_text_utf8_size(struct jq_str text) {
    if (text.size == 0)
        return 0;
    for (size_t i = 0; i < sizeof(utf8_forms) / sizeof(utf8_forms[0]); i++) {
        if (form_fits(&utf8_forms[i], (const uint8_t *)text.data, text.size))
            return utf8_forms[i].size;
    }
    return 0;
}

bool jq_text_utf8_valid(struct jq_str text) {
    while (text.size > 0) {
        const size_t size = jq_text_utf8_size(text);
        if (size == 0)
            return false;
        text = (struct jq_str){text.data + size, text.size - size};
    }
    return true;
}

void jq_text_make_line(char *text) {
    struct jq_str rest = jq_str_of(text);
    while (rest.size > 0) {
        const size_t size = jq_text_utf8_size(rest);
        const uint8_t first = (uint8_t)*text;
        if (size == 0 || first < 0x20 || first == 0x7f)
            *text = '?';
        const size_t taken = size > 0 ? size : 1;
        text += taken;
        rest = (struct jq_str){text, rest.size - taken};
    }
}

/* The letter of a short escape, or 0. */
static char short_escape(char c) {
    switch (c) {
    case '"':
    case '\\': return c;
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

/* The code of a control character of one or two bytes (C0, DEL, C1), or -1. */
static int control_code(const uint8_t *at, size_t size) {
    if (size == 1 && (at[0] < 0x20 || at[0] == 0x7f))
        return at[0];
    if (size == 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return at[1];
    return -1;
}

static size_t escape_character(const char *at, size_t size, char place[JQ_ESCAPE_SIZE_MAX]) {
    const char letter = size == 1 ? short_escape(*at) : 0;
    if (letter) {
        place[0] = '\\';
        place[1] = letter;
        return 2;
    }
    const int code = control_code((const uint8_t *)at, size);
    if (code >= 0)
        return (size_t)snprintf(place, JQ_ESCAPE_SIZE_MAX, "\\u%04x", (unsigned)code);
    memcpy(place, at, size);
    return size;
}

size_t jq_text_escape(struct jq_str *text, char place[JQ_ESCAPE_SIZE_MAX]) {
    const size_t size = jq_text_utf8_size(*text);
    const char *at = text->data;
    const size_t taken = size ? size : 1;
    *text = (struct jq_str){text->data + taken, text->size - taken};
    return size ? escape_character(at, size, place) : escape_character("\xef\xbf\xbd", 3, place);
}

bool jq_text_equal_secret(const void *a, const void *b, size_t size) {
    const uint8_t *left = a, *right = b;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference = (uint8_t)(difference | (left[i] ^ right[i]));
    return difference == 0;
}
