/* text.h - what people type and read: durations, sizes, numbers, ids; and small helpers on text that came from outside.
 *
 * Parsers take the whole text or refuse it: no blanks, no signs where none are meant, nothing left over. They fail with
 * JQ_ERR_INVALID (not of the form) or JQ_ERR_TOO_BIG (out of bounds); the message quotes the text and names the reason.
 * The caller knows which field it was, and says so. Formatters write at most the size given beside them, a NUL
 * included, and return `place`.
 */
#ifndef JQ_COMMON_TEXT_H
#define JQ_COMMON_TEXT_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

enum {
    JQ_DURATION_TEXT_SIZE = 40,
    JQ_SIZE_TEXT_SIZE = 24,
    JQ_TASK_ID_TEXT_SIZE = 24,
    JQ_UUID_TEXT_SIZE = 37,
    JQ_TIME_TEXT_SIZE = 32,
    JQ_ESCAPE_SIZE_MAX = 8,
};

/* Longest duration that is accepted: a hundred years of 365 days. */
#define JQ_DURATION_MS_MAX (INT64_C(36500) * 24 * 3600 * 1000)

/* "250ms", "5s", "10m", "1h30m", "2d", "0": units d h m s ms, each at most once, largest first. */
enum jq_err jq_text_parse_duration(struct jq_str text, int64_t *ret_ms, struct jq_error *reterr);

/* The same form, exact: what it prints parses to the same number. 0 is "0s"; negative ones begin with '-'. */
char *jq_text_format_duration(int64_t ms, char place[JQ_DURATION_TEXT_SIZE]);

/* "4096", "64K", "64M", "4G", "1T": binary units, either case. */
enum jq_err jq_text_parse_size(struct jq_str text, uint64_t *ret_bytes, struct jq_error *reterr);

/* The largest unit that divides it: exact. 65536 is "64K", 1000 is "1000". */
char *jq_text_format_size(uint64_t bytes, char place[JQ_SIZE_TEXT_SIZE]);

/* Decimal, with an optional '-'; from `min` to `max`. */
enum jq_err jq_text_parse_int(struct jq_str text, int64_t min, int64_t max, int64_t *ret_value,
                              struct jq_error *reterr);

/* Decimal, without a sign; up to `max`. */
enum jq_err jq_text_parse_uint(struct jq_str text, uint64_t max, uint64_t *ret_value, struct jq_error *reterr);

/* A task id is "SEQUENCE" in group 0, else "GROUP-SEQUENCE": "17", "3-17". Sequence 0 is no task. */
enum jq_err jq_text_parse_task_id(struct jq_str text, jq_task_id *ret_id, struct jq_error *reterr);
char *jq_text_format_task_id(jq_task_id id, char place[JQ_TASK_ID_TEXT_SIZE]);

/* 8-4-4-4-12 hexadecimal digits (RFC 4122, section 3); read in either case, written in lower case. */
enum jq_err jq_text_parse_uuid(struct jq_str text, struct jq_uuid *ret_uuid, struct jq_error *reterr);
char *jq_text_format_uuid(const struct jq_uuid *uuid, char place[JQ_UUID_TEXT_SIZE]);

/* UTC with milliseconds (RFC 3339): "2024-02-29T12:00:00.000Z". Outside the years 0 to 9999: the number alone. */
char *jq_text_format_time(int64_t wall_ms, char place[JQ_TIME_TEXT_SIZE]);

/* Two lower-case digits a byte. `place` holds 2 * size + 1 bytes. */
char *jq_text_format_hex(struct jq_bytes bytes, char *place);

/* Exactly `size` bytes from exactly 2 * size digits. */
enum jq_err jq_text_parse_hex(struct jq_str text, uint8_t *ret_data, size_t size, struct jq_error *reterr);

/* Standard alphabet with padding (RFC 4648, section 4). */
void jq_text_append_base64(struct jq_buf *buf, struct jq_bytes bytes);

/* Length (1 to 4) of the UTF-8 character at the start of `text`, or 0: not UTF-8 (RFC 3629: no surrogates, no over-long
 * forms, nothing above U+10FFFF), or empty. */
size_t jq_text_utf8_size(struct jq_str text);
bool jq_text_utf8_valid(struct jq_str text);

/* Makes a text that quotes somebody else's bytes fit for a line and for msgpack's str: each control character (C0, DEL) and
 * each byte that is not UTF-8 becomes '?'. */
void jq_text_make_line(char *text);

/* Takes the next character off *text and writes it as within a JSON string: quote, backslash and control characters
 * (C0, DEL, C1) escaped, a byte that is not UTF-8 as U+FFFD. Returns the bytes written, at most JQ_ESCAPE_SIZE_MAX.
 * `text` must not be empty. */
size_t jq_text_escape(struct jq_str *text, char place[JQ_ESCAPE_SIZE_MAX]);

/* True when equal; takes the same time wherever they differ. For secrets. */
bool jq_text_equal_secret(const void *a, const void *b, size_t size);

#endif
