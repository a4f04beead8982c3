#define _GNU_SOURCE
#include "common/transport/guard_calls.h"

#include <link.h>
#include <nng/nng.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    if (!lies_in(object, (uintptr_t)nng_version()) || lies_in(object, (uintptr_t)find_nng)) {
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

bool guard_calls_redirect(const struct guard_stand_in *stand_ins, size_t count) {
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
