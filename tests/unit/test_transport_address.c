/* Which addresses are accepted, and what a broker says about one that it cannot listen on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/transport/address.h"
#include "common/transport/server.h"

/* An address says by itself whether other machines can reach it: what decides if a broker may do without tokens. */
static void good_addresses_are_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *url;
        enum jq_address_kind kind;
        bool loopback;
        const char *host;
        const char *port;
    } GOOD[] = {
        {"tcp://127.0.0.1:7710", JQ_ADDRESS_TCP, true, "127.0.0.1", "7710"},
        {"tcp://127.9.9.9:0", JQ_ADDRESS_TCP, true, "127.9.9.9", "0"},
        {"tcp://localhost:1", JQ_ADDRESS_TCP, true, "localhost", "1"},
        {"tcp://[::1]:65535", JQ_ADDRESS_TCP, true, "::1", "65535"},
        {"tcp://[::]:1", JQ_ADDRESS_TCP, false, "::", "1"},
        {"tcp://0.0.0.0:1", JQ_ADDRESS_TCP, false, "0.0.0.0", "1"},
        {"tcp://*:1", JQ_ADDRESS_TCP, false, "*", "1"},
        {"tcp://127.0.0.1.example.org:1", JQ_ADDRESS_TCP, false, "127.0.0.1.example.org", "1"},
        {"tcp://10.1.2.3:1", JQ_ADDRESS_TCP, false, "10.1.2.3", "1"},
        {"ipc:///run/jqmesh/broker.sock", JQ_ADDRESS_IPC, true, "/run/jqmesh/broker.sock", ""},
        {"inproc://test", JQ_ADDRESS_INPROC, true, "test", ""},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct jq_address address;
        assert_int_equal(jq_address_parse(GOOD[i].url, &address, NULL), JQ_OK);
        assert_int_equal(address.kind, GOOD[i].kind);
        assert_int_equal(address.loopback, GOOD[i].loopback);
        assert_string_equal(address.host, GOOD[i].host);
        assert_string_equal(address.port, GOOD[i].port);
    }
}

/* A bad address is refused by name, with what is wrong about it. */
static void bad_addresses_are_named(void **state) {
    (void)state;
    static const char *const BAD[][2] = {
        {"", ": not an address: use tcp://HOST:PORT or ipc:///PATH"},
        {"127.0.0.1:7710", "127.0.0.1:7710: not an address: use tcp://HOST:PORT or ipc:///PATH"},
        {"ws://127.0.0.1:80/", "ws://127.0.0.1:80/: not an address: use tcp://HOST:PORT or ipc:///PATH"},
        {"tcp://127.0.0.1", "tcp://127.0.0.1: a tcp address needs a port from 0 to 65535 at its end"},
        {"tcp://127.0.0.1:", "tcp://127.0.0.1:: a tcp address needs a port from 0 to 65535 at its end"},
        {"tcp://127.0.0.1:65536", "tcp://127.0.0.1:65536: a tcp address needs a port from 0 to 65535 at its end"},
        {"tcp://127.0.0.1:77x", "tcp://127.0.0.1:77x: a tcp address needs a port from 0 to 65535 at its end"},
        {"tcp://:7710", "tcp://:7710: not a host name or address"},
        {"tcp://a/b:7710", "tcp://a/b:7710: not a host name or address"},
        {"tcp://::1:7710", "tcp://::1:7710: an IPv6 address needs brackets"},
        {"ipc://run/x.sock", "ipc://run/x.sock: an ipc address needs an absolute path: ipc:///run/name.sock"},
        {"ipc:///", "ipc:///: an ipc address needs an absolute path: ipc:///run/name.sock"},
        {"inproc://", "inproc://: an inproc address needs a name"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct jq_address address;
        struct jq_error error = {0};
        assert_int_equal(jq_address_parse(BAD[i][0], &address, &error), JQ_ERR_ADDRESS);
        assert_string_equal(error.message, BAD[i][1]);
    }
}

/* The limits of the kernel and of NNG are known before either cuts a path short. */
static void long_addresses_are_refused(void **state) {
    (void)state;
    char url[200] = "ipc:///";
    struct jq_address address;
    memset(url + 7, 'a', JQ_ADDRESS_PATH_MAX - 1);
    assert_int_equal(jq_address_parse(url, &address, NULL), JQ_OK);
    url[6 + JQ_ADDRESS_PATH_MAX] = 'a';
    assert_int_equal(jq_address_parse(url, &address, NULL), JQ_ERR_ADDRESS);
    memset(url + 7, 'a', JQ_ADDRESS_SIZE_MAX - 6);
    struct jq_error error = {0};
    assert_int_equal(jq_address_parse(url, &address, &error), JQ_ERR_ADDRESS);
    assert_non_null(strstr(error.message, "an address has at most 127 bytes"));
}

static void never_called(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)call;
    (void)frame;
    (void)peer;
    abort();
}

static enum jq_err open_at(const char *url, struct jq_server **ret_server, struct jq_error *reterr) {
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = never_called, .ipc_mode = 0660};
    return jq_server_open(&config, ret_server, reterr);
}

static void expect_refused(const char *url, const char *reason) {
    struct jq_server *server = NULL;
    struct jq_error error = {0};
    char expected[256];
    snprintf(expected, sizeof expected, "%s: %s", url, reason);
    assert_int_equal(open_at(url, &server, &error), JQ_ERR_ADDRESS);
    assert_string_equal(error.message, expected);
    assert_null(server);
}

/* Every test has a folder of its own. */
struct place {
    char folder[64];
    char path[80];
    char url[96];
};

static void place_init(struct place *place) {
    snprintf(place->folder, sizeof place->folder, "/tmp/jq-address-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/x.sock", place->folder);
    snprintf(place->url, sizeof place->url, "ipc://%s", place->path);
}

static void place_fini(struct place *place) {
    unlink(place->path);
    rmdir(place->folder);
}

/* Two brokers cannot have one address, whether tcp or ipc. */
static void an_address_in_use_is_named(void **state) {
    (void)state;
    struct place place;
    struct jq_server *first = NULL;
    struct jq_server *second = NULL;
    place_init(&place);
    assert_int_equal(open_at("tcp://127.0.0.1:0", &first, NULL), JQ_OK);
    expect_refused(jq_server_url(first, 0), "in use by another process");
    assert_int_equal(open_at(place.url, &second, NULL), JQ_OK);
    expect_refused(place.url, "in use by another process");
    jq_server_stop(first);
    jq_server_stop(second);
    place_fini(&place);
}

/* A server that cannot have all of its addresses has none of them. */
static void all_addresses_or_none(void **state) {
    (void)state;
    struct jq_server *server = NULL;
    struct place place;
    place_init(&place);
    const char *urls[] = {place.url, "ipc:///nowhere/x.sock"};
    const struct jq_server_config config = {.urls = urls, .url_count = 2, .on_request = never_called};
    assert_int_equal(jq_server_open(&config, &server, NULL), JQ_ERR_ADDRESS);
    assert_int_equal(access(place.path, F_OK), -1);
    place_fini(&place);
}

/* A socket that a killed broker left is replaced, with the mode that was asked for; a file that is no socket is somebody's data
 * and stays. */
static void a_stale_socket_is_replaced_but_no_file(void **state) {
    (void)state;
    struct place place;
    struct stat found;
    place_init(&place);

    const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place.path, strlen(place.path) + 1);
    assert_int_equal(bind(stale, (const struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    struct jq_server *server = NULL;
    assert_int_equal(open_at(place.url, &server, NULL), JQ_OK);
    assert_int_equal(stat(place.path, &found), 0);
    assert_true(S_ISSOCK(found.st_mode));
    assert_int_equal(found.st_mode & 0777, 0660);
    jq_server_stop(server);

    const int file = open(place.path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "data", 4), 4);
    close(file);
    expect_refused(place.url, "a file that is no socket stands there");
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_size, 4);
    place_fini(&place);
}

/* What the system refuses is said in the user's words. */
static void the_systems_reasons_are_told(void **state) {
    (void)state;
    expect_refused("ipc:///nowhere/at/all/x.sock", "its folder does not exist");
    expect_refused("tcp://192.0.2.1:7710", "no address of this machine");
    struct jq_error error = {0};
    struct jq_server *server = NULL;
    const struct jq_server_config config = {.on_request = never_called};
    assert_int_equal(jq_server_open(&config, &server, &error), JQ_ERR_ADDRESS);
    assert_string_equal(error.message, "0 addresses given: from 1 to 8 are possible");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses_are_taken_apart), cmocka_unit_test(bad_addresses_are_named),
        cmocka_unit_test(long_addresses_are_refused),     cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(all_addresses_or_none),          cmocka_unit_test(a_stale_socket_is_replaced_but_no_file),
        cmocka_unit_test(the_systems_reasons_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
