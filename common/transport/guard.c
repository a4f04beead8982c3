/* guard.c - see guard.h. */
#define _GNU_SOURCE
#include "common/transport/guard.h"

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/transport/guard_stream.h"

static bool active; /* set before main(), read-only afterwards */

bool jq_guard_active(void) {
    return active;
}

/* ---- what NNG calls instead ---- */

/* On ERR or HUP, NNG's poller would fail the queued write first and close the pipe under a read that is under way: the second
 * defect again. It is shown a readable and writable socket instead, and the read finds the error. NNG's poller knows nothing but
 * its own sockets, and an event counter whose data is null. */
static int guard_epoll_wait(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms) {
    guard_stream_before_poll();
    const int count = epoll_wait(epoll_fd, events, event_count_max, timeout_ms);
    const uint32_t lost = EPOLLERR | EPOLLHUP;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL && (events[i].events & lost) != 0) {
            events[i].events = (events[i].events & ~lost) | EPOLLIN | EPOLLOUT;
        }
    }
    return count;
}

/* NNG does not tell which descriptor a pipe has, but for some options of a pipe it asks the system, on the thread that asks NNG,
 * and keeps the pipe from being freed meanwhile. So the guard asks for such an option, and does inside what is to be done. */
struct errand {
    bool under_way, done;
    size_t limit; /* 0: end it */
};
static _Thread_local struct errand errand;

static void do_errand(int fd) {
    if (errand.limit > 0) {
        errand.done = guard_stream_limit(fd, errand.limit);
    } else {
        errand.done = guard_stream_end(fd);
    }
}

static int guard_getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
    if (errand.under_way) {
        do_errand(fd);
    }
    return getsockopt(fd, level, name, value, size);
}

static long guard_sysconf(int name) {
    return name == _SC_NPROCESSORS_ONLN ? 1 : sysconf(name);
}

static bool run_errand(nng_pipe pipe, size_t limit) {
    bool ignored_flag = false;
    uint64_t ignored_uid = 0;
    errand = (struct errand){.under_way = active, .limit = limit};
    if (active) {
        (void)nng_pipe_get_bool(pipe, NNG_OPT_TCP_KEEPALIVE, &ignored_flag);
        (void)nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &ignored_uid);
    }
    errand.under_way = false;
    return errand.done;
}

bool jq_guard_end(nng_pipe pipe) {
    return run_errand(pipe, 0);
}

bool jq_guard_limit(nng_pipe pipe, size_t size_max) {
    return run_errand(pipe, size_max);
}

void jq_guard_close_dialer(nng_dialer dialer) {
    if (active) {
        guard_stream_quiet_begin();
    }
    nng_dialer_close(dialer);
    if (active) {
        guard_stream_quiet_end();
    }
}

/* ---- NNG's table ---- */

struct stand_in {
    const char *name;
    void (*function)(void);
};

static const struct stand_in FOR_CONNECTIONS[] = {
    {"sendmsg", (void (*)(void))guard_stream_send},    {"readv", (void (*)(void))guard_stream_read},
    {"connect", (void (*)(void))guard_stream_connect}, {"shutdown", (void (*)(void))guard_stream_shutdown},
    {"close", (void (*)(void))guard_stream_close},     {"epoll_wait", (void (*)(void))guard_epoll_wait},
    {"getsockopt", (void (*)(void))guard_getsockopt},
};
static const struct stand_in FOR_OWN_PROCESS[] = {
    {"accept", (void (*)(void))guard_stream_accept},
    {"sysconf", (void (*)(void))guard_sysconf},
};
enum {
    FOR_CONNECTIONS_COUNT = sizeof FOR_CONNECTIONS / sizeof FOR_CONNECTIONS[0],
    FOR_OWN_PROCESS_COUNT = sizeof FOR_OWN_PROCESS / sizeof FOR_OWN_PROCESS[0],
};

/* Relocations: where in the table the loader puts the address of which symbol. Both kinds of them begin alike. */
struct relocations {
    uintptr_t start;
    size_t size, step;
};

struct library {
    uintptr_t base;
    const ElfW(Sym) * symbols;
    const char *names;
    struct relocations calls, others;
    uintptr_t sealed_start, sealed_end; /* what the loader has made read-only */
};

static bool lies_in(const struct dl_phdr_info *object, uintptr_t address) {
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && address - (object->dlpi_addr + segment->p_vaddr) < segment->p_memsz) {
            return true;
        }
    }
    return false;
}

/* Some loaders leave addresses as they are in the file. */
static uintptr_t loaded_at(const struct library *library, uintptr_t address) {
    return address < library->base ? library->base + address : address;
}

static void read_dynamic(struct library *library, const ElfW(Dyn) * entry) {
    for (; entry->d_tag != DT_NULL; entry++) {
        const uintptr_t address = loaded_at(library, entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB: memcpy(&library->symbols, &address, sizeof address); break;
        case DT_STRTAB: memcpy(&library->names, &address, sizeof address); break;
        case DT_JMPREL: library->calls.start = address; break;
        case DT_PLTRELSZ: library->calls.size = entry->d_un.d_val; break;
        case DT_PLTREL:
            library->calls.step = entry->d_un.d_val == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
            break;
        case DT_RELA:
        case DT_REL: library->others.start = address; break;
        case DT_RELASZ:
        case DT_RELSZ: library->others.size = entry->d_un.d_val; break;
        case DT_RELAENT:
        case DT_RELENT: library->others.step = entry->d_un.d_val; break;
        default: break;
        }
    }
}

/* Finds the object in which NNG's version is written; a static NNG, in one object with this code, is none that could be used. */
static int find_nng(struct dl_phdr_info *object, size_t size, void *arg) {
    struct library *library = arg;
    (void)size;
    if (!lies_in(object, (uintptr_t)nng_version()) || lies_in(object, (uintptr_t)FOR_CONNECTIONS)) {
        return 0;
    }
    library->base = object->dlpi_addr;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = library->base + segment->p_vaddr;
        if (segment->p_type == PT_DYNAMIC) {
            const ElfW(Dyn) *dynamic = NULL;
            memcpy(&dynamic, &start, sizeof start);
            read_dynamic(library, dynamic);
        } else if (segment->p_type == PT_GNU_RELRO) {
            const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
            library->sealed_start = start / page * page;
            library->sealed_end = (start + segment->p_memsz) / page * page;
        }
    }
    return 1;
}

static const char *symbol_name(const struct library *library, const ElfW(Rel) * relocation) {
#ifdef __LP64__
    const size_t index = ELF64_R_SYM(relocation->r_info);
#else
    const size_t index = ELF32_R_SYM(relocation->r_info);
#endif
    return library->names + library->symbols[index].st_name;
}

/* Returns how many calls go there; and redirects them, unless `function` is NULL. */
static size_t redirect_in(const struct library *library, const struct relocations *relocations, const char *name,
                          void (*function)(void)) {
    size_t count = 0;
    for (size_t at = 0; relocations->step > 0 && at + relocations->step <= relocations->size; at += relocations->step) {
        const uintptr_t where = relocations->start + at;
        const ElfW(Rel) *relocation = NULL;
        memcpy(&relocation, &where, sizeof where);
        if (strcmp(symbol_name(library, relocation), name) != 0) {
            continue;
        }
        const uintptr_t slot_at = library->base + relocation->r_offset;
        void (**slot)(void) = NULL;
        memcpy(&slot, &slot_at, sizeof slot_at);
        if (function != NULL) {
            __atomic_store_n(slot, function, __ATOMIC_RELEASE);
        }
        count++;
    }
    return count;
}

static size_t redirect_call(const struct library *library, const char *name, void (*function)(void)) {
    return redirect_in(library, &library->calls, name, function) +
           redirect_in(library, &library->others, name, function);
}

static bool set_sealed(const struct library *library, int protection) {
    void *start = NULL;
    memcpy(&start, &library->sealed_start, sizeof start);
    return library->sealed_start == library->sealed_end ||
           mprotect(start, library->sealed_end - library->sealed_start, protection) == 0;
}

/* All of them or none. */
static bool redirect(const struct stand_in *stand_ins, size_t count) {
    struct library library = {.base = 0};
    if (dl_iterate_phdr(find_nng, &library) != 1 || library.symbols == NULL || library.names == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (redirect_call(&library, stand_ins[i].name, NULL) == 0) {
            return false;
        }
    }
    if (!set_sealed(&library, PROT_READ | PROT_WRITE)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        (void)redirect_call(&library, stand_ins[i].name, stand_ins[i].function);
    }
    (void)set_sealed(&library, PROT_READ);
    return true;
}

static bool nng_is_defective(void) {
    char *rest = NULL;
    const unsigned long major = strtoul(nng_version(), &rest, 10);
    const unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    return major == 1 && minor < 6;
}

__attribute__((constructor)) static void guard_start(void) {
    active = nng_is_defective() && redirect(FOR_CONNECTIONS, FOR_CONNECTIONS_COUNT);
}

void jq_guard_own_process(void) {
    if (active) {
        (void)redirect(FOR_OWN_PROCESS, FOR_OWN_PROCESS_COUNT);
    }
}

#else

bool jq_guard_active(void) {
    return false;
}

void jq_guard_own_process(void) {
}

bool jq_guard_end(nng_pipe pipe) {
    (void)pipe;
    return false;
}

bool jq_guard_limit(nng_pipe pipe, size_t size_max) {
    (void)pipe;
    (void)size_max;
    return false;
}

void jq_guard_close_dialer(nng_dialer dialer) {
    nng_dialer_close(dialer);
}

#endif
