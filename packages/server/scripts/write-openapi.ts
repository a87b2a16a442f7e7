import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createManagementApi } from '../src/http/management-api/index.ts'
import { ApiKeys } from '../src/identity/index.ts'
import { LocalAdministration } from '../src/kms/index.ts'
import { createDatabase, openDatabase } from '../src/storage/index.ts'

/**
 * Writes packages/server/openapi.json, the golden copy that a test compares the served document with:
 *
 *   node packages/server/scripts/write-openapi.ts && biome format --write packages/server/openapi.json
 */
const directory = mkdtempSync(join(tmpdir(), 'mortise-openapi-'))
try {
  createDatabase(join(directory, 'mortise.db'))
  using storage = openDatabase(join(directory, 'mortise.db'))
  const api = createManagementApi({
    tls: { cert: '', key: '' },
    administration: new LocalAdministration({ storage: storage.administration }),
    apiKeys: new ApiKeys(storage.administration),
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: { render: () => '' },
  })
  const document = JSON.stringify(await api.describe(), undefined, 2)
  writeFileSync(new URL('../openapi.json', import.meta.url), `${document}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
