/* lease.pml - lock / leader lease on one object of a strongly consistent store
 * that offers conditional PUT (If-None-Match:*, If-Match) - original model.
 *
 * One monolithic process of guarded atomic steps; nodes, network, server and
 * clocks are data.  Time is discrete: TICK advances TRUE time by one; node i's
 * own clock reads  true + skew[i],  skew[i] in {0,1}, and skew may flip at any
 * tick (the clock stalls or runs double for that tick): any interval a node
 * measures is wrong by at most one tick.
 *
 * ETags are not numbered.  Every write of the object has a new ETag (the body
 * has a fresh nonce), so a REFERENCE to an ETag is either the current one
 * ("fresh") or will never be current again ("stale").  Any applied write turns
 * every reference in the system stale.  Executions are therefore unbounded.
 *
 * Switches (see rows.mjs):  N K L W  DRIFT TIMED EPOCHS CALM FREEZE CRASH DUP
 * LOSS  WALL  and mutations  MUT_*                                            */

#ifndef N
#define N 2
#endif
#ifndef K
#define K 2              /* write attempts of a node that can be alive at once */
#endif
#ifndef L
#define L 3              /* holder: local lifetime of its belief (ttl - margin) */
#endif
#ifndef W
#define W 5              /* contender: local wait on an unchanged ETag          */
#endif
#ifndef MAXE
#define MAXE 4
#endif
#ifndef SK
#define SK 1             /* maxClockSkew the fast path (WALL) allows for        */
#endif
#ifndef B
#define B 20
#endif

#define NK (N*K)
#define ABSENT 0
#define FREEREC 1
#define HELD 2
#define KNOWN K          /* nonce class: own write, already resolved by its owner */
#define FOREIGN (K+1)    /* nonce of an instance that no longer exists            */
#define ACQ 1
#define RENEW 2
#define REL 3
#define S(i,k) ((i)*K+(k))

/* ---- store ---- */
byte sk = ABSENT; byte so = N; byte sn = 0;
/* ---- node ---- */
bit role[N]; bit kf[N]; bit amb[N];
byte ok[N];  bit obf[N];                    /* observed: 0 none 1 absent 2 free 3 held */
byte aw[N] = K;                            /* write the client awaits                */
bit rbv[N]; byte rbk[N]; byte rbo[N]; byte rbn[N]; bit rbf[N]; bit rbs[N]; /* GET snapshot */
/* ---- write attempts and network ---- */
byte ws[NK];                               /* 0 none 1 in flight 2 resp ok 3 resp 412 */
bit  wd[NK]; byte wk[NK]; byte wc[NK]; bit wf[NK]; bit wo[NK];
#ifdef MUT_LAST_NONCE
bit wlast[NK];
#endif

#ifdef TIMED
byte rem[N]; byte wr[NK]; byte wt[N];
#ifdef DRIFT
bit skew[N];
#endif
#ifdef FREEZE
bit frz[N];
#endif
#ifdef MUT_GET_SEND
byte gs[N];              /* local age of the GET that was sent, +1 (0 = none)    */
#endif
#ifdef WALL              /* wall clock of node i = true + skew[i].  exp - true    */
short sx; short wx[NK]; short rbx[N]; short ox[N];
#define XMIN (-SK-2)
#endif
#endif

#ifdef STORET            /* takeover by the store's clock: Date - Last-Modified >= XS seconds.
 * U ticks are one second; Date and Last-Modified are cut to whole seconds; the clock that stamps is
 * ahead of true time by 0 or SKS ticks, each time anew (several servers, steps).  Last-Modified is
 * stamped when the request arrives or at commit; Date when the answer leaves (later than the read). */
#ifndef U
#define U 2
#endif
#ifndef XS
#define XS 3
#endif
#ifndef SKS
#define SKS 1
#endif
#define LMIN (-XS-2)
byte ph; short slm; short rlm[N]; bit oold[N]; short wl[NK]; bit wlv[NK];   /* seconds, relative to the true one */
#ifdef BFSV
byte doff;
#else
hidden byte doff;
#endif
#endif

#ifdef EPOCHS
byte se; byte oe[N]; byte rbe[N]; byte we[NK]; byte tok[N];
byte maxe; byte acq; byte gid[N]; byte wg[NK]; byte sg; byte rbg[N];
byte rw[N]; byte rg[N]; byte rmax; byte rgm;
#ifdef MUT_OWN_COUNTER
byte cnt[N];
#endif
#define EP_SET(a,b) a = b
#else
#define EP_SET(a,b) skip
#endif

#ifdef CALM
#ifdef ZENO
byte za;
#endif
bit calm; bit polled[N]; byte ct; bit dead[N]; bit settled[N];
#define LIVE(i) (!dead[i])
#else
#define LIVE(i) (1)
#endif

#ifdef FREEZE
#define RUN(i) (LIVE(i) && !frz[i])
#else
#define RUN(i) LIVE(i)
#endif

#if defined(TIMED) && !defined(MUT_NO_DEADLINE)
#define BEL(i) (role[i] && rem[i] > 0 && RUN(i))
#else
#define BEL(i) (role[i])
#endif

/* scratch (always 0 between steps; 'hidden' keeps them out of the state vector) */
#ifdef BFSV
byte j; byte jj; byte nb; byte fs; byte own; byte de; byte good;
#else
hidden byte j; hidden byte jj; hidden byte nb; hidden byte fs; hidden byte own; hidden byte de; hidden byte good;
#endif

#ifdef TIMED
#define ADOPTABLE(i) (wr[S(i,rbn[i])] > 0)
#ifdef MUT_RESP_DEADLINE
#define INTIME_ACQ(i,k) (1)
#else
#define INTIME_ACQ(i,k) (wr[S(i,k)] > 0)
#endif
#ifdef MUT_REVIVE
#define INTIME_REN(i) (1)
#else
#define INTIME_REN(i) (rem[i] > 0)
#endif
#else
#define ADOPTABLE(i) (1)
#define INTIME_REN(i) (1)
#endif

/* ETag reference semantics: an applied write makes all references stale */
inline stale_all() {
  for (j : 0 .. N-1)  { kf[j] = 0; obf[j] = 0; rbf[j] = 0 }
  for (j : 0 .. NK-1) { wf[j] = 0; if :: wc[j] == 1 -> wc[j] = 2 :: else fi }
}

/* PRUNE (sound for safety, off by default): a stale ETag never becomes current
 * again, so a write in flight whose condition is stale is doomed; its only
 * visible effect is a 412 that may arrive at any time or never: turn it into a
 * pending 412 at once.  A follower whose observation is stale can only get a
 * 412 out of it: forget the observation (it must GET again).               */
#ifdef PRUNE
#define DOOMED(s) (wc[s] == 2 || (wc[s] == 0 && sk != ABSENT))
inline prune() {
  for (j : 0 .. N-1) {
    if :: !role[j] && ((ok[j] >= 2 && !obf[j]) || (ok[j] == 1 && sk != ABSENT)) -> ok[j] = 0; obf[j] = 0 :: else fi;
    for (jj : 0 .. K-1) {
      if :: wk[S(j,jj)] != 0 && DOOMED(S(j,jj)) ->
           if :: wd[S(j,jj)] && !(ws[S(j,jj)] == 2 && aw[j] == jj) ->
                 wd[S(j,jj)] = 0;
                 if :: ws[S(j,jj)] == 0 && aw[j] == jj -> ws[S(j,jj)] = 3 :: else fi
              :: else fi;
           if :: ws[S(j,jj)] == 1 -> ws[S(j,jj)] = (aw[j] == jj -> 3 : 0) :: else fi
         :: else fi
    }
  }
}
#else
#define prune() skip
#endif

/* free what nothing can refer to any more (canonical states) */
inline canon() {
  prune();
  for (j : 0 .. N-1) {
    if :: !rbv[j] -> rbk[j] = 0; rbo[j] = 0; rbn[j] = 0; rbf[j] = 0; rbs[j] = 0; EP_SET(rbe[j],0); EP_SET(rbg[j],0);
#ifdef WALL
       rbx[j] = 0;
#endif
#ifdef STORET
       rlm[j] = 0;
#endif
    :: else fi;
#ifdef STORET
    if :: role[j] || ok[j] != 3 -> oold[j] = 0 :: else fi;
#endif
    if :: role[j] -> ok[j] = 0; obf[j] = 0;
#ifdef TIMED
       wt[j] = 0;
#endif
#ifdef WALL
       ox[j] = 0;
#endif
       EP_SET(oe[j],0);
    :: else -> kf[j] = 0; EP_SET(tok[j],0); EP_SET(gid[j],0);
#ifdef TIMED
       rem[j] = 0;
       if :: ok[j] != 3 -> wt[j] = 0 :: else fi
#endif
    fi;
    for (jj : 0 .. K-1) {
      if :: ws[S(j,jj)] >= 2 && aw[j] != jj -> ws[S(j,jj)] = 0 :: else fi;   /* nobody waits for this answer */
      if :: ws[S(j,jj)] == 0 && !wd[S(j,jj)] && aw[j] != jj &&
            !(so == j && sn == jj) && !(rbv[j] && rbo[j] == j && rbn[j] == jj) ->
         wk[S(j,jj)] = 0; wc[S(j,jj)] = 0; wf[S(j,jj)] = 0; wo[S(j,jj)] = 0;
         EP_SET(we[S(j,jj)],0); EP_SET(wg[S(j,jj)],0);
#ifdef TIMED
         wr[S(j,jj)] = 0;
#endif
#ifdef WALL
         wx[S(j,jj)] = 0;
#endif
#ifdef MUT_LAST_NONCE
         wlast[S(j,jj)] = 0;
#endif
      :: else fi;
#ifdef STORET
      if :: ws[S(j,jj)] != 1 -> wl[S(j,jj)] = 0; wlv[S(j,jj)] = 0 :: else fi
#endif
    }
  }
#ifdef WALL
  if :: sk != HELD -> sx = 0 :: else fi
#endif
#ifdef STORET
  if :: sk != HELD -> slm = 0 :: else fi;
  doff = 0
#endif
}

inline check() {
  canon();
#ifdef TIMED
  nb = 0;
  for (j : 0 .. N-1) { nb = nb + BEL(j) }
#ifndef NOEXCL
  assert(nb <= 1);                                   /* (a) exclusive belief */
#endif
#endif
#ifdef CALM
  if :: nb > 0 -> ct = 0 :: else fi;
#ifdef ZENO
  if :: calm -> za++; assert(za < ZENO) :: else fi;       /* time can always advance */
#endif
#endif
  j = 0; jj = 0; fs = 0; own = 0; de = 0; good = 0; nb = 0
}

#define PR(f,a) printf(f,a)
#define PR2(f,a,b) printf(f,a,b)
#define SF(i,k) (wk[S(i,k)] == 0)
#define HASF(i) (SF(i,0) || (K > 1 && SF(i,K-1)))
inline pick(i) { if :: SF(i,0) -> fs = 0 :: else -> fs = K-1 fi }

inline newwrite(i, kind, cond) {
  pick(i);
  ws[S(i,fs)] = 1; wk[S(i,fs)] = kind; wc[S(i,fs)] = cond; wo[S(i,fs)] = 0; aw[i] = fs;
#ifdef TIMED
  wr[S(i,fs)] = L;
#ifdef WALL
#ifdef DRIFT
  wx[S(i,fs)] = L + skew[i];
#else
  wx[S(i,fs)] = L;
#endif
#endif
#endif
#ifdef MUT_LAST_NONCE
  for (j : 0 .. K-1) { wlast[S(i,j)] = 0 } wlast[S(i,fs)] = 1;
#endif
}

inline becomeLeader(i, k) {       /* attempt k of node i is known to be applied */
  role[i] = 1; amb[i] = 0;
#ifdef TIMED
#ifdef MUT_RESP_DEADLINE
  rem[i] = L;
#else
  rem[i] = wr[S(i,k)];
#endif
#endif
#ifdef EPOCHS
  tok[i] = we[S(i,k)]; gid[i] = wg[S(i,k)];
#endif
}

inline stepDown(i) {
  role[i] = 0; amb[i] = 0; aw[i] = K; ok[i] = 0; obf[i] = 0;
#ifdef TIMED
  rem[i] = 0; wt[i] = 0;
#endif
}

/* the node concludes, from an answer of the store, that it does not hold it */
inline concludeLost(i) {
#ifndef NOSPUR
  assert(!(sk == HELD && so == i && sn != FOREIGN));  /* (d) no spurious loss */
#endif
#ifdef CALM
  assert(!(calm && settled[i] && role[i]));
#endif
  stepDown(i)
}

/* the server executes one copy of write (i,k) */
inline serve(i, k, resp) {
#if defined(MUT_UNCOND_ACQ)
  good = (wk[S(i,k)] == ACQ) || (wk[S(i,k)] == RENEW) ||
         ((wc[S(i,k)] == 0 && sk == ABSENT) || (wc[S(i,k)] == 1 && sk != ABSENT));
#elif defined(MUT_UNCOND_DELETE) || defined(MUT_UNCOND_REL)
  good = (wk[S(i,k)] == REL) ||
         ((wc[S(i,k)] == 0 && sk == ABSENT) || (wc[S(i,k)] == 1 && sk != ABSENT));
#else
  good = ((wc[S(i,k)] == 0 && sk == ABSENT) || (wc[S(i,k)] == 1 && sk != ABSENT));
#endif
  if :: good ->
#ifdef MUT_SAME_BODY
     if :: wk[S(i,k)] != RENEW -> stale_all() :: else fi;
#else
     stale_all();
#endif
     if :: wk[S(i,k)] == REL ->
           so = N; sn = 0;
#if defined(MUT_DELETE) || defined(MUT_UNCOND_DELETE)
           sk = ABSENT; EP_SET(se,0); EP_SET(sg,0);
#else
           sk = FREEREC; EP_SET(se,we[S(i,k)]);
#endif
        :: else ->
           sk = HELD; so = i;
           if :: wo[S(i,k)] -> sn = FOREIGN :: else -> sn = k fi;
#ifdef WALL
           sx = wx[S(i,k)];
#endif
#ifdef STORET
#ifdef MUT_LM_KEPT               /* a store that does not move Last-Modified on overwrite */
           if :: wk[S(i,k)] != RENEW -> slm = (ph + doff) / U :: else fi;
#elif defined(MUT_LM_CLIENT)     /* Last-Modified taken from the client's clock, SKS+1 behind */
           slm = (wlv[S(i,k)] -> wl[S(i,k)] : (ph + 2*U - SKS - 1) / U - 2);
#else
           slm = (wlv[S(i,k)] -> wl[S(i,k)] : (ph + doff) / U);
#endif
#endif
#ifdef EPOCHS
           se = we[S(i,k)];
           if :: wk[S(i,k)] == ACQ ->
#ifndef NOTOKEN
                 assert(we[S(i,k)] > maxe);        /* (b1) strictly increasing token */
#endif
                 if :: we[S(i,k)] > maxe -> maxe = we[S(i,k)] :: else fi;
                 if :: acq < 2*MAXE -> acq++ :: else fi;
                 wg[S(i,k)] = acq; sg = acq
              :: else -> skip
           fi;
#endif
     fi;
     wf[S(i,k)] = 1;
     if :: resp && aw[i] == k -> ws[S(i,k)] = 2 :: else -> if :: ws[S(i,k)] == 1 -> ws[S(i,k)] = 0 :: else fi fi
  :: else ->
     if :: resp && aw[i] == k -> ws[S(i,k)] = 3 :: else -> if :: ws[S(i,k)] == 1 -> ws[S(i,k)] = 0 :: else fi fi
  fi
}

inline relabel(i, k) { if :: so == i && sn == k -> sn = KNOWN :: else fi }

inline onOk(i, k) {
  aw[i] = K; ws[S(i,k)] = 0;
  if
  :: wk[S(i,k)] == ACQ ->
#ifdef TIMED
     if :: INTIME_ACQ(i,k) -> becomeLeader(i,k); kf[i] = wf[S(i,k)]
        :: else -> amb[i] = 1      /* too late: a follower that must look again */
     fi;
#else
     becomeLeader(i,k); kf[i] = wf[S(i,k)];
#endif
     relabel(i,k)
  :: wk[S(i,k)] == RENEW ->
     if :: role[i] && INTIME_REN(i) ->
#ifdef TIMED
           assert(rem[i] > 0);                     /* (e) an ended tenancy never revives */
#endif
#ifdef TIMED
#ifdef MUT_RESP_DEADLINE
           rem[i] = L;
#else
           rem[i] = wr[S(i,k)];
#endif
#endif
           kf[i] = wf[S(i,k)]; relabel(i,k)
        :: else -> relabel(i,k); stepDown(i)
     fi
  :: else ->
#ifdef MUT_REL_LATE
     stepDown(i)
#else
     skip
#endif
  fi
}

inline on412(i, k) {
  aw[i] = K; ws[S(i,k)] = 0;
#ifdef MUT_BLIND_RETRY
  if :: wk[S(i,k)] == RENEW && role[i] -> kf[i] = 1 :: else -> amb[i] = 1 fi
#elif defined(MUT_412_LOSS)
  if :: wk[S(i,k)] != REL -> concludeLost(i) :: else -> amb[i] = 1 fi
#else
  amb[i] = 1
#endif
}

inline snapshot(i) {
  rbv[i] = 1; rbk[i] = sk; rbo[i] = so; rbn[i] = (so == i -> sn : 0); rbf[i] = (sk != ABSENT); rbs[i] = obf[i];
#ifdef EPOCHS
  rbe[i] = se; rbg[i] = sg;
#endif
#ifdef STORET
  rlm[i] = slm;
#endif
#ifdef WALL
  rbx[i] = sx;
#endif
#ifdef CALM
  polled[i] = 1;
#endif
}

inline observe(i) {
#ifdef TIMED
  if :: !(rbs[i] && ok[i] == 3) -> wt[i] = 0;
#ifdef MUT_GET_SEND
        wt[i] = (gs[i] > 0 -> gs[i] - 1 : 0);
#endif
     :: else fi;
#ifdef MUT_RESET_TIMER
  wt[i] = 0;
#endif
#ifdef WALL
  ox[i] = rbx[i];
#endif
#endif
#ifdef STORET
  oold[i] = (rbk[i] == HELD && (ph + doff) / U - rlm[i] >= XS);
#endif
  ok[i] = rbk[i] + 1; obf[i] = rbf[i]; amb[i] = 0; EP_SET(oe[i],rbe[i]);
}

#ifdef MUT_LAST_NONCE
#define NONCEOK(i) (rbn[i] == KNOWN || (rbn[i] < K && wlast[S(i,rbn[i])]))
#else
#define NONCEOK(i) (rbn[i] != FOREIGN)
#endif

inline onGet(i) {
  own = (rbk[i] == HELD && rbo[i] == i && NONCEOK(i));
  if
  :: role[i] ->
     if :: own ->
           if :: rbn[i] < K ->
#ifdef TIMED
                 if :: rem[i] > 0 && wr[S(i,rbn[i])] > rem[i] -> rem[i] = wr[S(i,rbn[i])] :: else fi;
#endif
                 relabel(i,rbn[i])
              :: else fi;
#ifdef MUT_READ_RENEWS
           rem[i] = L;
#endif
           kf[i] = rbf[i]; amb[i] = 0
        :: else -> concludeLost(i); observe(i)
     fi
  :: else ->
#ifdef MUT_SAME_ID
     if :: rbk[i] == HELD ->                     /* "holder is me" judged by a shared id */
           role[i] = 1; amb[i] = 0; rem[i] = L; kf[i] = rbf[i]
        :: else -> observe(i) fi
#else
     if :: own && rbn[i] < K && wk[S(i,rbn[i])] == ACQ && ADOPTABLE(i) -> becomeLeader(i,rbn[i]); kf[i] = rbf[i]; relabel(i,rbn[i])
        :: else -> observe(i);
           if :: own && rbn[i] < K -> relabel(i,rbn[i]) :: else fi;   /* resolved: it was mine, I do not lead */
#ifdef ORPHAN                        /* own record of this very instance, not led: no need to wait */
           if :: own -> wt[i] = W :: else fi
#else
           skip
#endif
     fi
#endif
  fi;
  rbv[i] = 0;
#ifdef MUT_GET_SEND
  gs[i] = 0;
#endif
}

#ifdef TIMED
inline adv(i, t) {
  de = 1;
#ifdef DRIFT
  if :: t -> de = (skew[i] -> 0 : 2); skew[i] = 1 - skew[i] :: else fi;
#endif
#ifdef FREEZE
  if :: frz[i] ->
#ifdef GUARD
     rem[i] = (rem[i] > de -> rem[i] - de : 0);
     for (j : 0 .. K-1) { wr[S(i,j)] = (wr[S(i,j)] > de -> wr[S(i,j)] - de : 0) }
#endif
     de = 0
  :: else fi;
#endif
  rem[i] = (rem[i] > de -> rem[i] - de : 0);
  if :: ok[i] == 3 -> wt[i] = (wt[i] + de > W -> W : wt[i] + de) :: else fi;
  for (j : 0 .. K-1) { wr[S(i,j)] = (wr[S(i,j)] > de -> wr[S(i,j)] - de : 0) }
#ifdef MUT_GET_SEND
  if :: gs[i] > 0 && gs[i] <= W -> gs[i] = gs[i] + de :: else fi;
#endif
#ifdef CALM
  polled[i] = 0;
#endif
}
inline walltick() {
#ifdef STORET
  ph++;
  if :: ph == U -> ph = 0;
        if :: sk == HELD && slm > LMIN -> slm-- :: else fi;
        for (j : 0 .. N-1) { if :: rbv[j] && rlm[j] > LMIN -> rlm[j]-- :: else fi }
        for (j : 0 .. NK-1) { if :: wlv[j] && wl[j] > LMIN -> wl[j]-- :: else fi }
     :: else fi;
#endif
#ifdef WALL
  if :: sk == HELD && sx > XMIN -> sx-- :: else fi;
  for (j : 0 .. N-1) {
    if :: rbv[j] && rbx[j] > XMIN -> rbx[j]-- :: else fi;
    if :: ok[j] == 3 && ox[j] > XMIN -> ox[j]-- :: else fi }
  for (j : 0 .. NK-1) { if :: wk[j] != 0 && wx[j] > XMIN -> wx[j]-- :: else fi }
#else
  skip
#endif
}
inline calmtick() {
#ifdef CALM
  nb = 0;
  for (j : 0 .. N-1) { nb = nb + BEL(j) }
#ifdef ZENO
  za = 0;
#endif
  if :: nb == 0 && calm -> ct++ :: else fi;
  assert(ct <= B);                                     /* (c) a leader within B ticks */
#else
  skip
#endif
}
#endif

#ifdef STORET
#ifdef STOREONLY
#define EXPIRED(i) (oold[i])
#else
#define EXPIRED(i) (wt[i] >= W || oold[i])
#endif
#elif defined(WALL)
#ifdef DRIFT
#define WNOW(i) skew[i]
#else
#define WNOW(i) 0
#endif
#ifdef WALLONLY
#define EXPIRED(i) (ox[i] + SK <= WNOW(i))
#else
#define EXPIRED(i) (wt[i] >= W || ox[i] + SK <= WNOW(i))
#endif
#else
#ifdef TIMED
#define EXPIRED(i) (wt[i] >= W)
#else
#define EXPIRED(i) (1)
#endif
#endif

#ifdef EPOCHS
#define EPOK(i) (oe[i] < MAXE && maxe < MAXE && acq < MAXE)
#else
#define EPOK(i) (1)
#endif

#ifdef CALM
#define FAULTS (!calm)
#define MAYPOLL(i) (!calm || !polled[i] || amb[i] || (!HASF(i) && NETQ))
#define DUE(i) (!calm || rem[i] < L)
#else
#define FAULTS (1)
#define MAYPOLL(i) (1)
#define DUE(i) (1)
#endif

#define IDLE(i) (aw[i] == K && !rbv[i])

/* ------------------------------------------------ steps of one node ------ */
#define NODE(i) \
  :: d_step { RUN(i) && IDLE(i) && (amb[i] || !role[i] || !HASF(i)) && MAYPOLL(i) && GETSENT(i) -> PR("n%d GET served\n",i); snapshot(i); check() } \
  :: d_step { RUN(i) && rbv[i] -> PR("n%d GET answer handled\n",i); onGet(i); check() } \
  STGET(i) \
  :: d_step { RUN(i) && IDLE(i) && !amb[i] && !role[i] && HASF(i) && EPOK(i) && (ok[i] == 1 || ok[i] == 2 || (ok[i] == 3 && EXPIRED(i))) -> \
       PR("n%d sends ACQUIRE\n",i); newwrite(i, ACQ, ACQCOND(i)); NEWEP(i); check() } \
  :: d_step { RUN(i) && IDLE(i) && !amb[i] && BEL(i) && HASF(i) && DUE(i) -> \
       PR("n%d sends RENEW\n",i); newwrite(i, RENEW, (kf[i] -> 1 : 2)); EP_SET(we[S(i,fs)],tok[i]); EP_SET(wg[S(i,fs)],gid[i]); check() } \
  RELEASE(i) \
  DEADLINE(i) \
  CLIENT(i,0) CLIENT1(i) \
  GETSEND(i) CRASHES(i) FREEZES(i) RESOURCE(i)

#ifdef MUT_REFRESH_ETAG
#define ACQCOND(i) (sk == ABSENT -> 0 : 1)
#else
#define ACQCOND(i) (ok[i] == 1 -> 0 : (obf[i] -> 1 : 2))
#endif
#ifdef MUT_OWN_COUNTER
#define NEWEP(i) cnt[i] = cnt[i] + 1; we[S(i,fs)] = cnt[i]
#else
#define NEWEP(i) EP_SET(we[S(i,fs)],oe[i]+1)
#endif

#ifdef MUT_REL_LATE
#define RELEASE(i) :: d_step { RUN(i) && IDLE(i) && !amb[i] && role[i] && HASF(i) && FAULTS -> PR("n%d sends RELEASE (still believes)\n",i); newwrite(i, REL, (kf[i] -> 1 : 2)); EP_SET(we[S(i,fs)],tok[i]); check() }
#else
#define RELEASE(i) :: d_step { RUN(i) && IDLE(i) && !amb[i] && role[i] && HASF(i) && FAULTS -> \
       PR("n%d stops and sends RELEASE\n",i); newwrite(i, REL, (kf[i] -> 1 : 2)); EP_SET(we[S(i,fs)],tok[i]); role[i] = 0; amb[i] = 0; ok[i] = 0; obf[i] = 0; check() }
#endif

#ifdef MUT_NO_DEADLINE
#define DEADLINE(i)
#elif defined(TIMED)
#ifdef CALM
#define DEADLINE(i) :: d_step { RUN(i) && role[i] && rem[i] == 0 -> PR("n%d deadline: steps down\n",i); assert(!(calm && settled[i])); stepDown(i); check() }
#else
#define DEADLINE(i) :: d_step { RUN(i) && role[i] && rem[i] == 0 -> PR("n%d deadline: steps down\n",i); stepDown(i); check() }
#endif
#else
#define DEADLINE(i) :: d_step { RUN(i) && role[i] -> stepDown(i); check() }
#endif

#ifdef STORET
#define STGET(i) :: d_step { RUN(i) && rbv[i] && SKS > 0 -> PR("n%d GET answer handled, Date from a server that is ahead\n",i); doff = SKS; onGet(i); check() }
#define STSERVE(i,k) \
  :: d_step { ws[S(i,k)] == 1 && !wlv[S(i,k)] && SKS > 0 -> PR2("server executes write %d/%d, clock ahead\n",i,k); doff = SKS; serve(i,k,1); check() } \
  :: d_step { ws[S(i,k)] == 1 && !wlv[S(i,k)] -> PR2("server stamps write %d/%d, commits later\n",i,k); wlv[S(i,k)] = 1; wl[S(i,k)] = ph / U; check() } \
  :: d_step { ws[S(i,k)] == 1 && !wlv[S(i,k)] && SKS > 0 -> PR2("server stamps write %d/%d (clock ahead), commits later\n",i,k); wlv[S(i,k)] = 1; wl[S(i,k)] = (ph + SKS) / U; check() }
#else
#define STGET(i)
#define STSERVE(i,k)
#endif
/* client side and network of attempt k of node i */
#define CLIENT(i,k) \
  :: d_step { RUN(i) && aw[i] == k && ws[S(i,k)] == 2 -> PR2("n%d gets 200 of write %d\n",i,k); SETTLE(i,k) onOk(i,k); check() } \
  :: d_step { RUN(i) && aw[i] == k && ws[S(i,k)] == 3 -> PR2("n%d gets 412 of write %d\n",i,k); on412(i,k); check() } \
  :: d_step { RUN(i) && aw[i] == k && TIMEOUT(i,k) -> PR2("n%d times out on write %d\n",i,k); if :: ws[S(i,k)] >= 2 -> ws[S(i,k)] = 0 :: else fi; aw[i] = K; amb[i] = 1; TOLOSS(i,k); check() } \
  :: d_step { ws[S(i,k)] == 1 -> PR2("server executes write %d/%d\n",i,k); serve(i,k,1); check() } \
  :: d_step { FAULTS && LOSSY && ws[S(i,k)] == 1 -> PR2("request %d/%d lost\n",i,k); ws[S(i,k)] = 0; check() } \
  :: d_step { FAULTS && LOSSY && ws[S(i,k)] >= 2 -> PR2("answer %d/%d lost\n",i,k); ws[S(i,k)] = 0; check() } \
  STSERVE(i,k) \
  DUPS(i,k)

#ifdef MUT_REL_LATE
#define TOLOSS(i,k) if :: wk[S(i,k)] == REL -> stepDown(i) :: else fi
#else
#define TOLOSS(i,k) skip
#endif

#ifdef CALM
#define TIMEOUT(i,k) (!calm || (ws[S(i,k)] == 0 && !wd[S(i,k)]))
#define SETTLE(i,k) if :: calm && role[i] && wr[S(i,k)] == L && wf[S(i,k)] -> settled[i] = 1 :: else fi;
#else
#define TIMEOUT(i,k) (1)
#define SETTLE(i,k)
#endif

#ifdef LOSS
#define LOSSY (1)
#else
#define LOSSY (0)
#endif

#ifdef DUP
#define DUPS(i,k) \
  :: d_step { FAULTS && RUN(i) && aw[i] == k && !wd[S(i,k)] -> PR2("n%d: SDK resends write %d\n",i,k); wd[S(i,k)] = 1; check() } \
  :: d_step { wd[S(i,k)] -> PR2("server executes copy of write %d/%d\n",i,k); wd[S(i,k)] = 0; serve(i,k,1); check() } \
  :: d_step { FAULTS && wd[S(i,k)] -> wd[S(i,k)] = 0; check() }
#else
#define DUPS(i,k)
#endif

#if K > 1
#define CLIENT1(i) CLIENT(i,1)
#else
#define CLIENT1(i)
#endif

#ifdef MUT_GET_SEND
#define GETSENT(i) (gs[i] > 0)
#define GETSEND(i) :: d_step { RUN(i) && IDLE(i) && (amb[i] || !role[i]) && gs[i] == 0 -> PR("n%d sends GET\n",i); gs[i] = 1; check() }
#else
#define GETSENT(i) (1)
#define GETSEND(i)
#endif

#ifdef CRASH                     /* instant restart: a new instance, with the same id */
#define CRASHES(i) :: d_step { FAULTS && LIVE(i) && (role[i] || aw[i] != K) -> \
    PR("n%d crashes and restarts\n",i); stepDown(i); rbv[i] = 0; if :: so == i -> sn = FOREIGN :: else fi; \
    for (jj : 0 .. K-1) { wo[S(i,jj)] = (wk[S(i,jj)] != 0); if :: ws[S(i,jj)] >= 2 -> ws[S(i,jj)] = 0 :: else fi } check() } KILL(i)
#ifdef CALM
#define KILL(i) :: d_step { FAULTS && LIVE(i) && i != 0 -> PR("n%d dies\n",i); dead[i] = 1; stepDown(i); rbv[i] = 0; if :: so == i -> sn = FOREIGN :: else fi; \
    for (jj : 0 .. K-1) { wo[S(i,jj)] = (wk[S(i,jj)] != 0); if :: ws[S(i,jj)] >= 2 -> ws[S(i,jj)] = 0 :: else fi } check() }
#else
#define KILL(i)
#endif
#else
#define CRASHES(i)
#endif

#ifdef FREEZE
#define FREEZES(i) \
  :: d_step { FAULTS && !frz[i] -> PR("n%d frozen\n",i); frz[i] = 1; check() } \
  :: d_step { frz[i] -> PR("n%d thaws\n",i); frz[i] = 0; check() }
#else
#define FREEZES(i)
#endif

#ifdef RESRC                     /* a write to the fenced resource; it can be late for ever */
#define RESOURCE(i) \
  :: d_step { role[i] && rw[i] == 0 -> PR2("n%d sends write to the resource, token %d\n",i,tok[i]); rw[i] = tok[i]; rg[i] = gid[i]; check() } \
  :: d_step { rw[i] > 0 -> PR2("resource receives write of n%d, token %d\n",i,rw[i]); \
      if :: rw[i] >= rmax -> assert(rg[i] >= rgm); rmax = rw[i]; rgm = rg[i] :: else fi; rw[i] = 0; rg[i] = 0; check() }
#else
#define RESOURCE(i)
#endif

#ifdef CALM
#define QUIET(i) (dead[i] || (IDLE(i) && !amb[i] && (role[i] -> (rem[i] >= L) : (polled[i] && !(ok[i] == 1 || ok[i] == 2 || (ok[i] == 3 && EXPIRED(i)))))))
#define NONET(s) (ws[s] == 0 && !wd[s])
#if N == 2
#define MAYTICK (!calm || (QUIET(0) && QUIET(1) && NETQ))
#else
#define MAYTICK (!calm || (QUIET(0) && QUIET(1) && QUIET(2) && NETQ))
#endif
#if NK == 2
#define NETQ (NONET(0) && NONET(1))
#elif NK == 3
#define NETQ (NONET(0) && NONET(1) && NONET(2))
#elif NK == 4
#define NETQ (NONET(0) && NONET(1) && NONET(2) && NONET(3))
#else
#define NETQ (NONET(0) && NONET(1) && NONET(2) && NONET(3) && NONET(4) && NONET(5))
#endif
#else
#define MAYTICK (1)
#endif

active proctype M() {

  do
  NODE(0)
  NODE(1)
#if N > 2
  NODE(2)
#endif
#ifdef TIMED
#if N == 2
#define TICK(a,b,c) :: d_step { MAYTICK -> PR2("--- tick (clock flip n0=%d n1=%d)\n",a,b); adv(0,a); adv(1,b); walltick(); calmtick(); check() }
#else
#define TICK(a,b,c) :: d_step { MAYTICK -> adv(0,a); adv(1,b); adv(2,c); walltick(); calmtick(); check() }
#endif
  TICK(0,0,0)
#ifdef DRIFT
  TICK(1,0,0) TICK(0,1,0) TICK(1,1,0)
#if N > 2
  TICK(0,0,1) TICK(1,0,1) TICK(0,1,1) TICK(1,1,1)
#endif
#endif
#endif
#ifdef CALM
  :: d_step { !calm -> PR("*** faults stop %d\n",0); calm = 1; check() }
#endif
  od
}
