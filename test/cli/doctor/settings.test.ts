import { describe, expect, it } from "vitest";
import { costOf } from "../../../src/cli/doctor/cost.ts";
import { judgePermissions } from "../../../src/cli/doctor/permissions.ts";
import { judgeLifecycle, judgeObjectLock, judgeVersioning, type LifecycleRule } from "../../../src/cli/doctor/settings.ts";

const PREFIX = "jobs/prod/";
const on = (rule: LifecycleRule): LifecycleRule => ({ Status: "Enabled", ...rule });
const enabled = { Status: "Enabled" };

describe("versioning", () => {
  it("is no matter while it is off, or suspended", () => {
    expect(judgeVersioning({ versioning: {}, rules: [] }, PREFIX, 15_000).verdict).toBe("good");
    expect(judgeVersioning({ versioning: { Status: "Suspended" }, rules: [] }, PREFIX, 15_000).verdict).toBe("good");
  });

  it("without a rule for what renewals leave behind is refused, and says how many versions that is at this ttl", () => {
    const check = judgeVersioning({ versioning: enabled, rules: [] }, PREFIX, 30_000);
    expect(check.verdict).toBe("bad");
    expect(check.detail).toContain("8,640 versions a day");
  });

  it.each([
    ["of the whole bucket", on({ Filter: { Prefix: "" }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "good"],
    ["of a parent", on({ Prefix: "jobs/", NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "good"],
    ["of another prefix", on({ Prefix: "logs/", NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "bad"],
    ["of a part alone", on({ Prefix: "jobs/prod/x/", NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "bad"],
    ["that is off", { Status: "Disabled", NoncurrentVersionExpiration: { NoncurrentDays: 1 } }, "bad"],
    ["for tagged objects", on({ Filter: { Tag: {} }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "bad"],
    ["for large objects", on({ Filter: { ObjectSizeGreaterThan: 131_072 }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }), "bad"],
  ] as const)("with a rule %s", (_, rule, verdict) => {
    expect(judgeVersioning({ versioning: enabled, rules: [rule] }, PREFIX, 15_000).verdict).toBe(verdict);
  });
});

describe("lifecycle rules", () => {
  it.each([
    ["none at all", [], "good"],
    ["one that deletes below the prefix", [on({ ID: "old", Prefix: "jobs/", Expiration: { Days: 30 } })], "bad"],
    ["one that deletes a part of it", [on({ Prefix: "jobs/prod/locks/", Expiration: { Days: 30 } })], "bad"],
    ["one that deletes elsewhere", [on({ Prefix: "logs/", Expiration: { Days: 30 } })], "good"],
    ["one that removes delete markers alone", [on({ Expiration: {} })], "good"],
    ["one that moves to another storage class", [on({ Transitions: [{}] })], "remark"],
  ] as const)("%s", (_, rules, verdict) => {
    expect(judgeLifecycle(rules, PREFIX).verdict).toBe(verdict);
  });
});

describe("object lock", () => {
  it("is refused with default retention alone", () => {
    expect(judgeObjectLock(undefined).verdict).toBe("good");
    expect(judgeObjectLock({ ObjectLockEnabled: "Enabled" }).verdict).toBe("good");
    expect(judgeObjectLock({ ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "COMPLIANCE" } } }).verdict).toBe("bad");
  });
});

it("costs what the README says: three nodes at the defaults, $3.05 a month", () => {
  const cost = costOf(15_000, 3);
  expect(cost).toMatchObject({ putsPerHour: 720, getsPerHour: 1440 });
  expect(cost.perMonth.toFixed(2)).toBe("3.05");
});

describe("permissions", () => {
  const all = { list: true, remove: true, versioning: true, lifecycle: true, objectLock: true };

  it("are good when none is missing, whether or not the store tells its settings", () => {
    expect(judgePermissions(all, "jobs", "prod/")).toMatchObject({
      verdict: "good",
      detail: expect.stringMatching(/^s3:GetObject, s3:PutObject, /),
    });
    expect(judgePermissions({ ...all, lifecycle: undefined }, "jobs", "prod/").verdict).toBe("good");
  });

  it("that are missing are named, with a policy that has them all, to paste", () => {
    const { verdict, detail, advice = "" } = judgePermissions({ ...all, remove: false, versioning: false }, "jobs", "prod/");
    expect(verdict).toBe("remark");
    expect(detail).toMatch(/missing: s3:DeleteObject, s3:GetBucketVersioning$/);
    expect(JSON.parse(advice.slice(advice.indexOf("{")))).toMatchObject({
      Statement: [
        { Action: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], Resource: "arn:aws:s3:::jobs/prod/*" },
        { Action: expect.arrayContaining(["s3:ListBucket", "s3:GetBucketVersioning"]), Resource: "arn:aws:s3:::jobs" },
      ],
    });
  });
});
