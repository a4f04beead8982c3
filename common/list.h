/* list.h - an intrusive, circular, doubly linked list: the link lives inside the item.
 *
 * A `struct jq_list` is either the head of a list or the link of one item. Nothing is allocated and nothing is owned.
 */
#ifndef JQ_COMMON_LIST_H
#define JQ_COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct jq_list {
    struct jq_list *next;
    struct jq_list *prev;
};

/* The item of type `type` whose field `member` is *link. */
#define JQ_CONTAINER_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Runs over the links from first to last. The body may remove `link` itself, but no other. */
#define JQ_LIST_EACH(link, head)                                                                                       \
    for (struct jq_list *link = (head)->next, *link##_next = link->next; link != (head);                               \
         link = link##_next, link##_next = link->next)

/* For a head: an empty list. For a link: in no list, so that removing it does nothing. */
static inline void jq_list_init(struct jq_list *list) {
    list->next = list;
    list->prev = list;
}

/* Of a head: no items. Of a link: in no list. */
static inline bool jq_list_empty(const struct jq_list *list) {
    return list->next == list;
}

static inline void jq_list_insert_between(struct jq_list *prev, struct jq_list *link, struct jq_list *next) {
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

/* `link` must be in no list. */
static inline void jq_list_push_back(struct jq_list *head, struct jq_list *link) {
    jq_list_insert_between(head->prev, link, head);
}

static inline void jq_list_push_front(struct jq_list *head, struct jq_list *link) {
    jq_list_insert_between(head, link, head->next);
}

/* Takes the link out of its list and initialises it; harmless when it is in none. */
static inline void jq_list_remove(struct jq_list *link) {
    link->prev->next = link->next;
    link->next->prev = link->prev;
    jq_list_init(link);
}

/* First or last link, or NULL. */
static inline struct jq_list *jq_list_first(const struct jq_list *head) {
    return jq_list_empty(head) ? NULL : head->next;
}

static inline struct jq_list *jq_list_last(const struct jq_list *head) {
    return jq_list_empty(head) ? NULL : head->prev;
}

/* Takes the first link out, or gives NULL. */
static inline struct jq_list *jq_list_pop_front(struct jq_list *head) {
    struct jq_list *link = jq_list_first(head);
    if (link)
        jq_list_remove(link);
    return link;
}

#endif
