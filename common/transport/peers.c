#include "common/transport/peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

void jq_peers_init(struct jq_peers *peers) {
    *peers = (struct jq_peers){.count = 0};
    JQ_CHECK(pthread_mutex_init(&peers->lock, NULL) == 0);
}

static void describe_tcp4(const nng_sockaddr_in *from, struct jq_peer *peer) {
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &from->sa_addr, text, sizeof text);
    peer->loopback = ntohl(from->sa_addr) >> 24 == 127;
    snprintf(peer->address, sizeof peer->address, "%s:%u", text, ntohs(from->sa_port));
}

static void describe_tcp6(const nng_sockaddr_in6 *from, struct jq_peer *peer) {
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN] = "";
    memcpy(&address, from->sa_addr, sizeof address);
    inet_ntop(AF_INET6, &address, text, sizeof text);
    peer->loopback = IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127);
    snprintf(peer->address, sizeof peer->address, "[%s]:%u", text, ntohs(from->sa_port));
}

static void describe_ipc(nng_pipe pipe, struct jq_peer *peer) {
    uint64_t uid = 0;
    peer->is_ipc = true;
    peer->loopback = true;
    peer->uid_known = nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) == 0;
    peer->uid = (uint32_t)uid;
    snprintf(peer->address, sizeof peer->address, "ipc");
}

void jq_peer_describe(nng_pipe pipe, struct jq_peer *ret_peer) {
    nng_sockaddr from = {0};
    *ret_peer = (struct jq_peer){.pipe_id = (uint32_t)nng_pipe_id(pipe)};
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &from) != 0) {
        snprintf(ret_peer->address, sizeof ret_peer->address, "unknown");
        return;
    }
    switch (from.s_family) {
    case NNG_AF_INET: describe_tcp4(&from.s_in, ret_peer); break;
    case NNG_AF_INET6: describe_tcp6(&from.s_in6, ret_peer); break;
    case NNG_AF_INPROC:
        ret_peer->loopback = true;
        snprintf(ret_peer->address, sizeof ret_peer->address, "inproc");
        break;
    default: describe_ipc(pipe, ret_peer); break;
    }
}

static struct jq_peer_entry **find(struct jq_peers *peers, uint32_t pipe_id) {
    struct jq_peer_entry **link = &peers->buckets[pipe_id % JQ_PEER_BUCKET_COUNT];
    while (*link != NULL && (*link)->peer.pipe_id != pipe_id) {
        link = &(*link)->next;
    }
    return link;
}

enum jq_err jq_peers_add(struct jq_peers *peers, const struct jq_peer *peer, size_t count_max) {
    struct jq_peer_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return JQ_ERR_NOMEM;
    }
    entry->peer = *peer;
    atomic_init(&entry->refs, 1);
    pthread_mutex_lock(&peers->lock);
    const bool full = count_max != 0 && peers->count >= count_max;
    if (!full) {
        struct jq_peer_entry **link = find(peers, peer->pipe_id);
        JQ_CHECK(*link == NULL);
        *link = entry;
        peers->count++;
    }
    pthread_mutex_unlock(&peers->lock);
    if (full) {
        free(entry);
    }
    return full ? JQ_ERR_BUSY : JQ_OK;
}

struct jq_peer_entry *jq_peers_get(struct jq_peers *peers, uint32_t pipe_id) {
    pthread_mutex_lock(&peers->lock);
    struct jq_peer_entry *entry = *find(peers, pipe_id);
    if (entry != NULL) {
        atomic_fetch_add(&entry->refs, 1);
    }
    pthread_mutex_unlock(&peers->lock);
    return entry;
}

void jq_peers_set_ready(struct jq_peers *peers, uint32_t pipe_id) {
    pthread_mutex_lock(&peers->lock);
    struct jq_peer_entry *entry = *find(peers, pipe_id);
    if (entry != NULL && !entry->ready) {
        entry->ready = true;
        peers->ready_count++;
    }
    pthread_mutex_unlock(&peers->lock);
}

bool jq_peers_remove(struct jq_peers *peers, uint32_t pipe_id) {
    pthread_mutex_lock(&peers->lock);
    struct jq_peer_entry **link = find(peers, pipe_id);
    struct jq_peer_entry *entry = *link;
    if (entry != NULL) {
        *link = entry->next;
        peers->count--;
        peers->ready_count -= entry->ready ? 1 : 0;
        peers->large_count -= atomic_load(&entry->large_ns) != 0 ? 1 : 0;
        atomic_store(&entry->gone, true);
    }
    pthread_mutex_unlock(&peers->lock);
    jq_peer_release(entry);
    return entry != NULL;
}

void jq_peer_answer_waits(struct jq_peer_entry *entry, int64_t now_ns) {
    if (atomic_fetch_add(&entry->untaken, 1) == 0) {
        atomic_store(&entry->taken_ns, now_ns);
    }
}

void jq_peer_answer_taken(struct jq_peer_entry *entry, int64_t now_ns) {
    atomic_store(&entry->taken_ns, now_ns);
    atomic_fetch_sub(&entry->untaken, 1);
}

size_t jq_peers_stalled(struct jq_peers *peers, int64_t since_ns, uint32_t *ret_ids, size_t id_count_max) {
    size_t count = 0;
    pthread_mutex_lock(&peers->lock);
    for (size_t i = 0; i < JQ_PEER_BUCKET_COUNT; i++) {
        struct jq_peer_entry *entry = peers->buckets[i];
        for (; entry != NULL && count < id_count_max; entry = entry->next) {
            if (atomic_load(&entry->untaken) > 0 && atomic_load(&entry->taken_ns) < since_ns) {
                ret_ids[count++] = entry->peer.pipe_id;
            }
        }
    }
    pthread_mutex_unlock(&peers->lock);
    return count;
}

bool jq_peers_enlarge(struct jq_peers *peers, struct jq_peer_entry *entry, int64_t now_ns, size_t count_max) {
    pthread_mutex_lock(&peers->lock);
    const bool already = atomic_load(&entry->large_ns) != 0;
    const bool possible = !atomic_load(&entry->gone) && (already || peers->large_count < count_max);
    if (possible) {
        peers->large_count += already ? 0 : 1;
        atomic_store(&entry->large_ns, now_ns);
    }
    pthread_mutex_unlock(&peers->lock);
    return possible;
}

size_t jq_peers_shrink(struct jq_peers *peers, int64_t since_ns, uint32_t *ret_ids, size_t id_count_max) {
    size_t count = 0;
    pthread_mutex_lock(&peers->lock);
    for (size_t i = 0; peers->large_count > 0 && i < JQ_PEER_BUCKET_COUNT; i++) {
        struct jq_peer_entry *entry = peers->buckets[i];
        for (; entry != NULL && count < id_count_max; entry = entry->next) {
            const int64_t large_ns = atomic_load(&entry->large_ns);
            if (large_ns != 0 && large_ns < since_ns) {
                atomic_store(&entry->large_ns, 0);
                peers->large_count--;
                ret_ids[count++] = entry->peer.pipe_id;
            }
        }
    }
    pthread_mutex_unlock(&peers->lock);
    return count;
}

size_t jq_peers_ready_count(struct jq_peers *peers) {
    pthread_mutex_lock(&peers->lock);
    const size_t count = peers->ready_count;
    pthread_mutex_unlock(&peers->lock);
    return count;
}

void jq_peer_release(struct jq_peer_entry *entry) {
    if (entry != NULL && atomic_fetch_sub(&entry->refs, 1) == 1) {
        free(entry);
    }
}

static void watch_event(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct jq_peer_watch *watch = arg;
    const struct jq_peer peer = {.pipe_id = (uint32_t)nng_pipe_id(pipe)};
    switch (event) {
    case NNG_PIPE_EV_ADD_PRE:
        if (jq_peers_add(&watch->peers, &peer, watch->count_max) != JQ_OK) {
            nng_pipe_close(pipe);
        }
        return;
    case NNG_PIPE_EV_ADD_POST: jq_peers_set_ready(&watch->peers, peer.pipe_id); break;
    default: jq_peers_remove(&watch->peers, peer.pipe_id); break;
    }
    if (watch->on_change != NULL) {
        watch->on_change(watch->ctx);
    }
}

int jq_socket_notify(nng_socket socket, nng_pipe_cb on_event, void *ctx) {
    static const nng_pipe_ev EVENTS[] = {NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST};
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < sizeof EVENTS / sizeof EVENTS[0]; i++) {
        rv = nng_pipe_notify(socket, EVENTS[i], on_event, ctx);
    }
    return rv;
}

int jq_peer_watch_start(struct jq_peer_watch *watch, nng_socket socket, size_t count_max, void (*on_change)(void *ctx),
                        void *ctx) {
    jq_peers_init(&watch->peers);
    watch->count_max = count_max;
    watch->on_change = on_change;
    watch->ctx = ctx;
    return jq_socket_notify(socket, watch_event, watch);
}
