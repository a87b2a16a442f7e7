import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OrderReport } from '@mortise/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CertificateAndKey, createCa, issueClientCertificate } from '../src/certificates.ts'
import { initialise, json, mortise, Workplace } from './mortise.ts'

let place: Workplace
let ca: CertificateAndKey
let ours: CertificateAndKey
beforeAll(async () => {
  place = new Workplace()
  await initialise(place)
  ca = await createCa('partner')
  ours = await issueClientCertificate(ca, '000013')
})
afterAll(() => {
  place[Symbol.dispose]()
})

interface Given {
  readonly certificate: string
  readonly privateKey: string
  readonly authority: string
  readonly keyMode: number
}

let made = 0

/** What a partner hands over, with one thing wrong where a test says so. */
function directory(change: Partial<Given> = {}): string {
  const path = place.path(`partner-${++made}`)
  const given = { ...ours, authority: ca.certificate, keyMode: 0o600, ...change }
  mkdirSync(path)
  writeFileSync(join(path, 'cert.pem'), given.certificate)
  writeFileSync(join(path, 'key.pem'), given.privateKey, { mode: given.keyMode })
  writeFileSync(join(path, 'ca.pem'), given.authority)
  return path
}

/** By OpenSSL: one that may not be shown by a client. */
function serverOnly(): Partial<Given> {
  const [key, certificate] = [place.path('server-key.pem'), place.path('server.pem')]
  const words = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', certificate]
  const extension = ['-days', '2', '-subj', '/CN=js.example', '-addext', 'extendedKeyUsage=serverAuth']
  execFileSync('openssl', ['req', '-x509', ...words, ...extension], { stdio: 'pipe' })
  return { certificate: readFileSync(certificate, 'utf8'), privateKey: readFileSync(key, 'utf8') }
}

const at = (...words: string[]) => [...words, '--data', place.data]
const routeAdd = (certificate: string, prefix = '70b3d57ed0000000/40', url = 'https://js.example/') =>
  at('route', 'add', '--join-eui', prefix, '--url', url, '--certificate', certificate)
const keys = () => (existsSync(join(place.data, 'routes')) ? readdirSync(join(place.data, 'routes')) : [])

describe('a route is refused', () => {
  let others: CertificateAndKey
  beforeAll(async () => {
    others = await issueClientCertificate(ca, '000014')
  })

  test.each<[string, string, () => string]>([
    ['no directory', 'file_missing', () => place.path('nowhere')],
    ['the key of another certificate', 'certificate_key_mismatch', () => directory({ privateKey: others.privateKey })],
    ['a key that is none', 'certificate_key_malformed', () => directory({ privateKey: 'none\n' })],
    ['a key that others can read', 'secret_file_exposed', () => directory({ keyMode: 0o644 })],
    ['a certificate of a server', 'certificate_not_for_clients', () => directory(serverOnly())],
    ['a CA that is none', 'certificate_malformed', () => directory({ authority: 'none\n' })],
    [
      'more than one CA',
      'certificate_ambiguous',
      () => directory({ authority: `${ca.certificate}${ours.certificate}` }),
    ],
  ])('with %s: %s', async (_what, code, from) => {
    const { code: exitCode, stderr } = await mortise([...routeAdd(from()), '--json'])
    expect({ exitCode, ...(JSON.parse(stderr) as object) }).toMatchObject({ exitCode: 1, code })
    expect(keys()).toEqual([])
  })

  test.each<[string, () => string[]]>([
    ['a URL without TLS', () => routeAdd('.', '70b3d57ed0000000/40', 'http://js.example/')],
    ['a prefix with bits behind it', () => routeAdd('.', '70b3d57ed0000001/40')],
    ['another version', () => [...routeAdd('.'), '--protocol', '1.2']],
  ])('with %s: usage', async (_what, words) => {
    expect((await mortise(words())).code).toBe(2)
  })
})

test('a good one waits while nothing runs, and its key is there, for its owner alone', async () => {
  const given = directory()
  const order = await json<OrderReport & { routeId: string }>(routeAdd(given))
  expect(order).toMatchObject({ state: 'waiting', joinEui: '70b3d57ed0000000', bits: 40, url: 'https://js.example/' })
  const path = join(place.data, 'routes', `${order.routeId}.key`)
  expect(readFileSync(path, 'utf8')).toBe(ours.privateKey)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(keys()).toHaveLength(1)
  // It is not a route before the HSM has adopted it.
  expect(await json(at('route', 'list'))).toEqual([])
  const { code, stderr } = await mortise(at('route', 'remove', '--join-eui', '70b3d57ed0000000/40', '--yes', '--json'))
  expect(code).toBe(1)
  expect(JSON.parse(stderr)).toMatchObject({ code: 'route_unknown' })
})
