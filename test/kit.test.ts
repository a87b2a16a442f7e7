import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { Installation, type ServerProcess } from './support/installation.ts'
import { kitTest, portOf, runKitTest, wrongChecks } from './kit/run-kit-test.ts'
import { enrolDevice, joinDevice, JOIN_EUI, NET_ID, networkServer, setKek, type TestDevice } from './support/parties.ts'

/** The kits that operators of network servers get, and the test of a good one, against a real join server. */

const NS_ID = '70b3d57ed0000013'
const OTHER_NET_ID = '600002'

let installation: Installation
let server: ServerProcess
let url: string
let known: TestDevice

beforeAll(async () => {
  installation = await Installation.create()
  server = await installation.serve()
  url = `https://localhost:${portOf(server)}/`
  await installation.mortise('peer', 'add', 'ns', '--net-id', NET_ID, '--dialect', 'chirpstack-4', ...issue('ns'))
  const stack = ['--net-id', OTHER_NET_ID, '--dialect', 'the-things-stack', '--protocol', '1.1', '--ns-id', NS_ID]
  await installation.mortise('peer', 'add', 'ns', ...stack, ...issue('stack'))
  known = await enrolDevice(installation, '1.0.4', { as: '', networks: [NET_ID, OTHER_NET_ID] })
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

const issue = (name: string) => ['--issue-certificate', join(installation.root, name)]
const path = (...parts: string[]) => join(installation.root, ...parts)
const read = (...parts: string[]) => readFileSync(path(...parts), 'utf8')
const device = () => ['--device', known.device.identity.devEui]

const EVERYTHING = [
  ...['kit', 'configuration', 'ca-file', 'client-certificate', 'client-key', 'kek', 'join-eui'],
  ...['dns', 'tcp', 'tls', 'tls-chain', 'tls-name', 'tls-validity'],
  ...['http', 'clock', 'peer', 'sender-id', 'protocol', 'answers', 'join-server', 'device'],
]

describe('a kit for ChirpStack', () => {
  test('has every key that ChirpStack reads, for the JoinEUIs of the devices that the network may activate', async () => {
    await installation.mortise('kit', 'chirpstack', '--ns', NET_ID, '--out', path('chirpstack'), '--url', url)
    expect(read('chirpstack/localhost.toml')).toBe(`
# The join server ${url} for the network 000013: a file of its own beside chirpstack.toml.
# SenderID comes from chirpstack.toml: it must have net_id="000013" under [network].

[[join_server.servers]]
  join_eui_prefix="${JOIN_EUI}/64"
  server="${url}"
  async_timeout="0s"
  ca_cert="/etc/chirpstack/localhost/ca.pem"
  tls_cert="/etc/chirpstack/localhost/cert.pem"
  tls_key="/etc/chirpstack/localhost/key.pem"

`)
  })

  test('issues a further certificate, leaves the one that the peer had, and lets nobody else read the key', async () => {
    const peers = (await installation.json('peer', 'list')) as { id: string; certificates: unknown[] }[]
    expect(peers.find(({ id }) => id === NET_ID)?.certificates).toHaveLength(2)
    expect(read('chirpstack/localhost/cert.pem')).not.toBe(read('ns/cert.pem'))
    expect(statSync(path('chirpstack/localhost/key.pem')).mode & 0o777).toBe(0o600)
    expect(read('chirpstack/localhost/ca.pem')).toBe(readFileSync(join(installation.data, 'ca.pem'), 'utf8'))
  })

  test('passes its test, every single check, and the device can still join', async () => {
    const report = await kitTest(path('chirpstack'), device())
    expect(wrongChecks(report)).toEqual([])
    expect(report).toMatchObject({ ok: true, code: 0 })
    expect(report.checks.map(({ name }) => name)).toEqual(EVERYTHING)
    expect(report.checks.every(({ status }) => status === 'ok')).toBe(true)
  })

  test('uses up nothing: the device joins with its first DevNonce', async () => {
    const { devEui } = known.device.identity
    const before = await installation.json('device', 'show', devEui)
    expect(before).toMatchObject({ devNoncesUsed: 0, lastJoinNonce: 0 })
    const network = networkServer(server, path('ns'))
    expect(await joinDevice(network, known.device)).toMatchObject({ joinNonce: 1 })
    expect(wrongChecks(await kitTest(path('chirpstack'), device()))).toEqual([])
    expect(await installation.json('device', 'show', devEui)).toMatchObject({ devNoncesUsed: 1, lastJoinNonce: 1 })
  })

  test('says for people, in one line each, what is right', async () => {
    const { code, stdout } = await runKitTest(path('chirpstack'), [])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^kit +ok +chirpstack, for 000013, of \d{4}-\d\d-\d\d$/m)
    expect(stdout).toMatch(/^device +- +none was named/m)
  })

  test('takes certificates that are there, prefixes, and a KEK only by its label', async () => {
    const kek = await setKek(installation, 'ns', NET_ID, 'operator-a-1', 16)
    const options = [
      '--certificate',
      path('ns'),
      '--join-eui',
      '70b3d57ed0000000/40',
      '--join-eui',
      '0016c00000000000/24',
    ]
    await installation.mortise('kit', 'chirpstack', '--ns', NET_ID, '--out', path('wrapped'), '--url', url, ...options)
    expect(read('wrapped/localhost/cert.pem')).toBe(read('ns/cert.pem'))
    const toml = read('wrapped/localhost.toml')
    expect(toml.match(/join_eui_prefix=.*/g)).toEqual([
      'join_eui_prefix="70b3d57ed0000000/40"',
      'join_eui_prefix="0016c00000000000/24"',
    ])
    expect(toml).toContain('[[keks]]\n  label="operator-a-1"\n  kek="PUT-THE-KEK-HERE"\n')
    const files = ['localhost.toml', 'kit.json', 'README.md'].map((name) => read('wrapped', name))
    for (const text of files) expect(text.toLowerCase()).not.toContain(kek.toString('hex'))
    await installation.mortise('kek', 'remove', 'operator-a-1', '--yes')
  })

  test('is refused where ChirpStack could not unwrap, and nothing is written', async () => {
    await setKek(installation, 'ns', NET_ID, 'too-long', 32)
    const { code, stderr } = await installation.try(
      'kit',
      'chirpstack',
      '--ns',
      NET_ID,
      '--out',
      path('no'),
      '--url',
      url,
    )
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('256 bits') as string })
    expect(existsSync(path('no'))).toBe(false)
    await installation.mortise('kek', 'remove', 'too-long', '--yes')
  })

  test.each([
    ['a network that is no peer', ['--ns', '00dead', '--url', 'https://js.example:8443'], 'there is no peer ns:00dead'],
    ['an address without TLS', ['--ns', NET_ID, '--url', 'http://js.example:8443'], 'must be an https:// address'],
    ['no name that could be guessed', ['--ns', NET_ID], 'where do network servers reach the join server?'],
  ])('is not written for %s', async (_what, options, words) => {
    const { code, stderr } = await installation.try('kit', 'chirpstack', '--out', path('no'), ...options)
    expect(code).not.toBe(0)
    expect(stderr).toContain(words)
    expect(existsSync(path('no'))).toBe(false)
  })

  test('has a listener where answers are posted to it, with a certificate that the join server takes', async () => {
    const posted = ['--net-id', '600005', '--dialect', 'chirpstack-4', '--async-url', 'https://ns.example:8002']
    await installation.mortise('peer', 'add', 'ns', ...posted, ...issue('posted-ns'))
    const options = ['--out', path('posted'), '--url', url, '--join-eui', `${JOIN_EUI}/64`]
    await installation.mortise('kit', 'chirpstack', '--ns', '600005', ...options)
    const toml = read('posted/localhost.toml')
    expect(toml).toContain('  async_timeout="4s"\n')
    expect(toml).toContain(`[backend_interfaces]
  bind="0.0.0.0:8002"
  ca_cert="/etc/chirpstack/localhost/ca.pem"
  tls_cert="/etc/chirpstack/localhost/listener-cert.pem"
  tls_key="/etc/chirpstack/localhost/listener-key.pem"
`)
    const listener = new X509Certificate(read('posted/localhost/listener-cert.pem'))
    const authority = new X509Certificate(read('posted/localhost/ca.pem'))
    expect(listener.checkHost('ns.example')).toBe('ns.example')
    expect(listener.checkIssued(authority) && listener.verify(authority.publicKey)).toBe(true)
    expect(listener.checkPrivateKey(createPrivateKey(read('posted/localhost/listener-key.pem')))).toBe(true)
    const report = await kitTest(path('posted'))
    expect(wrongChecks(report)).toEqual([])
    expect(report.checks.at(-1)).toMatchObject({ name: 'answers', detail: expect.stringContaining('posted') as string })
  })

  test('is not written over another', async () => {
    const { code, stderr } = await installation.try(
      ...['kit', 'chirpstack', '--ns', NET_ID, '--url', url, '--certificate', path('ns'), '--out', path('chirpstack')],
    )
    expect(code).toBe(1)
    expect(stderr).toContain('is there already')
    expect(existsSync(path('chirpstack/localhost/key.pem'))).toBe(true)
  })
})

describe('a kit for The Things Stack', () => {
  test('has the files of its interop directory, with the keys that it knows', async () => {
    const options = ['--ns', OTHER_NET_ID, '--out', path('tts'), '--url', `${url}lbi`]
    await installation.mortise('kit', 'the-things-stack', ...options)
    expect(parse(read('tts/interop/config.yml'))).toEqual({
      'join-servers': [
        { file: './localhost/localhost.yml', components: ['ns'], 'join-euis': [`${JOIN_EUI.toUpperCase()}/64`] },
      ],
    })
    const paths = { join: 'lbi', rejoin: 'lbi', 'app-s-key': 'lbi', 'home-ns': 'lbi' }
    expect(parse(read('tts/interop/localhost/localhost.yml'))).toEqual({
      ...{ scheme: 'https', fqdn: 'localhost', port: portOf(server), protocol: 'BI1.1', paths },
      'sender-ns-id': NS_ID.toUpperCase(),
      tls: { source: 'file', 'root-ca': 'ca.pem', certificate: 'cert.pem', key: 'key.pem' },
    })
    // In quotation marks: without them, 600002 is a number.
    expect(read('tts/ttn-lw-stack.yml')).toContain("net-id: '600002'")
    expect(parse(read('tts/ttn-lw-stack.yml'))).toEqual({
      ns: { 'net-id': '600002', interop: { 'config-source': 'directory', directory: '/config/interop' } },
    })
  })

  test('passes its test', async () => {
    await installation.mortise('kit', 'the-things-stack', '--ns', OTHER_NET_ID, '--out', path('tts-good'), '--url', url)
    const report = await kitTest(path('tts-good'), device())
    expect(wrongChecks(report)).toEqual([])
    expect(report.checks.map(({ name }) => name)).toEqual(EVERYTHING)
  })
})

describe('the request by hand in README.md', () => {
  test.each(['chirpstack', 'tts-good'])('is answered as it says: %s', async (kit) => {
    const readme = read(kit, 'README.md')
    const [, body = ''] = /--data '([^']+)'/.exec(readme) ?? []
    const [, directory = ''] = /--cacert (\S+)\/ca\.pem --cert/.exec(readme) ?? []
    expect(readme).toContain(url)
    const answer = await post(url, path(kit, directory), body)
    expect(answer).toMatchObject({ Result: { ResultCode: 'FrameSizeError' } })
  })
})

function post(to: string, directory: string, body: string): Promise<unknown> {
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => readFileSync(join(directory, `${name}.pem`)))
  return new Promise((resolve, reject) => {
    const sent = request(to, { method: 'POST', agent: false, ca, cert, key }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => {
        resolve(JSON.parse(text))
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
