/* The guard of one session, searched exhaustively: acquire, commit, page, release, takeover, collect, delete.
 *
 * Holders are processes that may crash, stall between any two steps and be taken over at any moment: no clock
 * decides anything here. Each request to storage is applied and answered, or applied without an answer, or goes
 * into a bag from which it is applied at any later moment, or never. A request that was not answered is
 * sent again, so one request may be applied twice, the second time much later.
 *
 * Every commit holds one record, and every page one commit (PAGE = 1), so that few commits fold often. A commit
 * is known by the number c of its attempt, which is also the version of the page that it seals.
 *
 * Checked after every change of storage (consistent()):
 *   I1  a commit is accepted only while its sender made the last acquisition
 *   I2  each object that the item names exists, with the committed content; an acknowledged record is in it, once
 *   I3  head moves only with a segment that exists
 * Besides: epoch never falls, and grows with every change of holder. An acquisition is decided on the state that
 * was read. A live page never changes. The tail stays bounded. A holder is told "fenced" only if it is, and never
 * that the session is damaged.
 *
 * Built with -DHOLDERS, -DACQUISITIONS (attempts), -DEPOCHS, -DCOMMITS, -DLATE (room in the bag), -DFOLD, -DCOLLECT, -DRELEASE, -DDELETE,
 * and at most one -DMUTANT_x, a deliberate fault that must be found.
 */

#ifndef HOLDERS
#define HOLDERS 3
#endif
#ifndef ACQUISITIONS
#define ACQUISITIONS 4
#endif
#ifndef EPOCHS
#define EPOCHS 6
#endif
#ifndef COMMITS
#define COMMITS 4
#endif
#ifndef LATE
#define LATE 2
#endif
#ifdef DELETE
#define LIVES 2
#else
#define LIVES 1
#endif
#define C (COMMITS + 1)

#define NONE 0
#define ACQUIRE 1
#define COMMIT 2
#define RELEASING 3
#define PUT_SEGMENT 4
#define PUT_PAGE 5
#define DROP 6
#define BURY 7
#define SWEEP 8

/* The guard item. */
byte epoch, holder, head, pages, last;
byte tail[C];                     /* by position: the attempt whose record is there */
byte life;
bool buried;

/* The objects: segments by attempt (a bit each), pages by incarnation and number (the attempt that sealed it). */
byte segments;
byte page[LIVES * C];
#ifdef MUTANT_SEGMENT_KEY_REUSED
byte at_position[C];
#endif

/* Facts of each attempt, written once, by its holder. */
byte sender[C], expected[C], remembered[C], made_at[C], record_of[C], in_life[C];
bool folds[C];
byte attempts, acquisitions;

/* Ghost state: the actual history, which no part of the protocol reads. */
byte journal[C];                  /* by position: the record */
byte released;                    /* releases that did not raise the epoch; always 0 */

typedef Request { byte kind, a, b, beat, before }
Request bag[LATE];

byte under_way;                   /* attempts of holders at work, a bit each */
#ifdef COLLECT
byte listed, orphans;             /* segments that the collector has seen, and those that it is about to delete */
#endif
bool ok;
byte i, found, known_to_bag, named;

#define BIT(c) (1 << (c))
#define THERE(c) (segments & BIT(c))
#define PAGE_OF(l, n) page[(l) * C + (n)]

inline consistent() {
    assert(head <= COMMITS);
    if
    :: !buried ->
        i = 0;
        do
        :: i < pages -> assert(PAGE_OF(life, i) != 0); i++
        :: i >= pages && i < head ->
#ifdef MUTANT_SEGMENT_KEY_REUSED
            assert(at_position[i] == tail[i]);
#else
            assert(THERE(tail[i]));
#endif
            i++
        :: i >= head -> break
        od;
#ifdef FOLD
        assert(head - pages <= 2)
#else
        skip
#endif
    :: else
    fi;
    i = 0
}

/* A commit raises the beat, so within an epoch head tells as much as beat does. Heartbeats only refuse more. */
inline apply_acquire(who, at, pulse, earlier) {
    d_step {
    ok = true;
#ifndef MUTANT_ACQUIRE_ANY_EPOCH
    ok = ok && epoch == at;
#endif
#ifndef MUTANT_ACQUIRE_ANY_BEAT
    ok = ok && head == pulse;
#endif
    if
    :: ok ->
        assert(at + 1 > epoch);              /* epoch grows with every change of holder */
        assert(earlier == released);         /* a request in flight at a release is refused */
        epoch = at + 1;
        holder = who;
        if
        :: buried ->
            buried = false; life++; head = 0; pages = 0; last = 0;
            i = 0;
            do
            :: i < C -> journal[i] = 0; tail[i] = 0; i++
            :: else -> break
            od
        :: else
        fi;
        consistent()
    :: else
    fi
    }
}

inline apply_commit(c) {
    d_step {
    ok = !buried;
#ifndef MUTANT_COMMIT_BY_ANY_PROCESS
    ok = ok && holder == sender[c];
#endif
#ifndef MUTANT_COMMIT_AT_ANY_HEAD
    ok = ok && head == expected[c];
#endif
    if
    :: ok ->
        assert(holder == sender[c]);         /* I1 */
        assert(head == expected[c]);         /* else head falls, or leaves a hole */
        assert(remembered[c] == head);       /* I2: the tail that is written is the tail that was read */
        i = 0;
        do
        :: i < head -> assert(journal[i] != record_of[c]); i++      /* I2: once */
        :: else -> break
        od;
        tail[head] = c;
        journal[head] = record_of[c];
        head++;
        last = c;
        pages = pages + folds[c];
        consistent()
    :: else
    fi
    }
}

inline apply_release(who) {
    d_step {
    ok = (holder == who);
    if
    :: ok ->
        holder = 0;
#ifdef MUTANT_RELEASE_KEEPS_EPOCH
        released++
#else
        epoch++
#endif
    :: else
    fi
    }
}

inline apply_bury(who, pulse) {
    d_step {
    ok = (holder == who);
#ifndef MUTANT_BURY_AT_ANY_HEAD
    ok = ok && head == pulse;
#endif
    if
    :: ok ->
        assert(head == pulse);               /* a commit after the delete was given up is not deleted */
        holder = 0; epoch++; buried = true; last = 0
    :: else
    fi
    }
}

inline apply_put_segment(c) {
    d_step {
    segments = segments | BIT(c);
#ifdef MUTANT_SEGMENT_KEY_REUSED
    at_position[expected[c]] = c;
#endif
    consistent()
    }
}

inline apply_put_page(c, version) {
    d_step {
    found = PAGE_OF(in_life[c], remembered[c] - 1);
#ifdef MUTANT_PAGE_UNCONDITIONAL
    ok = true;
#else
    ok = (found == version);
#endif
    if
    :: ok ->
        assert(found == c || in_life[c] != life || buried || remembered[c] - 1 >= pages);  /* a live page never changes */
        PAGE_OF(in_life[c], remembered[c] - 1) = c
    :: else
    fi;
    found = 0
    }
}

inline apply_drop(which) {
    d_step {
    segments = segments & (255 - (which));
    consistent()
    }
}

inline apply_sweep(which) {
    d_step {
    i = 1;
    do
    :: i <= attempts ->
        if
#ifdef MUTANT_LIFE_NOT_IN_KEYS
        :: true ->
#else
        :: in_life[i] == which ->
#endif
            segments = segments & (255 - BIT(i))
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < C -> PAGE_OF(which, i) = 0; i++
    :: else -> break
    od;
    consistent()
    }
}

/* A request whose answer its sender never gets: applied later, or never. */
inline send_late(what, x, y, z, before_that) {
    d_step {
    i = 0;
    do
    :: i < LATE && bag[i].kind != NONE -> i++
    :: else -> break
    od;
    if
    :: i < LATE -> bag[i].kind = what; bag[i].a = x; bag[i].b = y; bag[i].beat = z; bag[i].before = before_that
    :: else          /* no room: it is lost */
    fi;
    i = 0
    }
}

/* Wipe what no process can read again, so that states which differ in nothing else are one state: attempts that
 * have ended and have no request in flight, and numbers that were never used. Changes no behaviour. */
inline tidy() {
    known_to_bag = 0; named = 0;
    i = 0;
    do
    :: i < LATE ->
        if
        :: bag[i].kind == COMMIT || bag[i].kind == PUT_SEGMENT || bag[i].kind == PUT_PAGE ->
            known_to_bag = known_to_bag | BIT(bag[i].a)
        :: bag[i].kind == DROP -> known_to_bag = known_to_bag | bag[i].a
        :: else
        fi;
        i++
    :: else -> break
    od;
#ifdef COLLECT
    known_to_bag = known_to_bag | listed | orphans;
#endif
    i = 0;
    do
    :: i < C -> named = named | BIT(tail[i]); i++
    :: else -> break
    od;
    i = attempts;
    do
    :: i > 0 ->
        if
        :: !((under_way | known_to_bag) & BIT(i)) ->
            sender[i] = 0; remembered[i] = 0; expected[i] = 0;
            if
#ifdef COLLECT
            :: !((named | segments) & BIT(i)) ->
#else
            :: !(named & BIT(i)) ->
#endif
                segments = segments & (255 - BIT(i));
                record_of[i] = 0; made_at[i] = 0; in_life[i] = 0; folds[i] = 0;
#ifndef FOLD
                attempts = attempts - (i == attempts)     /* a page's version is never used again */
#endif
            :: else
            fi
        :: else
        fi;
        i--
    :: else -> break
    od;
    known_to_bag = 0; named = 0
}

inline forget() {
    d_step {
    under_way = under_way & (255 - BIT(c));
    found = (mine != 0 && mine == acquisitions && holder != mine);
    i = 0;
    do
    :: i < LATE ->
        found = found && !((bag[i].kind == ACQUIRE || bag[i].kind == RELEASING || bag[i].kind == BURY) && bag[i].a == mine);
        i++
    :: else -> break
    od;
    tidy();
    i = 1;
    do
    :: i <= attempts -> found = found && (sender[i] != mine); i++
    :: else -> break
    od;
    acquisitions = acquisitions - found;
    found = 0; i = 0
    }
}

active proctype Network() {
    byte n;
end:
    do
    :: atomic {
        bag[0].kind != NONE -> n = 0; goto deliver
       }
#if LATE > 1
    :: atomic {
        bag[1].kind != NONE -> n = 1; goto deliver
       }
#endif
    od;
deliver:
    atomic {
        if
        :: bag[n].kind == ACQUIRE -> apply_acquire(bag[n].a, bag[n].b, bag[n].beat, bag[n].before)
        :: bag[n].kind == COMMIT -> apply_commit(bag[n].a)
        :: bag[n].kind == RELEASING -> apply_release(bag[n].a)
        :: bag[n].kind == PUT_SEGMENT -> apply_put_segment(bag[n].a)
        :: bag[n].kind == PUT_PAGE -> apply_put_page(bag[n].a, bag[n].b)
        :: bag[n].kind == DROP -> apply_drop(bag[n].a)
        :: bag[n].kind == BURY -> apply_bury(bag[n].a, bag[n].beat)
        :: bag[n].kind == SWEEP -> apply_sweep(bag[n].a)
        fi;
        bag[n].kind = NONE; bag[n].a = 0; bag[n].b = 0; bag[n].beat = 0; bag[n].before = 0;
        n = 0; ok = false;
        d_step { tidy() };
        goto end
    }
}

/* A holder. Its memory: its acquisition (mine), the records it knows to be committed (known) and sealed (sealed), the
 * last attempt (mark) and the incarnation (born); c is the attempt under way and r its record. A step that no other
 * process can see is joined to the next one that another can. */
proctype Holder(byte number) {
    byte mine, wanted, seen, before, known, sealed, mark, born, c, r, version, where;
    bool left;

    atomic {
        skip;
idle:                                         /* a new process, without memory */
        forget();
        mine = 0; seen = 0; wanted = 0; before = 0; known = 0; sealed = 0; mark = 0; born = 0; c = 0; r = 0; version = 0;
        where = 0; left = false;
acquire:
        if
        :: acquisitions < ACQUISITIONS -> acquisitions++; mine = acquisitions
        :: else -> goto stopped
        fi;
        if                                    /* one after the other: holders are alike, so their order has no meaning */
        :: number != 0 && number < HOLDERS -> run Holder(number + 1)
        :: else
        fi;
        number = 0;
look:
        if
        :: holder == mine -> goto won         /* the write was applied, only its answer was lost */
        :: else
        fi;
#ifndef MUTANT_REOPENED_BLINDLY
        if
        :: left && (known != head || mark != last || born != life || buried) -> goto idle   /* fenced */
        :: else
        fi;
#endif
        if
        :: epoch >= EPOCHS || (buried && life + 1 >= LIVES) -> goto stopped
        :: else
        fi;
        wanted = epoch; seen = head; before = released
    }
    if
    :: atomic {
        apply_acquire(mine, wanted, seen, before);
        if
        :: ok -> ok = false; goto won
        :: else -> goto look
        fi
       }
    :: atomic { send_late(ACQUIRE, mine, wanted, seen, before); goto look }
    :: atomic { goto idle }                   /* crashes, or gives up */
    fi;
    atomic {
        skip;
won:
        wanted = 0; seen = 0; before = 0;
        where = head;                         /* the item, as this acquisition wrote it */
        if
        :: left
        :: else -> known = head; sealed = pages; mark = last; born = life
        fi;
        left = false
#ifndef FOLD
        ; goto hold
#endif
    }
    atomic {                                  /* restore: each object that the item names exists, or the lease is lost */
        i = sealed;
        do
        :: i < known && born == life && !buried && i < head && THERE(tail[i]) -> i++
        :: i < known && !(born == life && !buried && i < head && THERE(tail[i])) ->
            assert(holder != mine);
            i = 0;
            goto idle
        :: i >= known -> break
        od;
        i = 0;
hold:
        if
        :: attempts < COMMITS && known < COMMITS ->
            attempts++;
            c = attempts; r = c;
            under_way = under_way | BIT(c)
#ifdef RELEASE
        :: goto let_go
#endif
#ifdef DELETE
        :: goto bury
#endif
        :: goto idle                          /* crashes */
        fi;
describe:
        sender[c] = mine; expected[c] = where; remembered[c] = known; record_of[c] = r; in_life[c] = born;
#ifdef COLLECT
        made_at[c] = epoch;
#endif
#ifdef FOLD
        folds[c] = (known - sealed >= 1);
#endif
#ifdef MUTANT_COMMIT_BEFORE_SEGMENT
        goto decide;
#endif
#if !defined(COLLECT) && !defined(MUTANT_SEGMENT_KEY_REUSED)
        apply_put_segment(c);
        goto written
    }
#else
        skip
    }
put:
    if
    :: atomic { apply_put_segment(c); goto written }
    :: atomic { send_late(PUT_SEGMENT, c, 0, 0, 0); goto put }
    :: atomic { goto idle }
    fi;
#endif
    atomic {
        skip;
written:
#ifdef MUTANT_ACKNOWLEDGED_EARLY
        goto committed;
#endif
#if !defined(FOLD) || defined(MUTANT_PAGE_AFTER_COMMIT)
        goto decide
    }
#else
        if
        :: !folds[c] -> goto decide
        :: else
        fi
    }
create:
    if
    :: atomic {
        apply_put_page(c, 0);
        if
        :: ok -> ok = false; goto page_is_there
        :: else
        fi
       }
    :: atomic { send_late(PUT_PAGE, c, 0, 0, 0); goto create }
    :: atomic { goto idle }
    fi;
    atomic {
        skip;
compare:
        version = PAGE_OF(born, known - 1);
        if
        :: version == c -> version = 0; goto page_is_there
        :: version == 0 -> goto create
        :: else
        fi
    }
    atomic {
        if
        :: holder != mine -> goto idle        /* fenced */
        :: else
        fi
    }
replace:
    if
    :: atomic {
        apply_put_page(c, version);
        version = 0;
        if
        :: ok -> ok = false; goto page_is_there
        :: else -> goto compare
        fi
       }
    :: atomic { send_late(PUT_PAGE, c, version, 0, 0); goto replace }
    :: atomic { goto idle }
    fi;
    atomic {
        skip;
page_is_there:
#ifdef MUTANT_DROPPED_BEFORE_COMMIT
        if
        :: born == life && !buried -> apply_drop(BIT(tail[known - 1]))
        :: else
        fi;
#endif
        goto decide
    }
#endif
decide:
    if
    :: atomic {
        apply_commit(c);
        if
        :: ok -> ok = false; goto committed
        :: !ok && holder == mine ->
#ifdef MUTANT_LOST_ANSWER_IS_FAILURE
            goto regroup
#else
            assert(last == c);                /* else the holder would report the session as damaged */
            goto committed
#endif
#ifdef MUTANT_COMMIT_ID_FIXED
        :: !ok && holder != mine && last != 0 -> goto committed
#else
        :: !ok && holder != mine && last == c && !buried -> goto committed      /* accepted, only then taken over */
#endif
        :: else -> goto idle                  /* fenced */
        fi
       }
#ifdef MUTANT_REGROUPED
    :: atomic { apply_commit(c); ok = false; goto regroup }
    :: atomic { send_late(COMMIT, c, 0, 0, 0); goto regroup }
#else
    :: atomic { apply_commit(c); ok = false; goto decide }
    :: atomic { send_late(COMMIT, c, 0, 0, 0); goto decide }
#endif
    :: atomic { goto idle }
    fi;
#if defined(MUTANT_REGROUPED) || defined(MUTANT_LOST_ANSWER_IS_FAILURE)
    atomic {
        skip;
regroup:
        if
        :: holder == mine && attempts < COMMITS ->
            attempts++; c = attempts; under_way = under_way | BIT(c);
            where = head; known = head; sealed = pages;
            goto describe
        :: else -> goto idle
        fi
    }
#endif
    atomic {
        skip;
committed:
        i = 0; found = 0;
        do
        :: i < head -> found = found + (journal[i] == r); i++
        :: else -> break
        od;
        i = 0;
        assert(found == 1);                   /* I2: an acknowledged record is there, once */
        found = 0;
        known++; where = known; mark = c;
        under_way = under_way & (255 - BIT(c));
        if
        :: holder != mine -> goto idle
        :: holder == mine && folds[c] -> sealed++; version = BIT(tail[known - 2])
        :: else
        fi;
        c = 0; r = 0;
        d_step { tidy() };
        if
        :: version == 0 -> goto hold
        :: else
        fi
    }
#ifdef MUTANT_PAGE_AFTER_COMMIT
    atomic { PAGE_OF(born, known - 2) = mark };
#endif
    if
    :: atomic { apply_drop(version); version = 0; goto hold }
    :: atomic { send_late(DROP, version, 0, 0, 0); version = 0; goto hold }
    :: atomic { version = 0; goto hold }      /* not deleted: an orphan */
    fi;
#ifdef RELEASE
let_go:
    if
    :: atomic { apply_release(mine); ok = false; goto let_go_of }
    :: atomic { send_late(RELEASING, mine, 0, 0, 0); goto let_go_of }
    fi;
    atomic {
        skip;
let_go_of:
        if
        :: forget(); left = true; mine = 0; where = 0; goto acquire
        :: goto idle
        fi
    }
#endif
#ifdef DELETE
bury:
    if
    :: atomic {
        apply_bury(mine, where);
        if
        :: ok -> ok = false; goto sweep
        :: !ok && buried && born == life -> goto sweep    /* an answer was lost: the tombstone is its own, or equivalent */
        :: else -> goto idle
        fi
       }
    :: atomic { apply_bury(mine, where); ok = false; goto idle }
    :: atomic { send_late(BURY, mine, 0, where, 0); goto bury }
    :: atomic { send_late(BURY, mine, 0, where, 0); goto hold }      /* gives up the delete, and goes on writing */
    fi;
sweep:
    if
    :: atomic { apply_sweep(born); goto idle }
    :: atomic { send_late(SWEEP, born, 0, 0, 0); goto idle }
    :: atomic { goto idle }
    fi;
#endif
    atomic {
        skip;
stopped:
        mine = 0; wanted = 0; seen = 0; before = 0; known = 0; sealed = 0; mark = 0; born = 0; c = 0; r = 0; version = 0; where = 0;
        left = false
    }
}

#ifdef COLLECT
/* The garbage collection, which is not the holder and deletes the segments that nothing names. */
active proctype Collector() {
    listed = segments;
    atomic {                                  /* one consistent read, after the listing */
        if
        :: buried -> listed = 0; goto done
        :: else
        fi;
        i = 1;
        do
        :: i <= attempts ->
            if
#ifdef MUTANT_COLLECTED_WHATEVER_EPOCH
            :: (listed & BIT(i)) ->
#else
            :: (listed & BIT(i)) && made_at[i] < epoch ->
#endif
                orphans = orphans | BIT(i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = pages;
        do
        :: i < head -> orphans = orphans & (255 - BIT(tail[i])); i++
        :: else -> break
        od;
        i = 0; listed = 0;
#ifdef MUTANT_UNCOMMITTED_PAGES_DELETED
        listed = pages
#endif
    }
#ifdef MUTANT_UNCOMMITTED_PAGES_DELETED
    atomic { PAGE_OF(life, listed) = 0; consistent(); listed = 0 }
#endif
    if
    :: atomic { apply_drop(orphans); orphans = 0 }
    :: atomic { send_late(DROP, orphans, 0, 0, 0); orphans = 0 }
    fi;
done:
    skip
}
#endif

init {
    atomic {
        run Holder(1)
    }
}
