import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import type { AgreementView, PeerView } from '@mortise/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type CertificateAndKey,
  certificateFingerprint,
  createCa,
  issueClientCertificate,
} from '../src/certificates.ts'
import { initialise, json, mortise, Server, Workplace } from './mortise.ts'

let place: Workplace
let server: Server
beforeAll(async () => {
  place = new Workplace()
  await initialise(place)
  server = await Server.start(place.data, '--passphrase-file', place.passphraseFile)
})
afterAll(async () => {
  await server.stop()
  place[Symbol.dispose]()
})

const at = (...words: string[]) => [...words, '--data', place.data]
const run = (...words: string[]) => mortise(at(...words))

/** A connection of a network server that stays open: says what its messages are answered with. */
class Caller implements Disposable {
  readonly #socket: TLSSocket
  #received = ''

  constructor(credentials: CertificateAndKey | undefined) {
    const [, host = '', port = ''] = /^(?:https:\/\/)?(.*):(\d+)$/.exec(server.facts.bi) ?? []
    const ca = readFileSync(join(place.data, 'ca.pem'))
    this.#socket = connect({
      host,
      port: Number(port),
      ca,
      ...(credentials && { cert: credentials.certificate, key: credentials.privateKey }),
      servername: 'localhost',
    })
    this.#socket.on('data', (chunk: Buffer) => (this.#received += chunk.toString()))
  }

  /** The ResultCode of a message that lacks everything but its header: who calls is looked at first. */
  async result(senderId: string, head = ''): Promise<unknown> {
    const header = { ProtocolVersion: '1.0', SenderID: senderId, ReceiverID: '70b3d57ed0000001', TransactionID: 1 }
    const body = JSON.stringify({ ...header, MessageType: 'JoinReq' })
    this.#received = ''
    this.#socket.write(`POST / HTTP/1.1\r\nHost: js\r\nContent-Length: ${body.length}\r\n${head}\r\n${body}`)
    while (!/\r\n\r\n\{.*\}$/s.test(this.#received)) await once(this.#socket, 'data')
    const { Result } = JSON.parse(this.#received.slice(this.#received.indexOf('\r\n\r\n'))) as { Result: unknown }
    return (Result as { ResultCode: string }).ResultCode
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

const KNOWN = 'MalformedRequest'
const STRANGER = 'UnknownSender'

async function resultOf(credentials: CertificateAndKey, senderId: string): Promise<unknown> {
  using caller = new Caller(credentials)
  return await caller.result(senderId)
}

/** What `--issue-certificate` wrote. */
const issuedIn = (directory: string): CertificateAndKey => ({
  certificate: readFileSync(join(directory, 'cert.pem'), 'utf8'),
  privateKey: readFileSync(join(directory, 'key.pem'), 'utf8'),
})

/** A directory with key.pem and ns.csr, as the operator of a network server makes them. */
function makeRequest(name: string): string {
  const directory = place.path(name)
  mkdirSync(directory)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
  execFileSync('openssl', ['req', '-new', ...key, '-out', 'ns.csr', '-subj', '/CN=ns'], {
    cwd: directory,
    stdio: 'ignore',
  })
  return directory
}

// Each has network servers of its own.
describe('peer add', () => {
  test('--csr issues a certificate for the key of the peer, which stays where it is', async () => {
    const directory = makeRequest('request')
    const csr = join(directory, 'ns.csr')
    const key = readFileSync(join(directory, 'key.pem'), 'utf8')
    const facts = await json<{ files: string[] }>(at('peer', 'add', 'ns', '--net-id', '000013', '--csr', csr))
    expect(facts.files).toEqual(['cert.pem', 'ca.pem'].map((name) => join(directory, name)))
    expect(readdirSync(directory).sort()).toEqual(['ca.pem', 'cert.pem', 'key.pem', 'ns.csr'])
    expect(readFileSync(join(directory, 'key.pem'), 'utf8')).toBe(key)
    expect(await resultOf(issuedIn(directory), '000013')).toBe(KNOWN)

    const again = await run('peer', 'certificate', 'add', '000013', '--csr', csr, '--json')
    expect(JSON.parse(again.stderr)).toMatchObject({ code: 'file_exists' })
    const out = place.path('request-out')
    const elsewhere = await run('peer', 'certificate', 'add', '000013', '--csr', csr, '--out', out)
    expect(elsewhere.stdout).toContain('its key has not left it')
    expect(readdirSync(out).sort()).toEqual(['ca.pem', 'cert.pem'])
    expect(statSync(join(out, 'cert.pem')).mode & 0o777).toBe(0o600)
  })

  test('--csr of a key that the peer does not hold is refused, and writes nothing', async () => {
    const directory = makeRequest('forged')
    const csr = join(directory, 'ns.csr')
    const der = Buffer.from(readFileSync(csr, 'utf8').replace(/-----[^-]+-----/g, ''), 'base64')
    der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1)
    const label = 'CERTIFICATE REQUEST-----'
    writeFileSync(csr, `-----BEGIN ${label}\n${der.toString('base64')}\n-----END ${label}\n`)
    const { code, stderr } = await run('peer', 'add', 'ns', '--net-id', '000014', '--csr', csr, '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({ code: 'csr_signature_invalid' })
    expect(readdirSync(directory).sort()).toEqual(['key.pem', 'ns.csr'])
  })

  test('--ca --name lets in what that CA issues to that name, and nothing else', async () => {
    const ca = await createCa('CA of the network operator')
    const file = place.path('their-ca.pem')
    writeFileSync(file, ca.certificate)
    const added = await run('peer', 'add', 'ns', '--net-id', '000015', '--ca', file, '--name', 'ns.example')
    expect(added.stdout).toContain('with certificates for ns.example of CA')
    const issued = (name: string, issuer = ca) => issueClientCertificate(issuer, name)
    expect(await resultOf(await issued('ns.example'), '000015')).toBe(KNOWN)
    expect(await resultOf(await issued('ns.example'), '000015')).toBe(KNOWN)
    expect(await resultOf(await issued('other.example'), '000015')).toBe(STRANGER)
    const namesake = await createCa('CA of the network operator')
    expect(await resultOf(await issued('ns.example', namesake), '000015')).toBe(STRANGER)
    const { stdout } = await run('peer', 'show', '000015')
    expect(stdout).toContain(`  CA           CN=CA of the network operator\n`)
    expect(stdout).toContain('for certificates in the name ns.example')
    expect(stdout).not.toContain('certificate  ')
  })

  test('is wrong usage with an option that is wrong: exit code 2', async () => {
    const { code, stderr } = await run('peer', 'add', 'ns', '--net-id', '000016', '--async-url', 'http://ns.example')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('an https URL') as string })
  })
})

test('peer set changes what is given and leaves the rest', async () => {
  const id = '000020'
  const set = (...options: string[]) => at('peer', 'set', 'ns', '--net-id', id, ...options)
  const shown = () => json<PeerView>(at('peer', 'show', id))
  await json(at('peer', 'add', 'ns', '--net-id', id, '--issue-certificate', place.path('set')))
  await json(set('--dialect', 'standard-1.1', '--ns-id', '70B3D57ED0000001', '--async-url', 'https://ns.example/a'))
  const settings = { dialect: 'standard-1.1', protocol: '1.1', nsId: '70b3d57ed0000001' }
  const kekOnly = await mortise(set('--kek-only'))
  expect(kekOnly.stdout).toContain('It is in effect.')
  expect(kekOnly.stderr).toContain('no KEK yet, so its joins are refused')
  expect(await shown()).toMatchObject({ ...settings, asyncUrl: 'https://ns.example/a', kekOnly: true })
  await json(set('--no-async-url', '--no-kek-only'))
  const after = await shown()
  expect(after).toMatchObject({ ...settings, kekOnly: false })
  expect(after).not.toHaveProperty('asyncUrl')

  const key = place.secret('ns-kek.hex', `${'5a'.repeat(32)}\n`)
  await json(at('kek', 'set', '--ns', id, '--label', 'long', '--key-file', key))
  const chirpStack = await mortise(set('--dialect', 'chirpstack-4', '--no-ns-id'))
  expect(chirpStack.stderr).toContain('KEK of 32 bytes')
  expect(await shown()).toMatchObject({ dialect: 'chirpstack-4', protocol: '1.0' })
  expect(await mortise(set())).toMatchObject({ code: 2 })
})

test('peer certificate: a further one is let in, and one that is removed is revoked at once, on open connections too', async () => {
  const id = '000030'
  const [old, renewed] = [place.path('old'), place.path('renewed')]
  await json(at('peer', 'add', 'ns', '--net-id', id, '--issue-certificate', old))
  const added = await run('peer', 'certificate', 'add', `ns:${id}`, '--issue-certificate', renewed)
  expect(added.stdout).toContain('as well')
  expect((await run('peer', 'list')).stdout).toMatch(/000030 .* 2 certificates$/m)
  const fingerprint = certificateFingerprint(issuedIn(old).certificate)
  const remove = at('peer', 'certificate', 'remove', id, fingerprint)
  expect((await mortise(remove)).stderr).toContain('--yes')

  using before = new Caller(issuedIn(old))
  using after = new Caller(issuedIn(renewed))
  // Twice: a connection that was used once only is closed soon.
  for (const caller of [before, after, before, after]) expect(await caller.result(id)).toBe(KNOWN)
  expect(await json([...remove, '--yes'])).toMatchObject({ state: 'adopted', certificate: { fingerprint } })
  expect([await before.result(id), await after.result(id)]).toEqual([STRANGER, KNOWN])

  const unknown = await mortise([...remove, '--yes', '--json'])
  expect(JSON.parse(unknown.stderr)).toMatchObject({ code: 'certificate_unknown' })
  const last = new X509Certificate(issuedIn(renewed).certificate).fingerprint256
  const refused = await run('peer', 'certificate', 'remove', id, last, '--yes')
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('[certificate_last]') as string })
})

test('peer token: one lets a peer in without a certificate, in the header that it is for; removed, it is revoked', async () => {
  const id = '000050'
  const files = ['bearer.header', 'own.header'].map((name) => place.path(name)) as [string, string]
  const added = await run('peer', 'add', 'ns', '--net-id', id, '--token', files[0])
  expect(added).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('whoever has that line is the peer') as string,
  })
  expect(statSync(files[0]).mode & 0o777).toBe(0o600)
  const more = await run('peer', 'token', 'add', `ns:${id}`, '--token', files[1], '--token-as', 'X-Join-Server')
  expect(more.stdout).toContain('as well')
  const [bearer, own] = files.map((file) => readFileSync(file, 'utf8').trim()) as [string, string]
  expect([bearer, own].map((line) => line.split(' mortise_')[0])).toEqual(['Authorization: Bearer', 'X-Join-Server:'])
  const listed = await json<PeerView['tokens']>(at('peer', 'token', 'list', id))
  expect(listed.map(({ header }) => header)).toEqual(['authorization', 'x-join-server'])
  const [first, second] = listed.map(({ digest }) => digest) as [string, string]
  const texts = [
    ...[(await run('peer', 'list')).stdout, (await run('peer', 'show', id)).stdout],
    (await run('peer', 'token', 'list', id)).stdout,
  ]
  for (const text of texts) for (const digest of [first, second]) expect(text).toContain(digest.slice(0, 16))
  for (const text of [...texts, added.stdout, more.stdout]) expect(text).not.toContain('mortise_')
  expect(await json(at('peer', 'show', id))).toMatchObject({ certificates: [], tokens: listed })

  using caller = new Caller(undefined)
  for (const line of [bearer, own, bearer]) expect(await caller.result(id, `${line}\r\n`)).toBe(KNOWN)
  const remove = at('peer', 'token', 'remove', id, first)
  expect((await mortise(remove)).stderr).toContain('--yes')
  expect(await json([...remove, '--yes'])).toMatchObject({ token: { digest: first, header: 'authorization' } })
  expect(await caller.result(id, `${own}\r\n`)).toBe(KNOWN)
  expect(await caller.result(id, `${bearer}\r\n`)).toBe(STRANGER)

  const unknown = await mortise([...remove, '--yes', '--json'])
  expect(JSON.parse(unknown.stderr)).toMatchObject({ code: 'token_unknown' })
  const last = await run('peer', 'token', 'remove', id, second, '--yes')
  expect(last).toMatchObject({ code: 1, stderr: expect.stringContaining('[token_last]') as string })
})

test('peer token: a file that is there is left, and one of an order that was refused is not', async () => {
  const id = '000051'
  const file = place.path('kept.header')
  await json(at('peer', 'add', 'ns', '--net-id', id, '--token', file))
  const before = readFileSync(file, 'utf8')
  const again = await run('peer', 'token', 'add', id, '--token', file, '--json')
  expect(JSON.parse(again.stderr)).toMatchObject({ code: 'file_exists' })
  expect(readFileSync(file, 'utf8')).toBe(before)
  const other = place.path('refused.header')
  const twice = await run('peer', 'add', 'ns', '--net-id', id, '--token', other, '--json')
  expect(JSON.parse(twice.stderr)).toMatchObject({ code: 'peer_exists' })
  expect(existsSync(other)).toBe(false)
  expect(await run('peer', 'token', 'add', id)).toMatchObject({ code: 2 })
  const reserved = await run('peer', 'token', 'add', id, '--token', other, '--token-as', 'Content-Length')
  expect(reserved).toMatchObject({ code: 2, stderr: expect.stringContaining('name of an HTTP header') as string })
  expect((await json<unknown[]>(at('peer', 'token', 'list', id))).length).toBe(1)
})

test('peer agreement: added for a device, for JoinEUIs and for all, listed, shown and removed', async () => {
  const id = '000040'
  await json(at('peer', 'add', 'ns', '--net-id', id, '--issue-certificate', place.path('agreement')))
  const change = (word: string, ...options: string[]) => at('peer', 'agreement', word, '--ns', id, ...options)
  await json(change('add', '--device', '0004A30B001C0530'))
  await json(change('add', '--join-eui', '70b3d57ed/36'))
  const all = await mortise(change('add'))
  expect(all.stdout).toContain('may learn the home of all devices. It is in effect.')
  const listed = await json<AgreementView[]>(at('peer', 'agreement', 'list', '--ns', id))
  expect(listed).toMatchObject([
    { netId: id, devEui: '0004a30b001c0530' },
    { joinEui: '0000000000000000', bits: 0 },
    { joinEui: '70b3d57ed0000000', bits: 36 },
  ])
  expect(await json(at('peer', 'agreement', 'list', '--ns', '000013'))).toEqual([])
  expect(await json(at('peer', 'show', id))).toMatchObject({ agreements: listed })
  const { stdout } = await run('peer', 'show', id)
  expect(stdout).toContain('  agreement    device 0004a30b001c0530\n  agreement    all devices\n')
  await json(change('remove'))
  expect((await run('peer', 'agreement', 'list')).stdout).toMatch(/000040 +JoinEUI 70b3d57ed0000000\/36/)
  const again = await mortise([...change('remove'), '--json'])
  expect(JSON.parse(again.stderr)).toMatchObject({ code: 'agreement_unknown' })
})
