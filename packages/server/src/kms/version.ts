import { readFileSync } from 'node:fs'

/** Version of the server, from its package. */
export const VERSION = readVersion(new URL('../../package.json', import.meta.url))

function readVersion(packageFile: URL): string {
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }
  return version
}
