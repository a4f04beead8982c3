#define _GNU_SOURCE
#include "worker/exec/sandbox_places.h"

#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

/* Patterns of glob(7). Those come first in which others may turn out to lie. */
static const char *const readable[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu", "/snap", "/proc", "/sys",
    /* The loader and what programs are chosen by. */
    "/etc/ld.so.*", "/etc/ld-musl*", "/etc/alternatives", "/etc/profile", "/etc/profile.d", "/etc/bash*",
    "/etc/inputrc", "/etc/shells", "/etc/selinux",
    /* Users, hosts and services. */
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/hostname",
    "/etc/resolv.conf", "/run/systemd/resolve", "/etc/gai.conf", "/etc/networks", "/etc/protocols", "/etc/services",
    "/etc/rpc", "/etc/ethertypes", "/etc/netconfig", "/etc/krb5.conf", "/etc/mtab",
    /* The system, its time, languages and file types. */
    "/etc/os-release", "/etc/*_version", "/etc/*-release", "/etc/machine-id", "/etc/localtime", "/etc/timezone",
    "/etc/adjtime", "/etc/locale.*", "/etc/default/locale", "/etc/terminfo", "/etc/mime.types", "/etc/magic*",
    "/etc/papersize", "/etc/xml", "/etc/sgml",
    /* Drawing. */
    "/etc/fonts", "/etc/xdg", "/etc/X11", "/etc/gtk-*", "/etc/dconf", "/etc/glvnd", "/etc/drirc", "/etc/vulkan",
    "/etc/OpenCL", "/etc/nvidia", "/etc/ImageMagick*", "/etc/ghostscript", "/etc/texmf", "/etc/matplotlibrc",
    /* Languages and tools that fail when they may not read what is there. */
    "/etc/python*", "/etc/perl", "/etc/java*", "/etc/R", "/etc/openmpi", "/etc/libnl*", "/etc/libibverbs.d",
    "/etc/gitconfig", "/etc/wgetrc", "/etc/curlrc",
    /* Certificates and cryptography: what is public of it. */
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates*", "/etc/pki/ca-trust", "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/etc/gnutls", "/etc/gcrypt",
    "/etc/ssh/ssh_known_hosts"};
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
static const char *const folders[JQ_SANDBOX_FOLDERS] = {"/", "/etc", "/etc/ssl"};

static bool lies_in(const char *path, const struct jq_sandbox_place *place) {
    const size_t size = place->folder && place->path != NULL ? strlen(place->path) : 0;
    return size > 0 && strncmp(path, place->path, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static bool is_covered(const struct jq_sandbox_places *places, const char *path) {
    for (size_t i = 0; path != NULL && i < places->count; i++) {
        if (lies_in(path, &places->list[i])) {
            return true;
        }
    }
    return false;
}

static void add(struct jq_sandbox_places *places, const char *name, bool device) {
    struct stat status;
    char *path = device ? NULL : realpath(name, NULL);
    const bool wanted = places->count < JQ_SANDBOX_PLACES_MAX && !is_covered(places, path);
    const int fd = wanted ? open(name, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) {
        free(path);
        return;
    }
    const bool folder = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    places->list[places->count++] = (struct jq_sandbox_place){fd, folder, device, path};
}

static void add_all(struct jq_sandbox_places *places, const char *const *patterns, size_t count, bool device) {
    for (size_t i = 0; i < count; i++) {
        glob_t found;
        const bool any = glob(patterns[i], GLOB_NOSORT, NULL, &found) == 0;
        for (size_t j = 0; any && j < found.gl_pathc; j++) {
            add(places, found.gl_pathv[j], device);
        }
        globfree(&found);
    }
}

/* Whether entries came, went or were replaced since the last call. A change of this second may be followed by another that leaves
 * the same time. */
static bool has_changed(const char *path, struct jq_sandbox_seen *seen) {
    struct stat status;
    const struct jq_sandbox_seen before = *seen;
    const int64_t now_s = jq_clock_wall_ms() / 1000;
    if (stat(path, &status) != 0) {
        *seen = (struct jq_sandbox_seen){0};
        return before.ino != 0;
    }
    seen->dev = status.st_dev;
    seen->ino = status.st_ino;
    seen->changed = status.st_mtim.tv_sec < now_s - 1 ? status.st_mtim : (struct timespec){0, 0};
    return before.dev != status.st_dev || before.ino != status.st_ino ||
           before.changed.tv_sec != status.st_mtim.tv_sec || before.changed.tv_nsec != status.st_mtim.tv_nsec;
}

void jq_sandbox_places_find(struct jq_sandbox_places *places) {
    bool changed = false;
    for (size_t i = 0; i < JQ_SANDBOX_FOLDERS; i++) {
        changed = has_changed(folders[i], &places->seen[i]) || changed;
    }
    if (changed) {
        places->generation++;
        jq_sandbox_places_close(places);
        add_all(places, readable, sizeof(readable) / sizeof(readable[0]), false);
        add_all(places, devices, sizeof(devices) / sizeof(devices[0]), true);
    }
}

void jq_sandbox_places_close(struct jq_sandbox_places *places) {
    while (places->count > 0) {
        const struct jq_sandbox_place *place = &places->list[--places->count];
        (void)close(place->fd);
        free(place->path);
    }
}
