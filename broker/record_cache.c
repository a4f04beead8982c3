/* record_cache.c - the records of results that are kept, and the keys of tasks in theirs. */
#include "broker/record_internal.h"

struct jq_bytes get_cache_key(struct jq_reader *in) {
    const struct jq_bytes key = jq_read_bytes(in, JQ_CACHE_KEY_SIZE);
    in->failed |= key.size != JQ_CACHE_KEY_SIZE || key.data[0] < JQ_CACHE_LOOK || key.data[0] > JQ_CACHE_RUN;
    return key;
}

static struct jq_str get_name(struct jq_reader *in) {
    const struct jq_str name = jq_read_str(in, JQ_CACHE_NAME_SIZE_MAX);
    in->failed |= name.size <= JQ_BLOB_HASH_SIZE;
    return name;
}

void encode_cache_stored(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_str(out, record->u.cache_stored.name);
    jq_buf_append_varint(out, record->u.cache_stored.task.value);
    put_time(out, record->u.cache_stored.at_ms, record->time_ms);
    jq_buf_append_varint(out, record->u.cache_stored.output_bytes);
    put_files(out, record->u.cache_stored.made);
    put_body(out, record->u.cache_stored.body);
}
void decode_cache_stored(struct jq_reader *in, struct jq_record *record) {
    record->u.cache_stored.name = get_name(in);
    record->u.cache_stored.task = (jq_task_id){jq_read_varint(in)};
    record->u.cache_stored.at_ms = get_time(in, record->time_ms);
    record->u.cache_stored.output_bytes = jq_read_varint(in);
    record->u.cache_stored.made = get_files(in);
    record->u.cache_stored.body = get_body(in);
}

void encode_cache_dropped(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_str(out, record->u.cache_dropped.name);
}
void decode_cache_dropped(struct jq_reader *in, struct jq_record *record) {
    record->u.cache_dropped.name = get_name(in);
}
