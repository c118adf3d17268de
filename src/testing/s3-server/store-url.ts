/** The URL by which `s3Store` finds a server: what users put into their configuration. */
export function storeUrl(endpoint: string, bucket: string, prefix: string, region: string): string {
  return `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}?endpoint=${encodeURIComponent(endpoint)}&region=${encodeURIComponent(region)}`;
}
