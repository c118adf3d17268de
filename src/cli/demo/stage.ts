/** The demo's store: an S3 server in this process, unless the user names another. */
import { fakeS3 } from "../../testing/s3-server/fake-s3.ts";

export interface Stage {
  /** What the candidates open. */
  readonly url: string;
  /** For people. */
  readonly where: string;
  close(): Promise<void>;
}

export async function stageOf(store: string | undefined): Promise<Stage> {
  if (store !== undefined) return { url: store, where: store, close: () => Promise.resolve() };
  const credentials = { accessKeyId: "demo", secretAccessKey: "demo" };
  const server = await fakeS3({ buckets: ["demo"], credentials });
  // For this process and its children; a token or a profile of the user's would win over them, or make them wrong.
  process.env["AWS_ACCESS_KEY_ID"] = credentials.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = credentials.secretAccessKey;
  delete process.env["AWS_SESSION_TOKEN"];
  delete process.env["AWS_PROFILE"];
  return { url: server.url("demo"), where: `an S3 server in this process, ${server.endpoint}`, close: () => server.close() };
}
