/** What a bucket's own settings do to lease records: each renewal is an overwrite, and no record may ever be deleted or frozen. Pure. */
import { bad, type Check, good, remark } from "./check.ts";

export interface LifecycleRule {
  readonly ID?: string | undefined;
  readonly Status?: string | undefined;
  readonly Prefix?: string | undefined;
  readonly Filter?:
    | {
        readonly Prefix?: string | undefined;
        readonly Tag?: unknown;
        readonly ObjectSizeGreaterThan?: number | undefined;
        readonly And?:
          | { readonly Prefix?: string | undefined; readonly Tags?: unknown; readonly ObjectSizeGreaterThan?: number | undefined }
          | undefined;
      }
    | undefined;
  readonly Expiration?: { readonly Days?: number | undefined; readonly Date?: unknown } | undefined;
  readonly NoncurrentVersionExpiration?: { readonly NoncurrentDays?: number | undefined } | undefined;
  readonly Transitions?: readonly unknown[] | undefined;
}

export interface BucketSettings {
  readonly versioning: { readonly Status?: string | undefined };
  readonly rules: readonly LifecycleRule[];
  readonly objectLock:
    | {
        readonly ObjectLockEnabled?: string | undefined;
        readonly Rule?: { readonly DefaultRetention?: { readonly Mode?: string | undefined } | undefined } | undefined;
      }
    | undefined;
}

/** A record has at most so many bytes: a rule for larger objects alone does not touch one. */
const RECORD_BYTES = 8 * 1024;

export function judgeVersioning(s: Pick<BucketSettings, "versioning" | "rules">, prefix: string, ttlMs: number): Check {
  const [id, title] = ["versioning", "old versions of records"] as const;
  if (s.versioning.Status !== "Enabled") return good(id, title, "the bucket keeps none");
  const rule = s.rules.find((r) => touches(r, prefix, "whole") && r.NoncurrentVersionExpiration !== undefined);
  if (rule !== undefined) {
    const days = rule.NoncurrentVersionExpiration?.NoncurrentDays;
    return good(id, title, `the bucket keeps them, and ${named(rule)} removes them${days === undefined ? "" : ` after ${days} days`}`);
  }
  const perDay = Math.round(86_400_000 / (ttlMs / 3));
  return bad(
    id,
    title,
    `the bucket is versioned and no rule removes what renewals leave behind: ${perDay.toLocaleString("en-US")} versions a day for each held lease`,
    `add a lifecycle rule with NoncurrentVersionExpiration (NoncurrentDays 1) for the prefix ${JSON.stringify(prefix)}, or use a bucket without versioning`,
  );
}

export function judgeLifecycle(rules: readonly LifecycleRule[], prefix: string): Check {
  const [id, title] = ["lifecycle", "lifecycle rules"] as const;
  const active = rules.filter((r) => touches(r, prefix, "part"));
  const deleting = active.find((r) => r.Expiration?.Days !== undefined || r.Expiration?.Date !== undefined);
  if (deleting !== undefined)
    return bad(
      id,
      title,
      `${named(deleting)} deletes objects below the prefix: fencing tokens would begin again at 1`,
      `end that rule, or give it a prefix that does not touch ${JSON.stringify(prefix)}`,
    );
  const moving = active.find((r) => (r.Transitions?.length ?? 0) > 0);
  if (moving !== undefined)
    return remark(
      id,
      title,
      `${named(moving)} moves objects below the prefix to another storage class, from which reads may fail or cost more`,
      `give that rule a prefix that does not touch ${JSON.stringify(prefix)}`,
    );
  return good(id, title, rules.length === 0 ? "none" : "none of them touches a current record");
}

export function judgeObjectLock(lock: BucketSettings["objectLock"]): Check {
  const [id, title] = ["object-lock", "object lock"] as const;
  const retention = lock?.Rule?.DefaultRetention;
  if (retention === undefined) return good(id, title, lock?.ObjectLockEnabled === undefined ? "off" : "on, without default retention");
  return bad(
    id,
    title,
    `every object is retained by default (${retention.Mode ?? "a mode that was not told"}): each renewal would leave a version that nobody may remove`,
    "use a bucket without default retention",
  );
}

/** Whether an active rule covers the whole prefix, or touches a part of it. */
function touches(rule: LifecycleRule, prefix: string, how: "whole" | "part"): boolean {
  if (rule.Status !== "Enabled") return false;
  const { Filter: filter } = rule;
  // Records carry no tags, and they are small.
  if (filter?.Tag !== undefined || filter?.And?.Tags !== undefined) return false;
  if ((filter?.ObjectSizeGreaterThan ?? filter?.And?.ObjectSizeGreaterThan ?? 0) >= RECORD_BYTES) return false;
  const its = rule.Prefix ?? filter?.Prefix ?? filter?.And?.Prefix ?? "";
  return prefix.startsWith(its) || (how === "part" && its.startsWith(prefix));
}

function named(rule: LifecycleRule): string {
  return rule.ID === undefined || rule.ID === "" ? "a lifecycle rule" : `the lifecycle rule ${JSON.stringify(rule.ID)}`;
}
