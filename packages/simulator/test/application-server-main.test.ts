import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { dialectOf, encodeAppSKeyAns, parseAppSKeyReq, parseMessage } from '@mortise/backend-interfaces'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { APPLICATION_SERVER_MAIN } from '../src/index.ts'
import { makeCertificates } from './certificates.ts'
import { startJoinServer, type TestJoinServer } from './join-server.ts'
import { wrap } from './key-wrap.ts'
import { highBytes, loraPacket } from './lora-packet.ts'

const KEK = Buffer.from('4b4a494847464544434241403f3e3d3c', 'hex')
const APP_S_KEY = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const WRAPPED = Buffer.from(wrap(KEK, APP_S_KEY)).toString('hex')
const DEV_EUI = '70b3d57ed0000001'
const DEV_ADDR = '26012e43'
const ACTIVATE = {
  command: 'activate',
  devEui: DEV_EUI,
  devAddr: DEV_ADDR,
  appSKey: { kekLabel: 'as-1', aesKey: WRAPPED },
}
const UPLINK = { command: 'uplink', devEui: DEV_EUI, fPort: 2, fCnt: 70_000, frmPayload: frmPayload('up', 70_000) }

let dir: string
let joinServer: TestJoinServer

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mortise-as-main-'))
  await makeCertificates(dir)
  joinServer = await startJoinServer(dir, (body) => {
    const message = parseMessage(body, dialectOf('standard-1.0'))
    if (message.kind !== 'message') throw new Error(message.kind)
    const { header, devEui, sessionKeyId } = parseAppSKeyReq(message.header, message.members)
    return encodeAppSKeyAns(header, {
      devEui,
      sessionKeyId,
      appSKey: { kekLabel: 'as-1', aesKey: wrap(KEK, APP_S_KEY) },
    })
  })
  await writeFile(join(dir, 'kek'), `${KEK.toString('hex')}\n`, { mode: 0o600 })
  await writeFile(
    join(dir, 'as.json'),
    JSON.stringify({
      asId: 'as.example',
      protocolVersion: '1.0',
      url: joinServer.url,
      caFile: 'ca.crt',
      certFile: 'client.crt',
      keyFile: 'client.key',
      keks: [{ label: 'as-1', keyFile: 'kek' }],
    }),
  )
})

afterAll(async () => {
  await joinServer[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

/** "door open" as lora-packet encrypts it. */
function frmPayload(direction: 'up' | 'down', fCnt: number): string {
  const fields = {
    MType: direction === 'up' ? 'Unconfirmed Data Up' : 'Unconfirmed Data Down',
    DevAddr: Buffer.from(DEV_ADDR, 'hex'),
    FCnt: fCnt % 0x10000,
    FPort: 2,
    payload: 'door open',
  }
  const packet = loraPacket.fromFields(fields, APP_S_KEY, APP_S_KEY, undefined, highBytes(fCnt))
  return packet.FRMPayload?.toString('hex') ?? ''
}

function start() {
  const args = [fileURLToPath(APPLICATION_SERVER_MAIN), '--config', join(dir, 'as.json')]
  return spawn(process.execPath, args, { stdio: 'pipe' })
}

interface Answer {
  readonly id?: number
  readonly ok: boolean
  readonly result?: Record<string, unknown>
  readonly error?: { readonly code: string; readonly message: string }
}

/** Runs commands one after the other, until the process has ended by itself. */
async function run(commands: readonly (object | string)[]): Promise<{ answers: Answer[]; output: string }> {
  const child = start()
  child.stderr.pipe(process.stderr)
  const lines: string[] = []
  const output = createInterface(child.stdout)
  for (const [index, command] of commands.entries()) {
    const line = typeof command === 'string' ? command : JSON.stringify({ id: index, ...command })
    child.stdin.write(`${line}\n`)
    const [answer] = (await once(output, 'line')) as [string]
    lines.push(answer)
  }
  child.stdin.end()
  expect(await once(child, 'exit')).toEqual([0, null])
  return { answers: lines.map((line) => JSON.parse(line) as Answer), output: lines.join('\n') }
}

describe('the application server as a process', () => {
  test('opens the envelope, decrypts uplinks, encrypts downlinks, and shows no key', async () => {
    const downlink = { command: 'downlink', devEui: DEV_EUI, fPort: 2, payload: '646f6f72206f70656e', nextFCntDown: 3 }
    const { answers, output } = await run([ACTIVATE, UPLINK, UPLINK, downlink])
    expect(answers[0]).toEqual({ id: 0, ok: true, result: { appSKeyFrom: 'envelope' } })
    expect(answers[1]).toEqual({ id: 1, ok: true, result: { fPort: 2, fCnt: 70_000, payload: '646f6f72206f70656e' } })
    expect(answers[2]?.error?.code).toBe('f_cnt_replayed')
    expect(answers[3]?.result).toEqual({ fPort: 2, fCnt: 3, frmPayload: frmPayload('down', 3) })
    for (const secret of [KEK, APP_S_KEY]) {
      expect(output).not.toContain(secret.toString('hex'))
      expect(output).not.toContain(secret.toString('base64'))
    }
  })

  test('fetches the AppSKey over mutual TLS when it has the SessionKeyID alone', async () => {
    const { devEui, devAddr } = ACTIVATE
    const reference = { devEui, devAddr, joinEui: '70b3d57ed0000000', sessionKeyId: '01' }
    const { answers } = await run([{ command: 'activate', ...reference }, UPLINK])
    expect(answers[0]?.result).toEqual({ appSKeyFrom: 'join-server' })
    expect(answers[1]?.result?.['payload']).toBe('646f6f72206f70656e')
  })

  test('refuses by name what it does not understand, and goes on', async () => {
    const { answers } = await run([
      UPLINK,
      'not json',
      '[]',
      '{"command":"uplink"}',
      { command: 'export' },
      { command: 'constructor' },
      { command: 'uplink', devEui: 'xyz' },
      { ...ACTIVATE, appSKey: { aesKey: APP_S_KEY.toString('hex') } },
      { ...ACTIVATE, appSKey: { kekLabel: 'as-2', aesKey: WRAPPED } },
      { ...ACTIVATE, appSKey: { kekLabel: 'as-1', aesKey: 'zz' } },
      ACTIVATE,
    ])
    expect(answers.map((answer) => answer.error?.code)).toEqual([
      'session_unknown',
      'json_malformed',
      'json_malformed',
      'member_malformed',
      'command_unknown',
      'command_unknown',
      'identifier_malformed',
      'key_in_clear',
      'kek_label_unknown',
      'member_malformed',
      undefined,
    ])
  })

  test('does not start with a KEK file that others may read', async () => {
    await chmod(join(dir, 'kek'), 0o640)
    const child = start()
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number]
    await chmod(join(dir, 'kek'), 0o600)
    expect(code).not.toBe(0)
    expect(stderr).toContain(`chmod 600 ${join(dir, 'kek')}`)
    expect(stderr).not.toContain(KEK.toString('hex'))
    expect((await run([ACTIVATE])).answers[0]?.ok).toBe(true)
  })
})
