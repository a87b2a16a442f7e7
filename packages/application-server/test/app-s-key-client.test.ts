import {
  type AppSKeyAns,
  type AppSKeyReqToSend,
  dialectOf,
  encodeAppSKeyAns,
  encodeAppSKeyReq,
  encodeFailure,
  type KeyEnvelope,
  parseAppSKeyAns,
  parseAppSKeyReq,
  parseMessage,
} from '@mortise/backend-interfaces'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { beforeEach, describe, expect, test } from 'vitest'
import { AppSKeyClient, KekRing } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { wrap } from './key-wrap.ts'

const STANDARD = dialectOf('standard-1.0')
const KEK = Buffer.alloc(16, 0x4b)
const APP_S_KEY = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const SESSION = {
  devEui: parseDevEui('70b3d57ed0000001'),
  joinEui: parseJoinEui('70b3d57ed0000000'),
  sessionKeyId: Buffer.from('5260f853', 'hex'),
}
const GOOD = {
  devEui: SESSION.devEui,
  sessionKeyId: Uint8Array.from(SESSION.sessionKeyId),
  appSKey: { kekLabel: 'as-1', aesKey: wrap(KEK, APP_S_KEY) } as KeyEnvelope,
}

/** What the join server answers, and what it was asked. */
let outcome: typeof GOOD | 'refuse'
let asked: string

beforeEach(() => {
  outcome = GOOD
})

/** The far end of the Backend Interfaces, over the messages as they travel; TLS and HTTP have their own tests. */
const joinServer = {
  appSKeyReq: (request: AppSKeyReqToSend): Promise<AppSKeyAns> => {
    asked = encodeAppSKeyReq(request, 1)
    return Promise.resolve(parseAppSKeyAns(Buffer.from(answerTo(asked))))
  },
}

function answerTo(body: string): string {
  const message = parseMessage(Buffer.from(body), STANDARD)
  if (message.kind !== 'message') throw new Error(message.kind)
  const request = parseAppSKeyReq(message.header, message.members)
  if (outcome === 'refuse') return encodeFailure(request.header, 'ActivationDisallowed', 'not your device', STANDARD)
  return encodeAppSKeyAns(request.header, outcome)
}

async function fetchAppSKey(): Promise<string> {
  using kekRing = new KekRing()
  kekRing.add('as-1', KEK)
  const appSKeyClient = new AppSKeyClient({ joinServer, kekRing, asId: 'as.example', protocolVersion: '1.0' })
  const appSKey = await appSKeyClient.fetchAppSKey(SESSION)
  return appSKey.use((bytes) => Buffer.from(bytes).toString('hex'))
}

describe('AppSKeyReq', () => {
  test('names the session and gets its AppSKey, unwrapped (TS002 1.0 §8 step 8)', async () => {
    expect(await fetchAppSKey()).toBe(APP_S_KEY.toString('hex'))
    expect(JSON.parse(asked)).toMatchObject({
      MessageType: 'AppSKeyReq',
      SenderID: 'as.example',
      ReceiverID: SESSION.joinEui,
      DevEUI: SESSION.devEui,
      SessionKeyID: '5260f853',
    })
  })

  test.each([
    ['for another device', { ...GOOD, devEui: parseDevEui('70b3d57ed0000002') }, 'answer_mismatch'],
    ['for another session', { ...GOOD, sessionKeyId: Uint8Array.of(1) }, 'answer_mismatch'],
    ['in clear', { ...GOOD, appSKey: { aesKey: APP_S_KEY } }, 'key_in_clear'],
    ['under an unknown KEK', { ...GOOD, appSKey: { ...GOOD.appSKey, kekLabel: 'as-2' } }, 'kek_label_unknown'],
    [
      'under another value of the KEK',
      { ...GOOD, appSKey: { kekLabel: 'as-1', aesKey: wrap(Buffer.alloc(16, 1), APP_S_KEY) } },
      'key_wrap_integrity',
    ],
  ])('does not take an AppSKey %s', async (_, answer, code) => {
    outcome = answer
    expect(await codeOf(fetchAppSKey)).toBe(code)
    outcome = GOOD
    expect(await codeOf(fetchAppSKey)).toBeUndefined()
  })

  test('that is refused says why, and holds no key', async () => {
    outcome = 'refuse'
    await expect(fetchAppSKey()).rejects.toMatchObject({
      code: 'request_refused',
      resultCode: 'ActivationDisallowed',
      message: 'The join server refused: ActivationDisallowed. not your device',
    })
  })
})
