import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent, get, request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type CertificateAndKey,
  createCa,
  issueClientCertificate,
  issueServerCertificate,
} from '../src/certificates.ts'
import { initialise, json, mortise, Server, Workplace } from './mortise.ts'

const DAY_MS = 86_400_000

interface Listed {
  readonly kind: string
  readonly id: string
  readonly names: readonly string[]
  readonly fingerprint: string
  readonly notAfter: string
  readonly state: string
  readonly isAuthority: boolean
}

let place: Workplace
/** A CA that is none of ours: what a company or the public has. */
let company: CertificateAndKey
let own: CertificateAndKey
beforeAll(async () => {
  place = new Workplace()
  await initialise(place)
  company = await createCa('Company CA')
  own = await issueServerCertificate(company, ['js.example', '127.0.0.1'])
})
afterAll(() => {
  place[Symbol.dispose]()
})

/** Where a pair is written to; the key 0600. */
function write({ certificate, privateKey }: CertificateAndKey, name = 'own'): { cert: string; key: string } {
  rmSync(place.path(`${name}.key`), { force: true })
  writeFileSync(place.path(`${name}.pem`), certificate)
  return { cert: place.path(`${name}.pem`), key: place.secret(`${name}.key`, privateKey) }
}

/** As on a day in the past. */
async function ago<T>(days: number, work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - days * DAY_MS })
  try {
    return await work()
  } finally {
    vi.useRealTimers()
  }
}

/** An open connection, checked against this CA. */
function open(url: string, ca: string, servername: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), ca, servername }, () => {
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

async function shown(url: string, ca: string, servername: string): Promise<string> {
  const socket = await open(url, ca, servername)
  const certificate = socket.getPeerX509Certificate()
  socket.destroy()
  return fingerprintOf(certificate)
}

function fingerprintOf(certificate: X509Certificate | string | undefined): string {
  if (typeof certificate === 'string') return fingerprintOf(new X509Certificate(certificate))
  return certificate?.fingerprint256.replaceAll(':', '').toLowerCase() ?? ''
}

function serve(...options: string[]): Promise<Server> {
  return Server.start(place.data, '--passphrase-file', place.passphraseFile, ...options)
}

const data = (): string[] => ['--data', place.data]
const caFile = (): string => readFileSync(`${place.data}/ca.pem`, 'utf8')

describe('a certificate of the operator’s own', () => {
  beforeEach(() => {
    rmSync(`${place.data}/mortise.yaml`, { force: true })
  })

  test('is shown to network servers; the management API keeps that of the installation', async () => {
    const { cert, key } = write(own)
    const server = await serve('--tls-cert', cert, '--tls-key', key)
    try {
      expect(await shown(server.facts.bi, company.certificate, 'js.example')).toBe(fingerprintOf(own.certificate))
      await expect(shown(server.facts.api, company.certificate, 'js.example')).rejects.toThrow()
      expect(await shown(server.facts.api, caFile(), 'localhost')).not.toBe(fingerprintOf(own.certificate))
      // Commands trust the CA of the installation, and go on doing so.
      const listed = await json<Listed[]>(['certificate', 'list', ...data()])
      expect(listed.map(({ kind, id }) => `${kind} ${id}`)).toEqual([
        ...['server backend-interfaces', 'server management-api', 'ca installation'],
      ])
      expect(listed[0]).toMatchObject({
        names: ['js.example', '127.0.0.1'],
        fingerprint: fingerprintOf(own.certificate),
      })
    } finally {
      await server.stop()
    }
  })

  test('may be named in mortise.yaml, relative to it, and is listed while no server runs', async () => {
    write(own, 'js/own')
    writeFileSync(`${place.data}/mortise.yaml`, 'tlsCert: own.pem\ntlsKey: own.key\n')
    const server = await serve()
    try {
      expect(await shown(server.facts.bi, company.certificate, 'js.example')).toBe(fingerprintOf(own.certificate))
    } finally {
      await server.stop()
    }
    const listed = await json<Listed[]>(['certificate', 'list', ...data()])
    expect(listed[0]).toMatchObject({ id: 'backend-interfaces', fingerprint: fingerprintOf(own.certificate) })
    // Flags replace both of the file.
    const { cert } = write(own)
    const half = await mortise(['serve', ...data(), '--passphrase-file', place.passphraseFile, '--tls-cert', cert])
    expect([half.code, half.stderr]).toEqual([2, expect.stringContaining('--tls-cert and --tls-key go together')])
  })

  test.each<[string, () => Promise<CertificateAndKey>, RegExp]>([
    [
      'the key of another certificate',
      async () => ({ ...own, privateKey: (await issueServerCertificate(company, ['js.example'])).privateKey }),
      /error: the key .*own\.key does not match the certificate .*own\.pem\n/,
    ],
    [
      'an expired one',
      () => ago(1000, () => issueServerCertificate(company, ['js.example'])),
      /error: .*own\.pem expired on 20/,
    ],
    ['one for clients', () => issueClientCertificate(company, '000013'), /error: .*own\.pem is not for TLS servers/],
    ['no certificate', () => Promise.resolve({ ...own, certificate: 'PEM' }), /error: .*own\.pem holds no certificate/],
  ])('is refused at start: %s', async (_what, make, message) => {
    const { cert, key } = write(await make())
    const words = ['serve', ...data(), '--passphrase-file', place.passphraseFile, '--tls-cert', cert, '--tls-key', key]
    const { code, stdout, stderr } = await mortise(words)
    expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(message)])
    expect(stderr).toContain('hint: ')
  })

  test('is refused at start while others can read its key; with a mode of 0600 it is taken', async () => {
    const { cert, key } = write(own)
    chmodSync(key, 0o644)
    const words = ['--tls-cert', cert, '--tls-key', key]
    await expect(serve(...words)).rejects.toThrow(/secret_file_exposed.*can be read by others.*chmod 600/s)
    chmodSync(key, 0o600)
    await (await serve(...words)).stop()
  })

  test('that lacks a name of the installation is taken with a warning', async () => {
    await json(['certificate', 'renew', ...data(), '--name', 'joins.eu.example'])
    const { cert, key } = write(own)
    const { stderr } = await (await serve('--tls-cert', cert, '--tls-key', key)).stop()
    expect(stderr).toMatch(/warning: .*own\.pem does not name joins\.eu\.example:/)
    expect(stderr).not.toMatch(/does not name localhost/)
    const all = write(await issueServerCertificate(company, ['js.example', '*.eu.example']))
    const calm = await (await serve('--tls-cert', all.cert, '--tls-key', all.key)).stop()
    expect(calm.stderr).not.toContain('does not name')
  })
})

describe('mortise certificate renew', () => {
  test('gives a running server a new certificate with the same names and more; open connections go on', async () => {
    const server = await serve()
    try {
      const before = await json<Listed[]>(['certificate', 'list', ...data()])
      const connection = await open(server.facts.api, caFile(), 'localhost')
      const renewed = await json<{ fingerprint: string; names: string[]; effect: string }>([
        ...['certificate', 'renew', ...data(), '--name', 'js.example', '--name', '192.0.2.7'],
      ])
      expect(renewed).toMatchObject({ names: [...before[0]!.names, 'js.example', '192.0.2.7'], effect: 'taken' })
      expect(renewed.fingerprint).not.toBe(before[0]!.fingerprint)
      for (const url of [server.facts.api, server.facts.bi])
        expect(await shown(url, caFile(), 'js.example')).toBe(renewed.fingerprint)
      const answer = new Promise<string>((resolve) =>
        connection.once('data', (bytes: Buffer) => {
          resolve(bytes.toString())
        }),
      )
      connection.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
      expect(await answer).toContain('HTTP/1.1 200')
      connection.destroy()
      expect((await json<Listed[]>(['certificate', 'list', ...data()]))[0]?.fingerprint).toBe(renewed.fingerprint)
      expect(statSync(`${place.data}/tls/key.pem`).mode & 0o777).toBe(0o600)
    } finally {
      const { stderr } = await server.stop()
      expect(stderr.match(/is in use now/g)).toHaveLength(1)
    }
  })

  test('works while what a running server shows has expired, when no other command does', {
    timeout: 90_000,
  }, async () => {
    const ca = { certificate: caFile(), privateKey: readFileSync(`${place.data}/operator/ca-key.pem`, 'utf8') }
    // Issued so long ago that it ends soon after the start: 825 days, but for the five minutes that it begins earlier.
    const short = await ago(825 - (5 * 60 + 15) / 86_400, () => issueServerCertificate(ca, ['localhost', '127.0.0.1']))
    writeFileSync(`${place.data}/tls/cert.pem`, short.certificate)
    writeFileSync(`${place.data}/tls/key.pem`, short.privateKey)
    const server = await serve()
    try {
      await json(['certificate', 'list', ...data()])
      await vi.waitUntil(() => new X509Certificate(short.certificate).validToDate.getTime() < Date.now(), 30_000)
      const { code, stderr } = await mortise(['certificate', 'list', ...data()])
      expect([code, stderr]).toEqual([1, expect.stringMatching(/cert\.pem has expired: mortise certificate renew\n/)])
      expect(await json(['certificate', 'renew', ...data()])).toMatchObject({
        ...{ names: ['localhost', '127.0.0.1'], effect: 'taken' },
      })
      await json(['certificate', 'list', ...data()])
    } finally {
      await server.stop()
    }
  })

  test('tells when no server runs, and when the files belong elsewhere', async () => {
    expect(await json(['certificate', 'renew', ...data()])).toMatchObject({ effect: 'next-start' })
    const out = place.path('aside')
    const before = readFileSync(`${place.data}/tls/cert.pem`, 'utf8')
    const aside = await json<{ files: string[]; effect: string }>(['certificate', 'renew', ...data(), '--out', out])
    expect(aside).toMatchObject({
      effect: 'aside',
      files: ['cert.pem', 'key.pem', 'ca.pem'].map((name) => `${out}/${name}`),
    })
    expect(readFileSync(`${place.data}/tls/cert.pem`, 'utf8')).toBe(before)
    const again = await mortise(['certificate', 'renew', ...data(), '--out', out])
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('is there already')])
  })

  test('from elsewhere takes the names that the server shows, if its CA has signed them', async () => {
    const { cert, key } = write(own)
    const server = await serve('--tls-cert', cert, '--tls-key', key)
    try {
      const keys = ['--ca-file', `${place.data}/ca.pem`, '--ca-key-file', `${place.data}/operator/ca-key.pem`]
      const from = (url: string, out: string): string[] => [
        ...['certificate', 'renew', '--url', url, ...keys, '--out', place.path(out), '--name', 'further.example'],
      ]
      const renewed = await json<{ names: string[] }>(from(server.facts.api, 'elsewhere'))
      expect(renewed.names).toEqual(expect.arrayContaining(['localhost', 'further.example']))
      const stranger = await mortise(from(server.facts.bi, 'stranger'))
      expect([stranger.code, stranger.stderr]).toEqual([1, expect.stringContaining('was not issued by this CA')])
      const aimless = await mortise(['certificate', 'renew', '--url', server.facts.api, ...keys])
      expect([aimless.code, aimless.stderr]).toEqual([2, expect.stringContaining('--url needs --out')])
    } finally {
      await server.stop()
    }
  })

  test('is refused with the key of another CA', async () => {
    const { key } = write(company, 'company')
    const { code, stderr } = await mortise(['certificate', 'renew', ...data(), '--ca-key-file', key])
    expect([code, stderr]).toEqual([1, expect.stringContaining('is not the key of the CA')])
  })

  test.each([
    [['--ca', '--name', 'js.example'], '--ca renews the certificate of the CA alone'],
    [['--peer', 'ns:000013'], '--peer needs --out'],
    [['--peer', 'ns:000013', '--out', 'x', '--name', 'js.example'], '--name is for the certificate of the server'],
  ])('%s is no command', async (words, message) => {
    const { code, stderr } = await mortise(['certificate', 'renew', ...data(), ...words])
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)])
  })
})

describe('the CA', () => {
  test('gets another ten years under the same key: what it issued is good under both', async () => {
    const before = place.path('before.pem')
    copyFileSync(`${place.data}/ca.pem`, before)
    const leaf = `${place.data}/tls/cert.pem`
    await json(['certificate', 'renew', ...data(), '--ca'])
    const after = `${place.data}/ca.pem`
    expect(readFileSync(after, 'utf8')).not.toBe(readFileSync(before, 'utf8'))
    const [old, renewed] = [before, after].map((path) => new X509Certificate(readFileSync(path)))
    expect([renewed?.subject, renewed?.ca, renewed?.publicKey.equals(old!.publicKey)]).toEqual([
      old?.subject,
      true,
      true,
    ])
    await json(['certificate', 'renew', ...data()])
    copyFileSync(leaf, place.path('new-leaf.pem'))
    for (const ca of [before, after]) expect(verify(ca, leaf)).toBe(`${leaf}: OK\n`)
    expect(() => verify(write(company, 'company').cert, leaf)).toThrow()
  })

  test('whose time is over issues nothing; renewed, it does', async () => {
    const elsewhere = place.path('old-ca')
    mkdirSync(elsewhere)
    const ca = await ago(4000, () => createCa('Mortise CA'))
    const { cert, key } = write(ca, 'old-ca/ca')
    const words = ['certificate', 'renew', ...data(), '--ca-file', cert, '--ca-key-file', key]
    const refused = await mortise([...words, '--out', `${elsewhere}/server`])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/the CA expired on .*renew --ca/s)])
    await json([...words, '--ca'])
    expect(await json([...words, '--out', `${elsewhere}/server`])).toMatchObject({ effect: 'aside' })
  })

  test('issues nothing that outlives it', async () => {
    const ca = await ago(3600, () => createCa('Mortise CA'))
    const end = new X509Certificate(ca.certificate).validToDate
    const { certificate } = await issueServerCertificate(ca, ['localhost'])
    expect(new X509Certificate(certificate).validToDate).toEqual(end)
  })
})

function verify(ca: string, certificate: string): string {
  return execFileSync('openssl', ['verify', '-CAfile', ca, certificate], { stdio: 'pipe' }).toString()
}

describe('mortise certificate list', () => {
  test('warns of what ends soon and of what has ended, and mortise status does so too', async () => {
    const ca = { certificate: caFile(), privateKey: readFileSync(`${place.data}/operator/ca-key.pem`, 'utf8') }
    for (const [days, state, text] of [
      [825 - 10, 'ends-soon', /server listeners: WARNING: (9|10) days left/],
      [1000, 'expired', /server listeners: WARNING: expired on 20/],
      [0, 'valid', /server listeners: 82[45] days left/],
    ] as const) {
      const { certificate, privateKey } = await ago(days, () => issueServerCertificate(ca, ['localhost']))
      writeFileSync(`${place.data}/tls/cert.pem`, certificate)
      writeFileSync(`${place.data}/tls/key.pem`, privateKey)
      expect((await json<Listed[]>(['certificate', 'list', ...data()]))[0]).toMatchObject({ state, isAuthority: false })
      expect((await mortise(['certificate', 'list', ...data()])).stdout).toMatch(text)
      const { warnings } = await json<{ warnings: string[] }>(['status', ...data()])
      const warned = warnings.filter((line) => line.startsWith('The certificate of the server'))
      expect(warned).toHaveLength(state === 'valid' ? 0 : 1)
    }
  })
})

describe('a peer that changes over', () => {
  /** What a request with this certificate is answered; `agent` keeps its connection open. */
  function ask(server: Server, agent: Agent): Promise<string> {
    const message = {
      ...{ ProtocolVersion: '1.0', SenderID: '000013', ReceiverID: '70b3d57ed0000001', TransactionID: 1 },
      ...{ MessageType: 'JoinReq', MACVersion: '1.0.3', PHYPayload: 'not hexadecimal' },
    }
    return new Promise((resolve, reject) => {
      const { port } = new URL(server.facts.bi)
      const sent = request({ agent, host: '127.0.0.1', port, method: 'POST', servername: 'localhost' }, (response) => {
        response.on('data', (bytes: Buffer) => {
          const { Result } = JSON.parse(bytes.toString()) as { Result: { ResultCode: string } }
          resolve(Result.ResultCode)
        })
      })
      sent.once('error', reject)
      sent.end(JSON.stringify(message))
    })
  }

  function agentWith(directory: string): Agent {
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(`${place.path(directory)}/${name}`))
    return new Agent({ keepAlive: true, maxSockets: 1, ca: caFile(), ...{ cert, key } })
  }

  const KNOWN = 'MalformedRequest'
  const REFUSED = 'UnknownSender'

  test('is let in with both certificates, and with the old one no more when that is removed, on open connections too', async () => {
    const server = await serve()
    const add = ['peer', 'add', 'ns', '--net-id', '000013', '--issue-certificate', place.path('ns-old')]
    const agents: Agent[] = []
    try {
      const { certificate } = await json<{ certificate: { fingerprint: string } }>([...add, ...data()])
      const before = agentWith('ns-old')
      agents.push(before)
      expect(await ask(server, before)).toBe(KNOWN)
      const words = ['certificate', 'renew', '--peer', 'ns:000013', '--out', place.path('ns-new'), ...data()]
      const { code, stdout } = await mortise(words)
      expect([code, stdout]).toEqual([
        0,
        expect.stringContaining(`mortise peer certificate remove ns:000013 ${certificate.fingerprint}`),
      ])
      const after = agentWith('ns-new')
      agents.push(after)
      expect([await ask(server, before), await ask(server, after)]).toEqual([KNOWN, KNOWN])
      const listed = await json<Listed[]>(['certificate', 'list', ...data()])
      expect(listed.filter(({ kind }) => kind === 'ns').map(({ id, state }) => [id, state])).toEqual([
        ['000013', 'valid'],
        ['000013', 'valid'],
      ])
      expect(await expiries(server)).toEqual(
        listed.map(({ kind, id, fingerprint, notAfter }) => {
          const labels = `kind="${kind}",id="${id}",fingerprint="${fingerprint}"`
          return `mortise_certificate_expiry_seconds{${labels}} ${Date.parse(notAfter) / 1000}`
        }),
      )
      await json(['peer', 'certificate', 'remove', 'ns:000013', certificate.fingerprint, '--yes', ...data()])
      expect([await ask(server, before), await ask(server, after)]).toEqual([REFUSED, KNOWN])
      expect(await expiries(server)).toHaveLength(3)
    } finally {
      for (const agent of agents) agent.destroy()
      await server.stop()
    }
  })

  test('has a metric whatever its AS-ID is made of, until it is disabled', async () => {
    const server = await serve()
    try {
      const asId = 'a"b\\c'
      await json(['peer', 'add', 'as', '--as-id', asId, '--issue-certificate', place.path('as'), ...data()])
      const own = (await expiries(server)).filter((line) => line.includes('kind="as"'))
      expect(own).toEqual([expect.stringContaining('{kind="as",id="a\\"b\\\\c",fingerprint="')])
      await json(['peer', 'disable', `as:${asId}`, '--yes', ...data()])
      expect((await expiries(server)).filter((line) => line.includes('kind="as"'))).toEqual([])
    } finally {
      await server.stop()
    }
  })

  async function expiries({ facts }: Server): Promise<string[]> {
    const token = readFileSync(`${place.data}/operator/api-key`, 'utf8').trim()
    const text = await new Promise<string>((resolve, reject) => {
      const options = { ca: caFile(), servername: 'localhost', headers: { authorization: `Bearer ${token}` } }
      get(`${facts.api}/metrics`, options, (response) => {
        let body = ''
        response.on('data', (bytes: Buffer) => (body += bytes.toString()))
        response.on('end', () => {
          resolve(body)
        })
      }).once('error', reject)
    })
    return text.split('\n').filter((line) => line.startsWith('mortise_certificate_expiry_seconds{'))
  }
})
