import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesToHex } from '@mortise/lorawan'
import { Installation, type ServerProcess } from './support/installation.ts'
import { addPeer, AS_ID, enrolDevice, JOIN_EUI, NET_ID, setKek, type TestDevice } from './support/parties.ts'

/** What a network server may throw at the listener. Each refusal changes nothing: the valid request still succeeds after it. */

const YEAR = 365 * 86_400

let installation: Installation
let server: ServerProcess
let networkDirectory: string
let enrolled: TestDevice

beforeAll(async () => {
  installation = await Installation.create('soft')
  networkDirectory = await addPeer(installation, 'ns', NET_ID)
  await addPeer(installation, 'as', AS_ID)
  await setKek(installation, 'as', AS_ID, 'owner-1')
  enrolled = await enrolDevice(installation, '1.0.3')
  server = await installation.serve()
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

interface HttpResult {
  readonly status: number
  readonly type: string
  readonly body: string
}

interface PostOptions {
  readonly directory?: string | undefined
  readonly headers?: Record<string, string>
  readonly method?: string
  readonly path?: string
}

function post(
  body: string | Buffer,
  { directory = networkDirectory, headers = {}, method = 'POST', path = '/' }: PostOptions = {},
): Promise<HttpResult> {
  const certificate =
    directory === ''
      ? {}
      : { cert: readFileSync(join(directory, 'cert.pem')), key: readFileSync(join(directory, 'key.pem')) }
  const ca = readFileSync(join(installation.data, 'ca.pem'))
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      new URL(path, server.biUrl),
      { method, ca, ...certificate, agent: false, headers },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers['content-type'] ?? '',
            body: Buffer.concat(chunks).toString(),
          })
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

function resultOf({ body }: HttpResult): string {
  return (JSON.parse(body) as { Result: { ResultCode: string } }).Result.ResultCode
}

/** A valid JoinReq with a fresh DevNonce. */
async function validJoinReq(changes: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  return {
    ProtocolVersion: '1.0',
    SenderID: NET_ID,
    ReceiverID: JOIN_EUI,
    TransactionID: 7,
    MessageType: 'JoinReq',
    MACVersion: '1.0.3',
    PHYPayload: bytesToHex(await enrolled.device.joinRequest()),
    DevEUI: enrolled.device.identity.devEui,
    DevAddr: '26000001',
    DLSettings: '00',
    RxDelay: 1,
    ...changes,
  }
}

/** The state of the device as the API shows it: what must not change. */
/** What `device show` says, but for its forecast, which moves with the clock. */
async function deviceState(): Promise<unknown> {
  const shown = await installation.json('device', 'show', enrolled.device.identity.devEui)
  return JSON.parse(JSON.stringify(shown, (name, value: unknown) => (name === 'exhaustedAt' ? undefined : value)))
}

async function expectStillJoins(): Promise<void> {
  expect(resultOf(await post(JSON.stringify(await validJoinReq())))).toBe('Success')
}

describe('Backend Interfaces listener: bodies', () => {
  test.each<[string, (valid: string) => string | Buffer, number, string]>([
    ['empty', () => '', 400, 'MalformedMessage'],
    ['not JSON', () => 'hello', 400, 'MalformedMessage'],
    ['truncated', (valid) => valid.slice(0, -20), 400, 'MalformedMessage'],
    ['a list', (valid) => `[${valid}]`, 400, 'MalformedMessage'],
    ['null', () => 'null', 400, 'MalformedMessage'],
    ['not UTF-8', () => Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400, 'MalformedMessage'],
    ['no MessageType', (valid) => valid.replace('"MessageType":"JoinReq",', ''), 400, 'MalformedRequest'],
    ['oversized', (valid) => valid.replace('{', `{"Padding":"${'x'.repeat(70_000)}",`), 400, 'MalformedMessage'],
    [
      'deeply nested',
      (valid) => valid.replace('{', `{"A":${'['.repeat(5000)}${']'.repeat(5000)},`),
      200,
      'MalformedRequest',
    ],
    ['a member twice', (valid) => valid.replace('"RxDelay":1', '"RxDelay":1,"RxDelay":2'), 200, 'MalformedRequest'],
    ['unknown message type', (valid) => valid.replace('"JoinReq"', '"WishReq"'), 200, 'MalformedRequest'],
    [
      'protocol version 1.2',
      (valid) => valid.replace('"ProtocolVersion":"1.0"', '"ProtocolVersion":"1.2"'),
      200,
      'InvalidProtocolVersion',
    ],
    ['PHYPayload not hex', (valid) => valid.replace(/"PHYPayload":"../, '"PHYPayload":"zz'), 200, 'MalformedRequest'],
    ['PHYPayload too short', (valid) => valid.replace(/"PHYPayload":"../, '"PHYPayload":"'), 200, 'FrameSizeError'],
    ['DevAddr of the wrong type', (valid) => valid.replace('"26000001"', '26000001'), 200, 'MalformedRequest'],
    ['RxDelay 16', (valid) => valid.replace('"RxDelay":1', '"RxDelay":16'), 200, 'MalformedRequest'],
    ['RxDelay of the wrong type', (valid) => valid.replace('"RxDelay":1', '"RxDelay":[1]'), 200, 'MalformedRequest'],
    [
      'CFList of 15 bytes',
      (valid) => valid.replace('"RxDelay":1', `"RxDelay":1,"CFList":"${'00'.repeat(15)}"`),
      200,
      'MalformedRequest',
    ],
    [
      'DevEUI that is not the frame’s',
      (valid) => valid.replace(/"DevEUI":"../, '"DevEUI":"00'),
      200,
      'MalformedRequest',
    ],
  ])('%s: answered, and nothing changes', async (_name, spoil, status, result) => {
    const before = await deviceState()
    const answer = await post(spoil(JSON.stringify(await validJoinReq({ DevEUI: enrolled.device.identity.devEui }))))
    expect([answer.status, answer.type]).toEqual([status, 'application/json'])
    expect(resultOf(answer)).toBe(result)
    expect(await deviceState()).toEqual(before)
    await expectStillJoins()
  })

  test.each(['text/plain', 'application/json; charset=utf-8', ''])('Content-Type %j is tolerated', async (type) => {
    const headers = type === '' ? {} : { 'Content-Type': type }
    expect(resultOf(await post(JSON.stringify(await validJoinReq()), { headers }))).toBe('Success')
  })

  test('another path and another method get JSON, not a broken client', async () => {
    const body = JSON.stringify(await validJoinReq())
    expect((await post(body, { path: '/elsewhere' })).status).toBe(404)
    expect((await post('', { method: 'GET' })).status).toBe(405)
    await expectStillJoins()
  })

  test('a client that breaks off in the middle of a body harms nobody', async () => {
    const { hostname, port } = new URL(server.biUrl)
    const certificate = {
      cert: readFileSync(join(networkDirectory, 'cert.pem')),
      key: readFileSync(join(networkDirectory, 'key.pem')),
    }
    const ca = readFileSync(join(installation.data, 'ca.pem'))
    const socket = connect({ host: hostname, port: Number(port), ca, ...certificate })
    await new Promise<void>((resolve) => socket.once('secureConnect', resolve))
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"ProtocolVersion"')
    await new Promise((resolve) => setTimeout(resolve, 100))
    socket.destroy()
    await expectStillJoins()
  })
})

describe('Backend Interfaces listener: callers', () => {
  test('no certificate, and a stranger’s certificate: UnknownSender', async () => {
    const stranger = selfSigned('stranger', YEAR)
    const valid = JSON.stringify(await validJoinReq())
    expect(resultOf(await post(valid, { directory: '' }))).toBe('UnknownSender')
    expect(resultOf(await post(valid, { directory: stranger }))).toBe('UnknownSender')
    await expectStillJoins()
  })

  test('a peer’s own certificate admits it; an expired one is not taken', async () => {
    const own = selfSigned('own', YEAR)
    await installation.mortise('peer', 'add', 'ns', '--net-id', '00002a', '--certificate', join(own, 'cert.pem'))
    const fromOwn = JSON.stringify(await validJoinReq({ SenderID: '00002a' }))
    expect(resultOf(await post(fromOwn, { directory: own }))).toBe('NoRoamingAgreement')
    const expired = selfSigned('expired', -60)
    const refused = await installation.try(
      'peer',
      'add',
      'ns',
      '--net-id',
      '00002b',
      '--certificate',
      join(expired, 'cert.pem'),
    )
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/expired/)
  })

  test('a peer whose certificate expires while the server runs: UnknownSender from then on', async () => {
    const ending = selfSigned('ending', 15)
    await installation.mortise('peer', 'add', 'ns', '--net-id', '00002d', '--certificate', join(ending, 'cert.pem'))
    const request = JSON.stringify(await validJoinReq({ SenderID: '00002d' }))
    expect(resultOf(await post(request, { directory: ending }))).toBe('NoRoamingAgreement')
    const answer = async () => resultOf(await post(request, { directory: ending }))
    await expect.poll(answer, { timeout: 40_000, interval: 500 }).toBe('UnknownSender')
  })

  test('SenderID that is not the certificate’s: UnknownSender, and with its own: Success', async () => {
    const before = await deviceState()
    expect(resultOf(await post(JSON.stringify(await validJoinReq({ SenderID: '000014' }))))).toBe('UnknownSender')
    expect(await deviceState()).toEqual(before)
    await expectStillJoins()
  })

  test('a disabled peer: UnknownSender within a second', async () => {
    const directory = await addPeer(installation, 'ns', '00002c')
    const request = JSON.stringify(await validJoinReq({ SenderID: '00002c' }))
    expect(resultOf(await post(request, { directory }))).toBe('NoRoamingAgreement')
    await installation.mortise('peer', 'disable', '00002c', '--yes')
    expect(resultOf(await post(request, { directory }))).toBe('UnknownSender')
  })
})

describe('Backend Interfaces listener: joins', () => {
  test('an unknown DevEUI, a forged MIC, a used DevNonce: each its own result', async () => {
    const stranger = Buffer.from(bytesToHex(await enrolled.device.joinRequest()), 'hex')
    stranger.fill(0x42, 9, 17)
    const unknown = await validJoinReq({ PHYPayload: stranger.toString('hex'), DevEUI: '42'.repeat(8) })
    expect(resultOf(await post(JSON.stringify(unknown)))).toBe('UnknownDevEUI')
    const forged = await validJoinReq()
    forged['PHYPayload'] = String(forged['PHYPayload']).slice(0, -8) + '00000000'
    expect(resultOf(await post(JSON.stringify(forged)))).toBe('MICFailed')
    const valid = await validJoinReq()
    expect(resultOf(await post(JSON.stringify(valid)))).toBe('Success')
    expect(resultOf(await post(JSON.stringify({ ...valid, DevAddr: '26000002' })))).toBe('JoinReqFailed')
    expect(resultOf(await post(JSON.stringify({ ...valid, ProtocolVersion: '1.1', DevAddr: '26000002' })))).toBe(
      'FrameReplayed',
    )
    const twice = [await post(JSON.stringify(valid)), await post(JSON.stringify({ ...valid, TransactionID: 8 }))]
    expect(twice.map(resultOf)).toEqual(['Success', 'Success'])
    expect(twice[1]?.body.replace('"TransactionID":8', '"TransactionID":7')).toBe(twice[0]?.body)
  })

  test('a device whose owner has allowed no network, and one whose application server has no KEK', async () => {
    const lonely = await enrolDevice(installation, '1.0.3', { networks: [] })
    const keyless = await enrolDevice(installation, '1.0.3', { as: 'no.kek.example' })
    for (const [{ device }, result] of [
      [lonely, 'ActivationDisallowed'],
      [keyless, 'JoinReqFailed'],
    ] as const) {
      const frame = bytesToHex(await device.joinRequest())
      const request = await validJoinReq({ PHYPayload: frame, DevEUI: device.identity.devEui })
      expect(resultOf(await post(JSON.stringify(request)))).toBe(result)
    }
    await expectStillJoins()
  })

  test('a device whose record has a flipped bit in the database; with the bit back in place it joins', async () => {
    const { device } = await enrolDevice(installation, '1.0.3')
    const { devEui } = device.identity
    const join = async () => {
      const request = await validJoinReq({ PHYPayload: bytesToHex(await device.joinRequest()), DevEUI: devEui })
      return resultOf(await post(JSON.stringify(request)))
    }
    for (const offset of [20, 60, 120]) {
      flipRecordBit(devEui, offset)
      expect(['JoinReqFailed', 'NoRoamingAgreement']).toContain(await join())
      flipRecordBit(devEui, offset)
      expect(await join()).toBe('Success')
    }
  })

  test('the same new join twice at once: one answer', async () => {
    const body = JSON.stringify(await validJoinReq())
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(body)))
    expect(new Set(answers.map((answer) => answer.body)).size).toBe(1)
    expect(resultOf(answers[0]!)).toBe('Success')
  })
})

/** What somebody with write access to the database may do. */
function flipRecordBit(devEui: string, offset: number): void {
  const database = new DatabaseSync(join(installation.data, 'mortise.db'))
  const row = database.prepare('SELECT id, record FROM key_set WHERE dev_eui = ?').get(Buffer.from(devEui, 'hex'))
  const record = Buffer.from(row!['record'] as Uint8Array)
  record.writeUInt8(record.readUInt8(offset) ^ 1, offset)
  database.prepare('UPDATE key_set SET record = ? WHERE id = ?').run(record, row!['id']!)
  database.close()
}

/** A certificate made by OpenSSL, outside Mortise, that ends in so many seconds. OpenSSL 3.0 sets dates only in `ca`. */
function selfSigned(name: string, secondsLeft: number): string {
  const directory = join(installation.root, `${name}-${randomBytes(4).toString('hex')}`)
  mkdirSync(directory)
  const file = (file: string) => join(directory, file)
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe', cwd: directory })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file('key.pem')]
  run('req', '-new', ...key, '-subj', `/CN=${name}`, '-out', file('request.pem'))
  writeFileSync(file('index.txt'), '')
  writeFileSync(file('serial'), '01\n')
  writeFileSync(file('ca.cnf'), CA_CONFIGURATION)
  const validity = ['-startdate', '20200101000000Z', '-enddate', asn1Time(Date.now() + 1000 * secondsLeft)]
  const files = ['-keyfile', file('key.pem'), '-in', file('request.pem'), '-out', file('cert.pem')]
  run('ca', '-config', 'ca.cnf', '-selfsign', ...files, '-batch', '-notext', ...validity)
  return directory
}

const CA_CONFIGURATION = `[ca]
default_ca=d
[d]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
[p]
commonName=supplied
`

/** YYYYMMDDHHMMSSZ, UTC. */
function asn1Time(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
}
