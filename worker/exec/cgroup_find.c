#include "worker/exec/cgroup_find.h"

#include "common/types.h"
#include "worker/exec/cgroup.h"

#include <stdio.h>
#include <string.h>

/* Cuts the part before `separator` off the front of *text. */
static struct jq_str cut(struct jq_str *text, char separator) {
    const char *at = text->size > 0 ? memchr(text->data, separator, text->size) : NULL;
    const size_t size = at != NULL ? (size_t)(at - text->data) : text->size;
    const struct jq_str part = {text->data, size};
    const size_t skip = at != NULL ? size + 1 : size;
    text->data += skip;
    text->size -= skip;
    return part;
}

static unsigned controllers_of(struct jq_str names) {
    unsigned found = 0;
    while (names.size > 0) {
        const struct jq_str name = cut(&names, ',');
        found |= jq_str_equal(name, JQ_STR("memory")) ? JQ_CGROUP_MEMORY : 0U;
        found |= jq_str_equal(name, JQ_STR("pids")) ? JQ_CGROUP_PIDS : 0U;
        found |= jq_str_equal(name, JQ_STR("cpu")) ? JQ_CGROUP_CPU : 0U;
    }
    return found;
}

/* The path of this process in the v2 hierarchy, or in the v1 one with any of `controllers`. Lines are "id:controllers:path". */
static bool find_own_path(struct jq_str own_groups, unsigned controllers, struct jq_str *ret_path) {
    while (own_groups.size > 0) {
        struct jq_str line = cut(&own_groups, '\n');
        const struct jq_str id = cut(&line, ':');
        const struct jq_str names = cut(&line, ':');
        const bool v2 = jq_str_equal(id, JQ_STR("0")) && names.size == 0;
        if (controllers == 0 ? v2 : (controllers_of(names) & controllers) != 0) {
            *ret_path = line;
            return line.size > 0;
        }
    }
    return false;
}

struct mount_line {
    struct jq_str root, point, type, options;
};

/* "36 35 98:0 /root /point opts optional... - type source super-options" */
static bool read_mount_line(struct jq_str line, struct mount_line *ret) {
    for (int skipped = 0; skipped < 3; skipped++) {
        (void)cut(&line, ' ');
    }
    ret->root = cut(&line, ' ');
    ret->point = cut(&line, ' ');
    while (line.size > 0 && !jq_str_equal(cut(&line, ' '), JQ_STR("-"))) {
    }
    ret->type = cut(&line, ' ');
    (void)cut(&line, ' ');
    ret->options = cut(&line, ' ');
    return ret->root.size > 0 && ret->point.size > 0 && ret->type.size > 0;
}

/* The own path is seen from the hierarchy's root, of which the mount may show only a part (containers). */
static struct jq_str below_root(struct jq_str path, struct jq_str root) {
    if (root.size > 1 && path.size >= root.size && memcmp(path.data, root.data, root.size) == 0) {
        return (struct jq_str){path.data + root.size, path.size - root.size};
    }
    return path;
}

static bool place_of(const struct mount_line *mount, struct jq_str own_groups, struct jq_cgroup_place *ret) {
    const bool v2 = jq_str_equal(mount->type, JQ_STR("cgroup2"));
    const unsigned controllers = v2 ? 0 : controllers_of(mount->options);
    struct jq_str path;
    if ((!v2 && (!jq_str_equal(mount->type, JQ_STR("cgroup")) || controllers == 0)) ||
        !find_own_path(own_groups, controllers, &path)) {
        return false;
    }
    path = below_root(path, mount->root);
    if (path.size > 0 && path.data[path.size - 1] == '/') {
        path.size--;
    }
    *ret = (struct jq_cgroup_place){.v2 = v2, .controllers = controllers};
    if (mount->point.size + path.size >= sizeof(ret->own)) {
        return false;
    }
    (void)snprintf(ret->mount, sizeof(ret->mount), "%.*s", JQ_STR_ARG(mount->point));
    (void)snprintf(ret->own, sizeof(ret->own), "%.*s%.*s", JQ_STR_ARG(mount->point), JQ_STR_ARG(path));
    return true;
}

unsigned jq_cgroup_find(const char *mountinfo, const char *own_groups, struct jq_cgroup_place *ret_places,
                        unsigned count_max) {
    struct jq_str text = jq_str_of(mountinfo);
    unsigned count = 0;
    while (text.size > 0 && count < count_max) {
        struct mount_line mount;
        if (read_mount_line(cut(&text, '\n'), &mount) && place_of(&mount, jq_str_of(own_groups), &ret_places[count])) {
            count++;
        }
    }
    return count;
}
