/** One node's own line to the store, which can be cut: then its requests are never answered, as in a network that has split. */
import { settingsOfUrl } from "../../store/s3-options.ts";
import { faultProxy, type FaultProxy } from "../../testing/fault-proxy.ts";
import type { FaultHandle } from "../../testing/s3-server/faults.ts";

export class Line {
  /** What the node opens. */
  readonly url: string;
  readonly #proxy: FaultProxy | undefined;
  #hole: FaultHandle | undefined;

  private constructor(url: string, proxy: FaultProxy | undefined) {
    this.url = url;
    this.#proxy = proxy;
  }

  static async to(store: string): Promise<Line> {
    const { endpoint } = settingsOfUrl(store);
    // What is encrypted can't be led through another address.
    if (endpoint?.startsWith("http://") !== true) return new Line(store, undefined);
    const proxy = await faultProxy({ target: endpoint, logLimit: 1 });
    const url = new URL(store);
    url.searchParams.set("endpoint", proxy.endpoint);
    // The bucket has been probed under its own address; under this one nobody would know.
    url.searchParams.set("probe", "false");
    return new Line(url.href, proxy);
  }

  get canBeCut(): boolean {
    return this.#proxy !== undefined;
  }

  get isCut(): boolean {
    return this.#hole !== undefined;
  }

  cut(): void {
    this.#hole ??= this.#proxy?.faults.add({ kind: "black-hole" });
  }

  mend(): void {
    this.#hole?.remove();
    if (this.#hole !== undefined) this.#proxy?.resetConnections();
    this.#hole = undefined;
  }

  async close(): Promise<void> {
    await this.#proxy?.close();
  }
}
