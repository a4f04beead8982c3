#include "tools/jqctl/flow_doc.h"

#include <stdlib.h>

#include "common/conf.h"
#include "common/map.h"
#include "tools/jqctl/payload.h"

/* Whose parts come next. */
enum place { PLACE_TOP, PLACE_MEMBERS, PLACE_NAME, PLACE_DEFAULTS, PLACE_TASKS, PLACE_TASK, PLACE_END };

/* `after` of a task, until all names are known. */
struct wish {
    const char **names;
    size_t count;
};

struct document {
    struct jqctl_memory *memory;
    struct jq_flow *flow;
    struct jq_task_spec defaults, spec;
    struct jqctl_spec_reading reading; /* of the task, or of the defaults, that is open */
    enum place place;
    const char *name;
    bool has_tasks;
    struct jq_strmap names; /* of tasks: their places */
    struct wish *wishes;    /* by place */
    size_t wish_capacity;
};

/* ---- one task ----------------------------------------------------------------------------------------------------------- */

static enum jq_err task_wrong(const struct document *document, const struct jq_error *why, struct jq_error *reterr) {
    if (document->place == PLACE_DEFAULTS)
        return jq_fail(reterr, why->code, "defaults: %s", why->message);
    const char *name = document->reading.name;
    return jq_fail(reterr, why->code, "tasks[%zu]%s%s%s: %s", jq_flow_count(document->flow), name ? " '" : "",
                   name ? name : "", name ? "'" : "", why->message);
}

static enum jq_err keep_wish(struct document *document, size_t place, struct jq_error *reterr) {
    if (place >= document->wish_capacity) {
        const size_t capacity = document->wish_capacity ? document->wish_capacity * 2 : 64;
        struct wish *wishes = realloc(document->wishes, capacity * sizeof(*wishes));
        if (!wishes)
            return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
        document->wishes = wishes;
        document->wish_capacity = capacity;
    }
    document->wishes[place] = (struct wish){document->reading.after, document->reading.after_count};
    return JQ_OK;
}

static enum jq_err add_task(struct document *document, struct jq_error *reterr) {
    const char *name = document->reading.name;
    size_t place = 0;
    if (!document->spec.handler)
        return jq_fail(reterr, JQ_ERR_INVALID, "handler: missing");
    if (name && jq_strmap_get(&document->names, jq_str_of(name), UINT32_MAX) != UINT32_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "name: another task has it");
    enum jq_err err = jq_flow_add(document->flow, name, &document->spec, &place, reterr);
    if (err == JQ_OK && name && !jq_strmap_put(&document->names, jq_str_of(name), (uint32_t)place))
        err = jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    return err == JQ_OK ? keep_wish(document, place, reterr) : err;
}

static enum jq_err end_task(struct document *document, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    if (document->place == PLACE_DEFAULTS) {
        document->place = PLACE_MEMBERS;
        document->defaults = document->spec;
        if (document->reading.name || document->reading.after_count > 0)
            err = jq_fail(reterr, JQ_ERR_INVALID, "%s: not for all", document->reading.name ? "name" : "after");
    } else {
        document->place = PLACE_TASKS;
        err = add_task(document, reterr);
    }
    jqctl_spec_end(&document->reading);
    return err;
}

static enum jq_err task_part(struct document *document, const struct jq_json_part *part, struct jq_error *reterr) {
    struct jq_error why;
    enum jq_err err = jqctl_spec_part(&document->reading, part, &why);
    const bool over = err == JQ_OK && !document->reading.in_task;
    const enum place place = document->place;
    if (over)
        err = end_task(document, &why);
    if (err == JQ_OK)
        return JQ_OK;
    if (!over)
        jqctl_spec_end(&document->reading);
    document->place = place;
    return task_wrong(document, &why, reterr);
}

static enum jq_err begin_task(struct document *document, enum place place, const struct jq_json_part *part,
                              struct jq_error *reterr) {
    document->place = place;
    document->spec = document->defaults;
    jqctl_spec_begin(&document->reading, document->memory, &document->spec, true);
    return task_part(document, part, reterr);
}

/* ---- the document ------------------------------------------------------------------------------------------------------- */

static enum jq_err take_member(struct document *document, struct jq_str key, struct jq_error *reterr) {
    static const char *const names[] = {"name", "defaults", "tasks"};
    static const enum place places[] = {PLACE_NAME, PLACE_DEFAULTS, PLACE_TASKS};
    for (size_t i = 0; i < 3; i++) {
        if (!jq_str_equal(key, jq_str_of(names[i])))
            continue;
        document->place = places[i];
        if (places[i] == PLACE_DEFAULTS && document->has_tasks)
            return jq_fail(reterr, JQ_ERR_INVALID, "defaults: must stand before the tasks");
        document->has_tasks |= places[i] == PLACE_TASKS;
        return JQ_OK;
    }
    return jq_fail(reterr, JQ_ERR_INVALID, "%.*s: no such field; there are name, defaults and tasks",
                   (int)(key.size < 64 ? key.size : 64), key.data);
}

static enum jq_err take_name(struct document *document, const struct jq_json_part *part, struct jq_error *reterr) {
    char *copy = part->kind == JQ_JSON_STR ? jqctl_memory_take(document->memory, part->text.size + 1) : NULL;
    if (!copy)
        return jq_fail(reterr, JQ_ERR_INVALID, "name: not a text");
    memcpy(copy, part->text.data, part->text.size);
    copy[part->text.size] = '\0';
    document->name = copy;
    document->place = PLACE_MEMBERS;
    return JQ_OK;
}

static enum jq_err tasks_part(struct document *document, const struct jq_json_part *part, struct jq_error *reterr) {
    if (part->kind == JQ_JSON_ARRAY_BEGIN && jq_flow_count(document->flow) == 0)
        return JQ_OK;
    if (part->kind == JQ_JSON_ARRAY_END) {
        document->place = PLACE_MEMBERS;
        return JQ_OK;
    }
    if (part->kind != JQ_JSON_OBJECT_BEGIN)
        return jq_fail(reterr, JQ_ERR_INVALID, "tasks: not an array of objects");
    return begin_task(document, PLACE_TASK, part, reterr);
}

static enum jq_err visit(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    struct document *document = ctx;
    if (document->reading.in_task)
        return task_part(document, part, reterr);
    switch (document->place) {
    case PLACE_TOP:
        document->place = PLACE_MEMBERS;
        return part->kind == JQ_JSON_OBJECT_BEGIN ? JQ_OK : jq_fail(reterr, JQ_ERR_INVALID, "not an object");
    case PLACE_NAME: return take_name(document, part, reterr);
    case PLACE_DEFAULTS: return begin_task(document, PLACE_DEFAULTS, part, reterr);
    case PLACE_TASKS: return tasks_part(document, part, reterr);
    default: break;
    }
    document->place = part->kind == JQ_JSON_OBJECT_END ? PLACE_END : PLACE_MEMBERS;
    return part->kind == JQ_JSON_KEY ? take_member(document, part->text, reterr) : JQ_OK;
}

/* ---- msgpack: the same parts -------------------------------------------------------------------------------------------- */

static enum jq_err walk(struct document *document, const msgpack_object *object, int depth, struct jq_error *reterr);

static enum jq_err tell(struct document *document, enum jq_json_kind kind, size_t count, struct jq_error *reterr) {
    return visit(document, &(struct jq_json_part){.kind = kind, .count = count}, reterr);
}

static enum jq_err walk_map(struct document *document, const msgpack_object_map *map, int depth,
                            struct jq_error *reterr) {
    enum jq_err err = tell(document, JQ_JSON_OBJECT_BEGIN, map->size, reterr);
    for (uint32_t i = 0; i < map->size && err == JQ_OK; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR)
            return jq_fail(reterr, JQ_ERR_INVALID, "a key that is no text");
        err = visit(document,
                    &(struct jq_json_part){.kind = JQ_JSON_KEY, .text = {key->via.str.ptr, key->via.str.size}}, reterr);
        err = err == JQ_OK ? walk(document, &map->ptr[i].val, depth, reterr) : err;
    }
    return err == JQ_OK ? tell(document, JQ_JSON_OBJECT_END, 0, reterr) : err;
}

static enum jq_err walk_array(struct document *document, const msgpack_object_array *array, int depth,
                              struct jq_error *reterr) {
    enum jq_err err = tell(document, JQ_JSON_ARRAY_BEGIN, array->size, reterr);
    for (uint32_t i = 0; i < array->size && err == JQ_OK; i++)
        err = walk(document, &array->ptr[i], depth, reterr);
    return err == JQ_OK ? tell(document, JQ_JSON_ARRAY_END, 0, reterr) : err;
}

static enum jq_err walk(struct document *document, const msgpack_object *object, int depth, struct jq_error *reterr) {
    struct jq_json_part part = {.kind = JQ_JSON_NULL};
    if (depth == JQ_JSON_READ_DEPTH_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "deeper than %d levels", JQ_JSON_READ_DEPTH_MAX);
    switch (object->type) {
    case MSGPACK_OBJECT_MAP: return walk_map(document, &object->via.map, depth + 1, reterr);
    case MSGPACK_OBJECT_ARRAY: return walk_array(document, &object->via.array, depth + 1, reterr);
    case MSGPACK_OBJECT_NIL: break;
    case MSGPACK_OBJECT_BOOLEAN: part = (struct jq_json_part){JQ_JSON_BOOL, {.boolean = object->via.boolean}}; break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (object->via.u64 > INT64_MAX)
            return jq_fail(reterr, JQ_ERR_INVALID, "a number beyond 63 bits");
        part = (struct jq_json_part){JQ_JSON_INT, {.number = (int64_t)object->via.u64}};
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: part = (struct jq_json_part){JQ_JSON_INT, {.number = object->via.i64}}; break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: part = (struct jq_json_part){JQ_JSON_DOUBLE, {.real = object->via.f64}}; break;
    case MSGPACK_OBJECT_STR:
        if (object->via.str.size > 0 && memchr(object->via.str.ptr, 0, object->via.str.size))
            return jq_fail(reterr, JQ_ERR_INVALID, "a text with a NUL in it");
        part = (struct jq_json_part){JQ_JSON_STR, {.text = {object->via.str.ptr, object->via.str.size}}};
        break;
    default: return jq_fail(reterr, JQ_ERR_INVALID, "a bin or an ext: a payload may be any other value");
    }
    return visit(document, &part, reterr);
}

static enum jq_err read_msgpack(struct jq_bytes bytes, struct document *document, struct jq_error *reterr) {
    msgpack_unpacked unpacked;
    size_t end = 0;
    msgpack_unpacked_init(&unpacked);
    const msgpack_unpack_return rv = msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.size, &end);
    enum jq_err err = rv == MSGPACK_UNPACK_SUCCESS && end == bytes.size
                          ? walk(document, &unpacked.data, 0, reterr)
                          : jq_fail(reterr, JQ_ERR_INVALID, "not msgpack, or more than one object");
    msgpack_unpacked_destroy(&unpacked);
    return err;
}

/* A map of msgpack; JSON begins with a brace or a blank. */
static bool is_msgpack(struct jq_bytes bytes) {
    return bytes.size > 0 && ((bytes.data[0] & 0xf0) == 0x80 || bytes.data[0] == 0xde || bytes.data[0] == 0xdf);
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------- */

static enum jq_err tie_one(struct document *document, size_t place, const char *name, struct jq_error *reterr) {
    const uint32_t parent = jq_strmap_get(&document->names, jq_str_of(name), UINT32_MAX);
    if (parent == UINT32_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "tasks[%zu]: after: no task is named '%s'", place, name);
    return jq_flow_after(document->flow, place, parent, reterr);
}

static enum jq_err tie_all(struct document *document, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    for (size_t place = 0; place < jq_flow_count(document->flow) && err == JQ_OK; place++) {
        const struct wish *wish = &document->wishes[place];
        for (size_t i = 0; i < wish->count && err == JQ_OK; i++)
            err = tie_one(document, place, wish->names[i], reterr);
    }
    return err;
}

/* The name may stand behind the tasks: the flow gets it when all is read. */
static enum jq_err name_flow(struct document *document, struct jq_error *reterr) {
    return document->name ? jq_flow_rename(document->flow, document->name, reterr) : JQ_OK;
}

enum jq_err jqctl_flow_read(struct jq_bytes bytes, struct jqctl_memory *memory, struct jq_flow **ret_flow,
                            struct jq_error *reterr) {
    struct document document = {.memory = memory, .defaults = jq_task(NULL)};
    jq_strmap_init(&document.names, 1);
    enum jq_err err = jq_flow_new(NULL, &document.flow, reterr);
    if (err == JQ_OK && is_msgpack(bytes))
        err = read_msgpack(bytes, &document, reterr);
    else if (err == JQ_OK)
        err = jq_json_read((struct jq_str){(const char *)bytes.data, bytes.size}, JQCTL_FLOW_SIZE_MAX, visit, &document,
                           reterr);
    err = err == JQ_OK ? name_flow(&document, reterr) : err;
    err = err == JQ_OK ? tie_all(&document, reterr) : err;
    jq_strmap_fini(&document.names);
    free(document.wishes);
    if (err == JQ_OK)
        *ret_flow = document.flow;
    else
        jq_flow_free(document.flow);
    return err;
}
