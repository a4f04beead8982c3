/* sim_fault.h - everything that a seed may do to a run, one kind at a time: which kinds are on, when they strike, how hard.
 *
 * Swarm testing (Groce et al., "Swarm testing", 2012): each seed turns a random half of the kinds on, so that runs which are mild
 * in one way go deeper in another. Each kind draws from a stream of its own, and each strike has a number and, for its details, a
 * stream of that number: a strike that is left out, or a kind that is switched off, changes as little as can be in what the others
 * do. That is what lets sim_shrink.c find out which of them a failure needs.
 */
#ifndef JQ_TESTS_SIM_SIM_FAULT_H
#define JQ_TESTS_SIM_SIM_FAULT_H

#include "common/rng.h"
#include "common/types.h"

/* name, its word on the command line, of how many chances, how many of them at most */
#define SIM_FAULT_LIST(X)                                                                                              \
    X(LOSS, "loss", 1000, 150)      /* of a message */                                                                 \
    X(TWICE, "twice", 1000, 150)    /* a message arrives doubled */                                                    \
    X(DELAY, "delay", 1000, 1000)   /* a message takes up to 3 s, and so is overtaken */                               \
    X(CUT, "cut", 10000, 60)        /* nothing passes between an actor and the broker, one way or both */              \
    X(KILL, "kill", 10000, 40)      /* the broker's process dies, its machine does not */                              \
    X(POWER, "power", 10000, 40)    /* power fails: unsynced writes are kept, dropped, torn, garbled */                \
    X(AWAY, "away", 100, 20)        /* of a start: it comes minutes later */                                           \
    X(EIO, "eio", 10000, 20)        /* one operation of the disk fails */                                              \
    X(FULL, "full", 10000, 15)      /* the disk is full for a while */                                                 \
    X(ROT, "rot", 10, 5)            /* of a start: a flipped bit is looked for in a copy of the log */                 \
    X(DAMAGE, "damage", 1000, 20)   /* of a lease: its body cannot be read back */                                     \
    X(BLOB, "blob", 10000, 20)      /* the file of a blob is gone */                                                   \
    X(STOP, "stop", 10000, 10)      /* the broker is asked to stop, and killed a while later */                        \
    X(WALL, "wall", 10000, 20)      /* the wall clock jumps by up to a minute either way */                            \
    X(SLEEP, "sleep", 10000, 20)    /* the broker does not run for up to 40 s */                                       \
    X(MARK, "mark", 10000, 30)      /* free space on the disk falls to nothing, or comes back */                       \
    X(PIPE, "pipe", 10000, 40)      /* a connection closes */                                                          \
    X(SILENT, "silent", 10000, 100) /* a worker neither hears nor says anything */                                     \
    X(SLOW, "slow", 10000, 100)     /* a worker takes seconds for what should take milliseconds */                     \
    X(REBORN, "reborn", 10000, 100) /* a worker's process dies, and another begins */                                  \
    X(LIE, "lie", 10000, 1000)      /* a worker reports what it does not hold, twice, late, under old tokens */        \
    X(FORGET, "forget", 10000, 100) /* a client forgets what it asked, and is another sender from then on */           \
    X(FAIL, "fail", 100, 60)        /* an attempt fails */                                                             \
    X(CRASH, "crash", 100, 60)      /* and crashes */                                                                  \
    X(REQUEST, "request", 1, 1)     /* a client asks for something: no fault, but it may be left out like one */

enum sim_fault {
#define SIM_FAULT_ENUM(name, word, chances, most) SIM_##name,
    SIM_FAULT_LIST(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

/* Strikes `from` to `to` of a kind are left out. */
struct sim_skip {
    enum sim_fault kind;
    uint64_t from, to;
};
enum { SIM_SKIPS_MAX = 256 };

struct sim_options {
    uint64_t seed, steps;
    uint32_t off; /* bit per kind */
    struct sim_skip skips[SIM_SKIPS_MAX];
    size_t skip_count;
    bool verbose;
    uint64_t hours; /* sim_week.c; 0: steps */
};

struct sim_chances {
    uint64_t seed;
    uint32_t rates[SIM_FAULT_COUNT]; /* 0: off */
    struct jq_rng streams[SIM_FAULT_COUNT];
    uint64_t struck[SIM_FAULT_COUNT];
    struct jq_rng detail; /* of the last strike */
    const struct sim_skip *skips;
    size_t skip_count;
};

/* Chooses what is on. `options` is borrowed for the life of the chances. */
void chances_init(struct sim_chances *chances, const struct sim_options *options);
/* True if the kind strikes now: its details are then to be drawn by chances_detail(). */
bool chances_strike(struct sim_chances *chances, enum sim_fault kind);
uint64_t chances_detail(struct sim_chances *chances, uint64_t bound); /* 0 .. bound - 1; 0 for a bound of 0 */

const char *fault_word(enum sim_fault kind);
/* "loss,twice" into a mask; "loss:3-7,kill:2" into skips. False: not understood, or too many. */
bool faults_parse_off(const char *text, struct sim_options *options);
bool faults_parse_skips(const char *text, struct sim_options *options);
/* Both, and seed and steps, as they stand on a command line. */
void faults_print(const struct sim_options *options);

#endif
