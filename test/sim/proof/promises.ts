/** Each promise of the design (I1 to I10, I13) that the rules' own mutants do not break already, broken on purpose: the simulator must notice. */
import type { Edit, Mutant } from "./mutants.ts";

const edit = (file: string, find: string, put: string): Edit => ({ file: `src/${file}`, find, put });

export const PROMISES: readonly Mutant[] = [
  {
    id: "I5-signal-last",
    breaks: "I5: whoever awaits the end hears of it before the signal does",
    edits: [
      edit(
        "lease/belief.ts",
        "    if (!this.#asked) this.#controller.abort(error);\n    this.#asked = true;\n    this.#resolveEnded(error);",
        "    this.#resolveEnded(error);\n    queueMicrotask(() => this.#controller.abort(error));",
      ),
    ],
  },
  {
    id: "I5-two-ends",
    breaks: "I5: a term tells its end twice",
    edits: [edit("election/term.ts", "if (this.#told || this.tenancy.lost) return;", "if (this.#told) return;")],
  },
  {
    id: "I8-listener-left",
    breaks: "I8: a request that is on its way outlives the release",
    edits: [edit("lease/timed-tenancy.ts", "    this.#loop.abort();\n    end();", "    end();")],
  },
  {
    id: "C5-storm",
    breaks: "C5: a CAS that is refused for ever is repeated without a pause",
    edits: [
      edit("lease/contend.ts", "now - refused.atMs >= lease.settings.pollMs) return judgement;", "now >= refused.atMs) return judgement;"),
    ],
  },
  {
    id: "S4-earlier-adopted",
    breaks: "S4: an earlier acquisition is adopted after a later one was sent",
    edits: [
      edit(
        "lease/contend.ts",
        'if (end.kind !== "settled" || end.as.kind !== "still-mine" || end.as.record.holderNonce !== record.nonce) return undefined;',
        'if (end.kind !== "settled" || end.as.kind !== "still-mine") return undefined;',
      ),
    ],
  },
  {
    id: "H6-observer-breaks-the-loop",
    breaks: "H6: what onEvent, onLeaderChange or a logger throws comes out",
    edits: [
      edit("lease/wiring.ts", "  } catch (error) {\n    failed(error);", "  } catch (error) {\n    failed(error);\n    throw error;"),
    ],
  },
  {
    id: "H6-rejection-unhandled",
    breaks: "H6: what an async observer rejects with is not handled",
    edits: [edit("lease/wiring.ts", "if (result instanceof Promise) result.catch(failed);", "")],
  },
  {
    id: "H7-freed-under-on-demoted",
    breaks: "H7: the key is freed while onDemoted runs",
    edits: [
      edit(
        "election/lead.ts",
        "const callbackDone = await (demoted ?? this.#demote());",
        "void (demoted ?? this.#demote());\n    const callbackDone = true as boolean;",
      ),
    ],
  },
  {
    id: "H7-someone-elses-record-released",
    breaks: "H7: a release that was refused goes on over whatever is there",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        'if (end.as.kind !== "still-mine") return { kind: "settled", as: end.as };',
        'if (end.as.kind !== "still-mine" && end.as.kind !== "other") return { kind: "settled", as: end.as };',
      ),
    ],
  },
  {
    id: "W5-for-ever",
    breaks: "W5: attempts do not end at the deadline",
    edits: [edit("lease/deliver.ts", "if (leftMs <= 0 || limits.signal", "if (limits.signal")],
  },
];
