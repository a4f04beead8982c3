/* lease.pml - lease, fencing token, restart and resend, for spin (spinroot.com, 6.5).
 *
 * Two workers, two tasks, one broker that loses power once, at any point, and every order of everything. The broker's log is
 * modelled by two copies of its state: what has been applied, and what is synced. A sync copies one to the other and may
 * come at any time; a power failure takes the synced copy back. So every prefix of the unsynced records can be what is left.
 *
 * Budgets make every run finite: messages lost, requests sent again without need, workers wrongly declared dead. A request is also
 * sent again whenever nothing of it is under way any more. A run that cannot go on must be one in which all is done: spin
 * reports any other as an invalid end state.
 *
 * What must hold:
 *   A  No token is ever given to two leases, power failure included.
 *   B  An outcome that a worker was told is accepted is on disk, under that token, and stays.
 *   C  For one task only one token's outcome is ever told accepted.
 *   D  A request that is sent again gets the verdict that it got before.
 *   E  Every run ends with all outcomes on disk and both workers at rest.
 *
 * Planted mistakes (-D...), each of which spin must find: NO_EPOCH (tokens without the epoch), EARLY_VERDICT (a verdict is
 * released before its record is synced), NO_FENCE (a report under any token is accepted), NO_WINDOW (a request seen twice is
 * done twice).
 *
 * Left out: more than one power failure, workers that die or start anew, retries after failures, cancels, the survey's list of held
 * leases (a lease whose answer was lost is asked for again here, or its worker declared dead), and time.
 */
#define TASKS   2
#define WORKERS 2
#define IDS     12 /* requests of one worker */

#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef REPEATS
#define REPEATS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

mtype = { READY, RUNNING, DONE };              /* states of a task */
mtype = { POLL, REPORT };                      /* requests */
mtype = { LEASED, NOTHING, ACCEPTED, STALE };  /* answers */

/* A token is epoch * 16 + number, as in core: (epoch, counter). */
typedef Log { mtype task[TASKS]; byte token[TASKS]; byte owner[TASKS];
                byte asked[WORKERS]; mtype answer[WORKERS]; byte what[WORKERS]; byte under[WORKERS]; }
Log now_state, synced;
bool dirty; /* now_state is not all synced */
bool begun;

byte epoch = 1, number;
chan request[WORKERS] = [1] of { byte, mtype, byte, byte };  /* id, kind, task, token */
chan answer[WORKERS] = [1] of { byte, mtype, byte, byte };   /* id, answer, task, token */
bool held[WORKERS];  /* a verdict waits for the sync */
byte losses, repeats, deaths, resting;
bool failed;

/* What no process knows, for the assertions. */
bool issued[64];
byte told_token[TASKS];
mtype told[WORKERS * IDS];

inline copy(to, from) {
    to.task[0] = from.task[0]; to.task[1] = from.task[1];
    to.token[0] = from.token[0]; to.token[1] = from.token[1];
    to.owner[0] = from.owner[0]; to.owner[1] = from.owner[1];
    to.asked[0] = from.asked[0]; to.asked[1] = from.asked[1];
    to.answer[0] = from.answer[0]; to.answer[1] = from.answer[1];
    to.what[0] = from.what[0]; to.what[1] = from.what[1];
    to.under[0] = from.under[0]; to.under[1] = from.under[1];
}

inline sync() { copy(synced, now_state); dirty = false }

/* The window: the last request of a worker and what it was told. */
inline remember(w, id, verdict, t, k) {
    now_state.asked[w] = id; now_state.answer[w] = verdict; now_state.what[w] = t; now_state.under[w] = k; dirty = true
}

inline note_token(k) { assert(!issued[k]); issued[k] = true }                                        /* A */

inline note_verdict(w, id, verdict, t, k) {
    if
    :: verdict == ACCEPTED ->
        assert(synced.task[t] == DONE && synced.token[t] == k);                                      /* B */
        assert(told_token[t] == 0 || told_token[t] == k);                                            /* C */
        told_token[t] = k
    :: else
    fi;
    assert(told[w * IDS + id] == 0 || told[w * IDS + id] == verdict);                                /* D */
    told[w * IDS + id] = verdict
}

#define seen_before(w, id) (now_state.asked[w] == id)
#define stands(w) (now_state.task[now_state.what[w]] == RUNNING && now_state.token[now_state.what[w]] == now_state.under[w])
#define all_done (now_state.task[0] == DONE && now_state.task[1] == DONE)

#ifdef EARLY_VERDICT
#define MAY_RELEASE true
#else
#define MAY_RELEASE !dirty
#endif

inline lease(w, id, t) {
    number++;
#ifdef NO_EPOCH
    k = 16 + number;
#else
    k = epoch * 16 + number;
#endif
    note_token(k);
    now_state.task[t] = RUNNING; now_state.token[t] = k; now_state.owner[t] = w;
    remember(w, id, LEASED, t, k);
    answer[w] ! id, LEASED, t, k /* released when written: it need not be synced */
}

inline judge(w, id, t, k) {
    if
#ifdef NO_FENCE
    :: now_state.task[t] == RUNNING -> now_state.task[t] = DONE; remember(w, id, ACCEPTED, t, k)
#else
    :: now_state.task[t] == RUNNING && now_state.token[t] == k && now_state.owner[t] == w ->
        now_state.task[t] = DONE; remember(w, id, ACCEPTED, t, k)
#endif
    :: else -> remember(w, id, STALE, t, k)
    fi;
    held[w] = true
}

/* One request of worker w, as one step of the core. */
inline serve(w) {
    if
    :: request[w] ? [id, POLL, t, k] ->
        request[w] ? id, POLL, t, k;
        if
#ifndef NO_WINDOW
        :: seen_before(w, id) && stands(w) -> answer[w] ! id, LEASED, now_state.what[w], now_state.under[w]
        :: seen_before(w, id) && !stands(w) -> answer[w] ! id, NOTHING, 0, 0
        :: !seen_before(w, id) && now_state.task[0] == READY -> lease(w, id, 0)
        :: !seen_before(w, id) && now_state.task[0] != READY && now_state.task[1] == READY -> lease(w, id, 1)
        :: !seen_before(w, id) && now_state.task[0] != READY && now_state.task[1] != READY -> answer[w] ! id, NOTHING, 0, 0
#else
        :: now_state.task[0] == READY -> lease(w, id, 0)
        :: now_state.task[0] != READY && now_state.task[1] == READY -> lease(w, id, 1)
        :: now_state.task[0] != READY && now_state.task[1] != READY -> answer[w] ! id, NOTHING, 0, 0
#endif
        fi
    :: request[w] ? [id, REPORT, t, k] ->
        request[w] ? id, REPORT, t, k;
        if
#ifndef NO_WINDOW
        :: seen_before(w, id) -> held[w] = true
        :: else -> judge(w, id, t, k)
#else
        :: true -> judge(w, id, t, k)
#endif
        fi
    fi
}

inline release(w) {
    held[w] = false;
    id = now_state.asked[w];
    note_verdict(w, id, now_state.answer[w], now_state.what[w], now_state.under[w]);
    answer[w] ! id, now_state.answer[w], now_state.what[w], now_state.under[w]
}

inline lose_leases(w) {
    if :: now_state.task[0] == RUNNING && now_state.owner[0] == w -> now_state.task[0] = READY; dirty = true :: else fi;
    if :: now_state.task[1] == RUNNING && now_state.owner[1] == w -> now_state.task[1] = READY; dirty = true :: else fi
}

#define holds_lease(w) ((now_state.task[0] == RUNNING && now_state.owner[0] == w) || \
                        (now_state.task[1] == RUNNING && now_state.owner[1] == w))
/* Its worker rests or asks for more: a lease that stands then was lost on its way, and only its worker's silence frees it. */
#define idle(w) (resting_of[w])

bool resting_of[WORKERS];

active proctype broker() {
    byte id, t, k;
    begun;
end:
    do
    :: d_step { dirty -> sync() }
    :: atomic { nempty(request[0]) && empty(answer[0]) && !held[0] -> serve(0) }
    :: atomic { nempty(request[1]) && empty(answer[1]) && !held[1] -> serve(1) }
    :: atomic { held[0] && MAY_RELEASE && empty(answer[0]) -> release(0) }
    :: atomic { held[1] && MAY_RELEASE && empty(answer[1]) -> release(1) }
    :: atomic { deaths < DEATHS && holds_lease(0) -> deaths++; lose_leases(0) }
    :: atomic { deaths < DEATHS && holds_lease(1) -> deaths++; lose_leases(1) }
    :: atomic { idle(0) && holds_lease(0) -> lose_leases(0) }
    :: atomic { idle(1) && holds_lease(1) -> lose_leases(1) }
    :: atomic { !failed -> /* power fails; the new epoch is synced before anything is served */
        failed = true;
        copy(now_state, synced);
        dirty = false;
        held[0] = false; held[1] = false;
        epoch++;
        number = 0 }
    od
}

/* Between a worker and the broker any message may get lost. */
active proctype network() {
    byte id, t, k;
    mtype kind;
end:
    do
    :: atomic { losses < LOSSES && nempty(request[0]) -> losses++; request[0] ? id, kind, t, k }
    :: atomic { losses < LOSSES && nempty(request[1]) -> losses++; request[1] ? id, kind, t, k }
    :: atomic { losses < LOSSES && nempty(answer[0]) -> losses++; answer[0] ? id, kind, t, k }
    :: atomic { losses < LOSSES && nempty(answer[1]) -> losses++; answer[1] ? id, kind, t, k }
    od
}

#define nothing_under_way(w) (empty(request[w]) && empty(answer[w]) && !held[w])

/* Sends a request until it is answered; answers to older ones are passed over. */
inline ask(kind, t, k) {
    request[w] ! id, kind, t, k;
    got = 0;
    do
    :: atomic { answer[w] ? got, verdict, task, token -> if :: got == id -> break :: else fi }
    :: atomic { nothing_under_way(w) -> request[w] ! id, kind, t, k }
    :: atomic { repeats < REPEATS && empty(request[w]) -> repeats++; request[w] ! id, kind, t, k }
    od
}

active [WORKERS] proctype worker() {
    byte w, id, got, task, token, ran_task, ran_token;
    mtype verdict;
    w = _pid - 2;
    begun;
    do
    :: id++;
       assert(id < IDS);
       ask(POLL, 0, 0);
       if
       :: verdict == LEASED ->
            ran_task = task; ran_token = token; /* and runs it */
            id++;
            assert(id < IDS);
            ask(REPORT, ran_task, ran_token)
       :: else -> /* asks again when there may be something: long polling in the real one */
            atomic {
                resting_of[w] = true;
                if
                :: all_done && !dirty && failed -> break
                :: now_state.task[0] == READY || now_state.task[1] == READY -> resting_of[w] = false
                fi
            }
       fi
    od;
    skip;
    d_step { resting_of[w] = true; resting++;
             if :: resting == WORKERS -> assert(synced.task[0] == DONE && synced.task[1] == DONE) :: else fi } /* E */
}

init { d_step {
    now_state.task[0] = READY; now_state.task[1] = READY;
    copy(synced, now_state);
    begun = true
} }
