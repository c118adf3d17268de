/**
 * Each rule of the protocol, broken on purpose: a patch of the sources that the simulator must notice. A proof that can't go red proves nothing.
 * One that is masked by other rules says by which, and is expected to survive: when it is caught after all, that is news, too.
 */
export interface Mutant {
  readonly id: string;
  /** The rule that it breaks, and how. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** Why no simulated run can show it. */
  readonly masked?: string | undefined;
}

export interface Edit {
  readonly file: string;
  /** Text that stands in the file exactly once, however it is wrapped, and what replaces it. */
  readonly find: string;
  readonly put: string;
}

const DELIVER = "src/lease/deliver.ts";
const TENANCY = "src/lease/timed-tenancy.ts";
const CONTEND = "src/lease/contend.ts";
const LOOK = "src/lease/look.ts";
const LEASE = "src/lease/lease-object.ts";
const SETTLE = "src/lease/settle.ts";
const SEEN = "src/lease/observations.ts";
const TIMING = "src/lease/timing.ts";
const JUDGE = "src/lease/judge.ts";
const LEAD = "src/election/lead.ts";

export const RULES: readonly Mutant[] = [
  {
    id: "R1-same-nonce",
    breaks: "R1: renewals and releases keep the nonce of the write before",
    edits: [
      {
        file: LEASE,
        find: "#next<R extends LeaseRecord>(of: R): R {\n    const nonce = freshId(this.settings.store.random);",
        put: "#next<R extends LeaseRecord>(of: R): R {\n    const nonce = of.nonce;",
      },
    ],
  },
  {
    id: "R2-same-node-same-token",
    breaks: "R2: an acquisition after one of the same lease object keeps the token",
    edits: [
      {
        file: LEASE,
        find: "fencingToken: (base?.fencingToken ?? 0) + 1,",
        put: "fencingToken: (base?.fencingToken ?? 0) + (base?.instance === this.instance ? 0 : 1),",
      },
    ],
  },
  {
    id: "R2-token-restarts",
    breaks: "R2: an acquisition over a released record starts the token anew",
    edits: [
      {
        file: LEASE,
        find: "fencingToken: (base?.fencingToken ?? 0) + 1,",
        put: 'fencingToken: (base?.state === "released" ? 0 : (base?.fencingToken ?? 0)) + 1,',
      },
    ],
  },
  {
    id: "R3-release-deletes",
    breaks: "R3: a release deletes the object",
    edits: [
      {
        file: TENANCY,
        find: "      const until = addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs);\n      const end = await this.#sendLast(",
        put: '      const until = addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs);\n      if ((await store.remove(this.key)) === "removed") return "released";\n      const end = await this.#sendLast(',
      },
    ],
  },
  {
    id: "W1-refreshed-etag",
    breaks: "W1, C2: a CAS goes to the ETag read just before it, whatever that record says",
    edits: [
      {
        file: DELIVER,
        find: "const result = await (baseEtag === undefined ? store.create(key, body, options) : store.replace(key, baseEtag, body, options));",
        put: 'const fresh = baseEtag === undefined ? undefined : await store.get(key, options);\n    const tag = fresh?.kind === "found" ? fresh.etag : baseEtag;\n    const result = await (tag === undefined ? store.create(key, body, options) : store.replace(key, tag, body, options));',
      },
    ],
  },
  {
    id: "W3-unknown-is-applied",
    breaks: "W3: a write without an answer counts as applied",
    edits: [
      {
        file: DELIVER,
        find: '      case "busy":\n      case "unknown":',
        put: '      case "unknown":\n        if (baseEtag !== undefined) return { kind: "applied", etag: baseEtag, dateMs: undefined, firstSentAt };\n      // falls through\n      case "busy":',
      },
    ],
  },
  {
    id: "W3-own-refusal-is-loss",
    breaks: "W3: 412 for a write that was applied before counts as lost to another",
    edits: [
      {
        file: SETTLE,
        find: 'if (seen.nonce === write.record.nonce || isBelow) return { kind: "mine", etag };',
        put: 'if (seen.nonce === write.record.nonce || isBelow) return { kind: "other", etag, record: seen };',
      },
    ],
  },
  {
    id: "W3-only-the-last-nonce",
    breaks: "W3: of several unresolved writes only the last counts as mine",
    edits: [
      {
        file: SETTLE,
        find: "written.has(seen.holderNonce);",
        put: "seen.holderNonce === write.record.nonce && written.has(seen.holderNonce);",
      },
    ],
  },
  {
    id: "W6-404-then-create",
    breaks: "W6: a CAS answered 404 is followed by a create",
    edits: [
      {
        file: DELIVER,
        find: '      case "refused": {',
        put: '      case "refused": {\n        if (result.status === 404 && baseEtag !== undefined) {\n          const made = await store.create(key, body, options);\n          if (made.kind === "applied") return { kind: "applied", etag: made.etag, dateMs: undefined, firstSentAt };\n        }',
      },
    ],
  },
  {
    id: "W7-holder-believes-stale-reads",
    breaks: "W7: an older version read after a refusal counts as the present one",
    edits: [
      {
        file: SETTLE,
        find: 'if (compareRecords(seen, write.base.record) < 0) return { kind: "again", older: seen };',
        put: "",
      },
    ],
  },
  {
    id: "W7-contender-believes-stale-reads",
    breaks: "W7: a contender takes the order of sight for the order of versions",
    edits: [
      {
        file: SEEN,
        find: "if (this.highest !== undefined && compareRecords(record, this.highest) < 0) {",
        put: "if (this.highest !== undefined && compareRecords(record, this.highest) < -1e9) {",
      },
    ],
    masked:
      "W1: a CAS on the older ETag is refused, and a watch that begins anew only delays; the unit tests see it, and the model shows what it can cost (mv_SIGHT_wedges)",
  },
  {
    id: "H1-from-the-reply",
    breaks: "H1: the deadline counts from the reply",
    edits: [
      {
        file: DELIVER,
        find: 'return { kind: "applied", etag: result.etag, dateMs: result.dateMs, firstSentAt };',
        put: 'return { kind: "applied", etag: result.etag, dateMs: result.dateMs, firstSentAt: readClocks(store.clock) };',
      },
    ],
  },
  {
    id: "H1-from-the-read",
    breaks: "H1, W3: a write found applied by a read counts from that read",
    edits: [
      {
        file: DELIVER,
        find: 'return { kind: "applied", etag: settled.etag, dateMs: undefined, firstSentAt };',
        put: 'return { kind: "applied", etag: settled.etag, dateMs: undefined, firstSentAt: readClocks(store.clock) };',
      },
    ],
  },
  {
    id: "H2-monotonic-alone",
    breaks: "H2: held means before the deadline on the monotonic clock alone",
    edits: [
      {
        file: "src/clock/deadline.ts",
        find: "return Math.min(deadline.monotonicMs - now.monotonicMs, deadline.wallMs - now.wallMs);",
        put: "return deadline.monotonicMs - now.monotonicMs;",
      },
    ],
  },
  {
    id: "H2-wall-alone",
    breaks: "H2: held means before the deadline on the wall clock alone",
    edits: [
      {
        file: "src/clock/deadline.ts",
        find: "return Math.min(deadline.monotonicMs - now.monotonicMs, deadline.wallMs - now.wallMs);",
        put: "return deadline.wallMs - now.wallMs;",
      },
    ],
  },
  {
    id: "H3-no-timer",
    breaks: "H3: nothing but a look ends a tenancy at its deadline",
    edits: [
      {
        file: TENANCY,
        find: "  #armTimer(): void {\n    this.#timer?.cancel();",
        put: "  #armTimer(): void {\n    if (MAX_TIMER_MS > 0) return;\n    this.#timer?.cancel();",
      },
    ],
  },
  {
    id: "H3-answer-before-clock",
    breaks: "H3: a renewal's answer is taken before the clock is looked at",
    edits: [
      {
        file: TENANCY,
        find: 'return this.isHeld() ? this.#takeRenewal(end, write.record) : "failed";',
        put: 'return this.#belief.over === undefined ? this.#takeRenewal(end, write.record) : "failed";',
      },
    ],
  },
  {
    id: "H4-mine-is-applied",
    breaks: "H4: a record that is still mine, below a flag, counts as the write that was refused",
    edits: [
      {
        file: TENANCY,
        find: "const firstSentAt = this.#lease.written.firstSentAt(seen.holderNonce) ?? this.#confirmed.firstSentAt;",
        put: "const { firstSentAt } = end;",
      },
    ],
  },
  {
    id: "H4-flag-is-loss",
    breaks: "H4: an operator's flag ends the tenancy",
    edits: [
      {
        file: SETTLE,
        find: 'if (mine) return { kind: "still-mine"',
        put: 'if (mine && seen.flag === undefined) return { kind: "still-mine"',
      },
    ],
  },
  {
    id: "H7-release-while-believing",
    breaks: "H7: belief ends when the release has been answered",
    edits: [
      {
        file: TENANCY,
        find: "    this.endBelief(reason);\n    const { over } = this.#belief;",
        put: "    const early = this.isHeld() ? await this.#sendRelease(fields) : undefined;\n    this.endBelief(reason);\n    if (early !== undefined) return early;\n    const { over } = this.#belief;",
      },
    ],
  },
  {
    id: "H7-release-under-work",
    breaks: "H7: the key is freed while the work has not settled",
    edits: [
      {
        file: LEAD,
        find: "          if (this.#workSettled) return this.#finish(request, demoted);\n          this.#startDrain(message.request);",
        put: "          if (this.#drainMs >= 0) return this.#finish(request, demoted);\n          this.#startDrain(message.request);",
      },
    ],
  },
  {
    id: "H8-wait-keeps-nothing-alive",
    breaks: "H8: a waiting candidate does not keep the process alive",
    edits: [
      {
        file: CONTEND,
        find: "leftMs), { signal, keepAlive: true });",
        put: "leftMs), { signal, keepAlive: false });",
      },
    ],
  },
  {
    id: "H9-owner-by-name",
    breaks: "H9: a record that names my node counts as mine",
    edits: [
      {
        file: LEASE,
        find: "isMyOrphan: (record) => record.instance === this.instance && this.written.has(record.holderNonce),",
        put: "isMyOrphan: (record) => record.holder === this.settings.node,",
      },
    ],
  },
  {
    id: "H10-lower-token-accepted",
    breaks: "H10: a lower token that persists is accepted",
    edits: [
      {
        file: SEEN,
        find: "if (seen !== undefined && seen.fencingToken === this.highest.fencingToken) {",
        put: "if (seen !== undefined) {",
      },
    ],
  },
  {
    id: "C1-held-is-free",
    breaks: "C1: a record written by this lease object is free, also while an attempt is open",
    edits: [
      {
        file: LEASE,
        find: "isMyOrphan: (record) => record.instance === this.instance && this.written.has(record.holderNonce),",
        put: "isMyOrphan: (record) => record.instance === this.instance,",
      },
    ],
    masked:
      "instance ids are random (H9) and a lease object contends only when its tenancy has ended, so its own record is always an orphan",
  },
  {
    id: "C2-no-drift-margin",
    breaks: "C2: W is the holder's lifetime alone",
    edits: [
      {
        file: TIMING,
        find: "return Math.ceil(Math.max(t.ttlMs * (1 + CLOCK_RATE_ERROR), (lifetimeMs(t) * (1 + CLOCK_RATE_ERROR)) / (1 - CLOCK_RATE_ERROR)));",
        put: "return Math.ceil(lifetimeMs(t));",
      },
    ],
  },
  {
    id: "C2-my-own-ttl",
    breaks: "C2: W is made of the watcher's own ttl, not of the record's",
    edits: [
      {
        file: CONTEND,
        find: "? judge(view.current, lease.judge(verdict?.storeTime === true ? verdict.skewMs : undefined), now)",
        put: "? judge({ ...view.current, record: { ...view.current.record, ttlMs: lease.settings.timing.ttlMs, marginMs: lease.settings.timing.marginMs } }, lease.judge(verdict?.storeTime === true ? verdict.skewMs : undefined), now)",
      },
    ],
  },
  {
    id: "C2-from-before-the-read",
    breaks: "C2: the watch counts from before the read that first showed the record",
    edits: [
      {
        file: LOOK,
        find: "const noted = view.note(answer, lease.nowMs());",
        put: "const noted = view.note(answer, askedAtMs);",
      },
      {
        file: LOOK,
        find: "const answer: ReadResult = await store.get(view.key, {",
        put: "const askedAtMs = lease.nowMs();\n  const answer: ReadResult = await store.get(view.key, {",
      },
    ],
  },
  {
    id: "C2-watch-not-restarted",
    breaks: "C2: a new version does not begin the watch anew",
    edits: [
      {
        file: SEEN,
        find: "const sighting: Sighting = { etag, record, sinceMs: nowMs, lastModifiedMs, dateMs };",
        put: "const sighting: Sighting = { etag, record, sinceMs: this.current?.sinceMs ?? nowMs, lastModifiedMs, dateMs };",
      },
    ],
  },
  {
    id: "C3-no-rate-bound",
    breaks: "C3, T1: the age by the store's stamps leaves out slow clocks",
    edits: [
      {
        file: TIMING,
        find: "return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + 1000 + skewMs;",
        put: "return Math.ceil(lifetimeMs(t)) + 1000 + skewMs;",
      },
    ],
  },
  {
    id: "C3-no-second",
    breaks: "C3, T1: the age by the store's stamps leaves out that they are cut to the second",
    edits: [
      {
        file: TIMING,
        find: "return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + 1000 + skewMs;",
        put: "return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + skewMs;",
      },
    ],
  },
  {
    id: "C3-no-skew",
    breaks: "C3, T1: the age by the store's stamps leaves out how far its clocks differ",
    edits: [
      {
        file: TIMING,
        find: "return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + 1000 + skewMs;",
        put: "return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + 1000;",
      },
    ],
  },
  {
    id: "C3-unfit-times-used",
    breaks: "C3, T4: the store's times are used although the probe found them unfit",
    edits: [
      {
        file: CONTEND,
        find: "lease.judge(verdict?.storeTime === true ? verdict.skewMs : undefined)",
        put: "lease.judge(verdict === undefined ? undefined : verdict.skewMs)",
      },
    ],
  },
  {
    id: "C3-unfit-times-told",
    breaks: "C3, T4: who asks for the leader is told by the store's times although the probe found them unfit",
    edits: [
      {
        file: "src/lease/holder-info.ts",
        find: "verdict?.storeTime === true ? leftByStampsMs(bound, verdict.skewMs) : Infinity;",
        put: "leftByStampsMs(bound, verdict?.skewMs ?? 1000);",
      },
    ],
  },
  {
    id: "C3-stamps-of-two-versions",
    breaks: "C3, T3: Last-Modified of the version before, with the ETag of this one",
    edits: [
      {
        file: SEEN,
        find: "const sighting: Sighting = { etag, record, sinceMs: nowMs, lastModifiedMs, dateMs };",
        put: "const sighting: Sighting = { etag, record, sinceMs: nowMs, lastModifiedMs: this.current?.lastModifiedMs ?? lastModifiedMs, dateMs };",
      },
    ],
  },
  {
    id: "C4-my-clock-and-its-date",
    breaks: "C4: a time in the record is compared with the own wall clock",
    edits: [
      {
        file: JUDGE,
        find: "  if (closed === undefined) return",
        put: '  if (seen.record.state === "held" && globalThis.Date.parse(seen.record.expiresAt) < by.wallMs) return { kind: "free", by: "observation" };\n  if (closed === undefined) return',
      },
      {
        file: LEASE,
        find: "takeover: this.settings.takeover,",
        put: "takeover: this.settings.takeover,\n      wallMs: this.settings.store.clock.wallMs(),",
      },
    ],
  },
];
