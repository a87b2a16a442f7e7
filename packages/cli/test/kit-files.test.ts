import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dialectOf } from '@mortise/backend-interfaces'
import { parseNetId } from '@mortise/lorawan'
import { afterAll, expect, test } from 'vitest'
import { checkFiles } from '../src/kit/check-files.ts'
import type { NetworkServerSetup } from '../src/kit/setup.ts'

const directory = mkdtempSync(join(tmpdir(), 'mortise-kit-files-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

test.each([
  ['clientAuth', 'ok'],
  ['anyExtendedKeyUsage', 'ok'],
  [undefined, 'ok'],
  ['serverAuth', 'wrong'],
])('a client certificate with the extended key usage %s is %s', (usage, status) => {
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=ns']
  const extension = usage === undefined ? [] : ['-addext', `extendedKeyUsage=${usage}`]
  execFileSync('openssl', [...made, '-keyout', key, '-out', certificate, ...extension], { stdio: 'pipe' })
  const setup: NetworkServerSetup = {
    ...{ dialect: dialectOf('chirpstack-4'), netId: parseNetId('000013'), nsId: undefined, protocolVersion: '1.0' },
    ...{ url: 'https://js.example/', joinEuis: [], keks: [], asynchronous: false, headers: {} },
    files: { ca: certificate, certificate, key },
  }
  const { checks } = checkFiles(setup, Date.now() + 1000)
  expect(checks.map((check) => [check.name, check.status])).toEqual([
    ['ca-file', 'ok'],
    ['client-certificate', status],
    ['client-key', 'ok'],
  ])
})
