import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BackendInterfacesClient } from '@mortise/backend-interfaces'
import { type ApiRequest, askApi, exchange } from '../support/exchange.ts'
import { connectPeer, JOIN_EUI, NET_ID } from '../support/parties.ts'
import { descendantsOf } from '../support/processes.ts'
import type { SecretScene } from '../support/secret-scene.ts'
import { SecretSearch } from '../support/secret-search.ts'

/** Length and type of the frame, request id and the epoch: what opens each connection to the HSM process. */
const HELLO_BYTES = 16
const FLIPS = 60

/**
 * What is told when something goes wrong: answers, logs, messages of commands, frames of the HSM process. Each failure has
 * to happen, and its answer is searched for every secret of the installation, and for what the caller sent: keys in the
 * wrong place, wrong passphrases, wrong API keys.
 */
export function failureTests(scene: () => SecretScene): void {
  let network: BackendInterfacesClient
  /** Secrets that were sent where they do not belong. */
  const sent = new Map<string, Buffer>()
  const answers: string[] = []

  beforeAll(() => {
    const { server, installation } = scene()
    network = connectPeer(server, join(installation.root, `peer-ns-${NET_ID}`))
  })
  afterAll(() => network.close())

  function newSecret(): string {
    const secret = randomBytes(16)
    sent.set(`sent ${sent.size}`, secret)
    return secret.toString('hex')
  }

  async function joinReq(changes: Record<string, unknown>): Promise<string> {
    const message = {
      ProtocolVersion: '1.0',
      SenderID: NET_ID,
      ReceiverID: JOIN_EUI,
      TransactionID: 7,
      MessageType: 'JoinReq',
      MACVersion: '1.0.4',
      DLSettings: '00',
      RxDelay: 1,
      DevAddr: '26000001',
      ...changes,
    }
    return await post(JSON.stringify(message))
  }

  async function post(body: string): Promise<string> {
    const answer = Buffer.from((await network.post(body)).body).toString()
    answers.push(answer)
    return answer
  }

  async function raw(bytes: string | Buffer, open: () => Socket): Promise<string> {
    const text = await exchange(bytes, open)
    answers.push(text)
    return text
  }

  async function api(asked: ApiRequest): Promise<number> {
    const { status, text } = await askApi(scene().server, scene().installation, asked)
    answers.push(text)
    return status
  }

  /** A new join-request of a device that is enrolled, as a network server sends it. */
  async function joinRequest(index = 1): Promise<{ DevEUI: string; PHYPayload: string; MACVersion: string }> {
    const enrolled = scene().devices[index]
    if (enrolled === undefined) throw new Error('no such device')
    const PHYPayload = Buffer.from(await enrolled.device.joinRequest()).toString('hex')
    return { DevEUI: enrolled.device.identity.devEui, PHYPayload, MACVersion: enrolled.macVersion }
  }

  test('Backend Interfaces: MIC, replay, unknown device, malformed messages with keys in them', async () => {
    const good = await joinRequest()
    const last = Number.parseInt(good.PHYPayload.slice(-2), 16) ^ 1
    const forged = good.PHYPayload.slice(0, -2) + last.toString(16).padStart(2, '0')
    expect(await joinReq({ ...good, PHYPayload: forged })).toContain('MICFailed')
    expect(await joinReq(good)).toContain('Success')
    expect(await joinReq({ ...good, RxDelay: 2 })).toMatch(/FrameReplayed|JoinReqFailed/)
    const unknown = good.PHYPayload.slice(0, 18) + '0123456789abcdef' + good.PHYPayload.slice(34)
    expect(await joinReq({ DevEUI: 'efcdab8967452301', PHYPayload: unknown })).toContain('UnknownDevEUI')
    for (const member of ['PHYPayload', 'DevEUI', 'RxDelay', 'CFList', 'DLSettings', 'DevAddr'])
      expect(await joinReq({ ...good, [member]: newSecret() })).toMatch(/"ResultCode":"(?!Success)/)
    for (const body of [
      `{"MessageType":"JoinReq","AppSKey":"${newSecret()}`,
      `{"AppKey": ${newSecret()}}`,
      newSecret(),
    ])
      expect(await post(body)).not.toContain('Success')
  })

  test('TLS: no certificate, a plain request, garbage', async () => {
    const { biUrl, apiUrl } = scene().server
    for (const port of [Number(new URL(biUrl).port), Number(new URL(apiUrl).port)]) {
      const plain = `GET /${newSecret()} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${newSecret()}\r\n\r\n`
      const answered = await raw(plain, () => connectSocket(port, '127.0.0.1'))
      expect(answered).not.toContain('HTTP/1.1 200')
      await raw(Buffer.from(newSecret(), 'hex'), () => connectSocket(port, '127.0.0.1'))
    }
    const body = JSON.stringify({ AppKey: newSecret() })
    const stranger = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
    const ca = readFileSync(join(scene().installation.data, 'ca.pem'))
    const refused = await raw(stranger, () =>
      connect({ port: Number(new URL(biUrl).port), host: '127.0.0.1', servername: 'localhost', ca }),
    )
    expect(refused).not.toContain('Success')
  })

  test('management API: wrong API keys, keys in paths and bodies, orders that nobody signed', async () => {
    const token = `mortise_${randomBytes(32).toString('base64url')}`
    sent.set('wrong API key', Buffer.from(token))
    expect(await api({ path: '/api/v1/status', token })).toBe(401)
    const order = { text: JSON.stringify({ appKey: newSecret() }), signature: newSecret(), envelope: newSecret() }
    for (const asked of [
      { path: `/api/v1/devices/${newSecret()}` },
      { path: `/${newSecret()}` },
      { method: 'POST', path: '/api/v1/orders', body: `{"text": ${newSecret()}` },
      { method: 'POST', path: '/api/v1/orders', body: JSON.stringify({ appKey: newSecret() }) },
      { method: 'POST', path: '/api/v1/orders', body: JSON.stringify(order) },
    ])
      expect([400, 404]).toContain(await api(asked))
    expect(await api({ path: '/api/v1/status' })).toBe(200)
  })

  test('orders: a device that is there already, with other keys', async () => {
    const { installation } = scene()
    const devices = JSON.parse(await scene().api('/api/v1/devices')) as { devices: { devEui: string }[] }
    const keys = installation.secret('other-keys', JSON.stringify({ appKey: newSecret() }))
    const words = ['device', 'add', '--dev-eui', devices.devices[0]?.devEui ?? '', '--join-eui', JOIN_EUI]
    const refused = await installation.try(...words, '--mac-version', '1.0.4', '--keys-file', keys, '--json')
    expect(refused.stderr).toContain('device_exists')
  })

  test('the socket of the HSM process: what the server sent, with flipped bits', async () => {
    // With more than `hello`, without which nothing else is looked at.
    const requests = scene().serverRelay.streams.filter((stream, i) => i % 2 === 0 && stream.length > 10 * HELLO_BYTES)
    expect(requests.length).toBeGreaterThan(0)
    const path = join(scene().installation.data, 'run', 'server.sock.real')
    for (let attempt = 0; attempt < FLIPS; attempt++) {
      const bytes = Buffer.from(requests[attempt % requests.length] ?? '')
      const at = HELLO_BYTES + Math.floor(((bytes.length - HELLO_BYTES) * attempt) / FLIPS)
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (attempt % 8)), at)
      await raw(bytes, () => connectSocket(path))
    }
  })

  test('a damaged record in the database', async () => {
    const { installation, server } = scene()
    using database = new DatabaseSync(join(installation.data, 'mortise.db'))
    const spoil = () => {
      for (const { id, record } of database.prepare('SELECT id, record FROM key_set').all()) {
        const bytes = Buffer.from(record as Uint8Array)
        bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60)
        database.prepare('UPDATE key_set SET record = ? WHERE id = ?').run(bytes, id ?? 0)
      }
    }
    spoil()
    expect(await joinReq(await joinRequest())).not.toContain('Success')
    expect(server.output).toMatch(/"reason":"record_\w+"/)
    spoil()
    expect(await joinReq(await joinRequest())).toContain('Success')
  })

  test('a worker that is killed while joins are on their way', async () => {
    const requests = await Promise.all(Array.from({ length: 40 }, (_, i) => joinRequest(i % 3)))
    const joins = requests.map((request) => joinReq(request))
    const [worker] = descendantsOf(scene().hsm.pid)
    process.kill(worker?.pid ?? 0, 'SIGSEGV')
    await Promise.all(joins)
    await scene().hsm.says('ended by SIGSEGV; another one takes its place')
  })

  test('a KEK that was removed', async () => {
    const { keks } = JSON.parse(await scene().api('/api/v1/keks')) as { keks: { kind: string; kekId: string }[] }
    await scene().installation.mortise('kek', 'remove', keks.find(({ kind }) => kind === 'as')?.kekId ?? '', '--yes')
    // Twenty refusals a second have a line in the log: the one before may have taken the last.
    const refusedAndLogged = async () => {
      expect(await joinReq(await joinRequest())).toMatch(/"ResultCode":"(?!Success)/)
      return scene().server.output
    }
    await expect.poll(refusedAndLogged, { timeout: 10_000, interval: 500 }).toContain('application_kek_missing')
  })

  test('a sealed HSM, a wrong passphrase or PIN, a damaged store', async () => {
    const { installation, hsm, server } = scene()
    await hsm.kill('SIGTERM')
    const wrong = randomBytes(12).toString('hex').slice(0, 20)
    sent.set('wrong passphrase or PIN', Buffer.from(wrong))
    const option = installation.backend === 'soft' ? '--passphrase-file' : '--pin-file'
    const file = installation.secret('wrong', `${wrong}\n`)
    expect((await installation.try('hsm', 'serve', option, file)).stderr).toMatch(/passphrase|PIN/)
    const other = installation.backend === 'soft' ? '--pin-file' : '--passphrase-file'
    expect((await installation.try('hsm', 'serve', other, file)).stderr).toContain(`takes ${option}`)

    const store = join(installation.data, 'hsm', 'store')
    copyFileSync(store, `${store}.good`)
    const bytes = readFileSync(store)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40)
    writeFileSync(store, bytes)
    expect((await installation.try('hsm', 'serve', ...installation.secretOption())).code).toBe(1)
    copyFileSync(`${store}.good`, store)
    rmSync(`${store}.good`)

    await scene().startHsmAgain()
    expect((await installation.try('unseal', option, file)).stderr).toMatch(/passphrase|PIN/)
    expect(await joinReq(await joinRequest())).toMatch(/"ResultCode":"(?!Success)/)
    await installation.mortise('unseal', ...installation.secretOption())
    await server.ready(installation)
  })

  test('nothing of all this told a secret; the search finds what was told', () => {
    const secrets = new SecretSearch(new Map([...scene().secrets, ...sent]))
    const frames = Buffer.from(answers.join('\n'), 'latin1')
    expect(secrets.find(frames)).toEqual([])
    expect(secrets.findInText(frames)).toEqual([])
    expect(secrets.findInText(scene().said)).toEqual([])
    for (const stream of scene().serverRelay.streams) expect(secrets.find(stream)).toEqual([])
    expect(sent.size).toBeGreaterThanOrEqual(25)
    // The HSM process answers who sends a join once more, as a taken-over server may, with clear network session keys.
    expect(new SecretSearch(scene().clear).find(frames)).not.toEqual([])
    const code = new SecretSearch(new Map([['code', Buffer.from('"code":"mic_mismatch"')]]))
    expect(code.findInText(scene().said)).toEqual(['code (raw)'])
  })
}
