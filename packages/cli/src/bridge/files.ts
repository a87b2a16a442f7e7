import { join } from 'node:path'

/** What `mortise bridge init` makes, and what its configuration expects beside it. */
export interface BridgeFiles {
  readonly root: string
  readonly config: string
  readonly key: string
  readonly request: string
  readonly kek: string
  readonly webhookToken: string
  /** From here on: what others give. */
  readonly certificate: string
  readonly ca: string
  readonly sourcePassword: string
  readonly sinkPassword: string
  readonly apiToken: string
}

export function bridgeFiles(root: string): BridgeFiles {
  return {
    root,
    config: join(root, 'config.yaml'),
    key: join(root, 'as-key.pem'),
    request: join(root, 'as.csr'),
    kek: join(root, 'kek.hex'),
    webhookToken: join(root, 'webhook-token'),
    // `mortise peer add as --csr` writes these two beside the request.
    certificate: join(root, 'cert.pem'),
    ca: join(root, 'ca.pem'),
    sourcePassword: join(root, 'source-password'),
    sinkPassword: join(root, 'sink-password'),
    apiToken: join(root, 'api-token'),
  }
}
