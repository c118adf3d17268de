/** Which permissions are there and which are missing, as far as the examination needed them, and the policy that has them all. Pure. */
import { minimalPolicy } from "../../store/s3-advice.ts";
import { type Check, good, remark } from "./check.ts";

/** Whether the store let it pass; `undefined`: it was not asked, or the answer told nothing. */
export interface Permitted {
  readonly list: boolean | undefined;
  readonly remove: boolean | undefined;
  readonly versioning: boolean | undefined;
  readonly lifecycle: boolean | undefined;
  readonly objectLock: boolean | undefined;
}

const ACTIONS = {
  list: "s3:ListBucket",
  remove: "s3:DeleteObject",
  versioning: "s3:GetBucketVersioning",
  lifecycle: "s3:GetLifecycleConfiguration",
  objectLock: "s3:GetBucketObjectLockConfiguration",
} as const;
const FIELDS = Object.keys(ACTIONS) as readonly (keyof Permitted)[];
const ON_BUCKET = ["versioning", "lifecycle", "objectLock"] as const;

/** Called when the probe has come through: reading and writing are permitted. */
export function judgePermissions(permitted: Permitted, bucket: string, prefix: string): Check {
  const [id, title] = ["permissions", "permissions"] as const;
  const actions = (is: boolean): string[] => FIELDS.filter((field) => permitted[field] === is).map((field) => ACTIONS[field]);
  const present = ["s3:GetObject", "s3:PutObject", ...actions(true)].join(", ");
  const missing = actions(false);
  if (missing.length === 0) return good(id, title, present);
  const policy = minimalPolicy(bucket, prefix, { objects: [ACTIONS.remove], bucket: ON_BUCKET.map((field) => ACTIONS[field]) });
  return remark(id, title, `present: ${present}; missing: ${missing.join(", ")}`, `the policy with all that is asked for here: ${policy}`);
}
