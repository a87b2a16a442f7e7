import { generateKeyPairSync } from 'node:crypto'
import { SealingKey } from '../../../packages/hsm/src/store/sealed-file.ts'
import { decodeStoreState } from '../../../packages/hsm/src/store/state.ts'
import { openFile } from '../../../packages/hsm/src/store/sealed-file.ts'
import type { Secrets } from '../../support/memory.ts'
import { goldenFile, goldenFrames } from '../hsm/golden.ts'
import { Random } from '../random.ts'

/** Files as they should be: the golden ones, and what a user writes. */

const random = new Random(0xf11e5)
const hex = (bytes: number): string => random.bytes(bytes).toString('hex')

const ROOT_KEYS = Array.from({ length: 6 }, () => random.bytes(16))
const KEKS = [16, 24, 32].map((bytes) => random.bytes(bytes))

export const PASSPHRASE = Buffer.from('published passphrase')
/** 32 bytes, as a token derives it. */
export const TOKEN_KEY = random.bytes(32)
const CHEAP_SCRYPT = { logN: 10, r: 1, p: 1 }

/** What must stand in no message. */
export const FILE_SECRETS: Secrets = new Map([
  ...ROOT_KEYS.map((key, index): [string, Buffer] => [`root key ${index}`, key]),
  ...KEKS.map((key, index): [string, Buffer] => [`KEK ${index}`, key]),
  ['passphrase', PASSPHRASE],
  ...storeSecrets(),
])

export const CONFIGURATIONS = [
  'passphraseFile: ./passphrase\nbiListen: 0.0.0.0:8443\napiListen: 127.0.0.1:8444\n',
  '# with a token\npinFile: /run/pin\nbiPath: [/js, /backend]\nworkers: 4\n',
  'hsmSocket: run/server.sock\nbiPath: /js\n',
  '{"biListen": "[::1]:8443", "workers": 2}\n',
].map((text) => Buffer.from(text))

const DEVICES = [
  { devEui: hex(8), joinEui: hex(8), macVersion: '1.0.3', appKey: keyText(0), as: 'door-app', networks: ['000013'] },
  { devEui: hex(8), joinEui: hex(8), macVersion: '1.1', appKey: keyText(1), nwkKey: keyText(2), as: ['a', 'b'] },
  { devEui: hex(8), joinEui: hex(8), macVersion: '1.0.4', appKey: keyText(3), as: [], networks: ['000013', 'c00053'] },
]

export const DEVICE_LINES = DEVICES.map((device) => Buffer.from(JSON.stringify(device)))
export const DEVICE_FILES = [Buffer.from(DEVICES.map((device) => `${JSON.stringify(device)}\n`).join(''))]
export const KEYS_FILES = [{ appKey: keyText(4) }, { appKey: keyText(4), nwkKey: keyText(5) }].map((keys) =>
  Buffer.from(`${JSON.stringify(keys)}\n`),
)
export const KEK_FILES = KEKS.map((kek) => Buffer.from(`${kek.toString('hex')}\n`))
export const SECRET_LINES = [PASSPHRASE, Buffer.concat([PASSPHRASE, Buffer.from('\r\n')])]
export const SEQUENCE_FILES = ['0\n', '17\n', '140737488355328\n'].map((text) => Buffer.from(text))

/** The operator key, and what is pinned beside it. */
export const OPERATOR_KEY = Buffer.from(
  generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
)

export const SEALED_BY_PASSPHRASE = SealingKey.fromPassphrase(PASSPHRASE, CHEAP_SCRYPT).seal(Buffer.from('a store'))
export const SEALED_BY_TOKEN = SealingKey.fromToken(TOKEN_KEY).seal(Buffer.from('a store'))

/** The payload of the golden sealed store. */
export function storePayload(): Buffer {
  return openFile(goldenFile('store.sealed'), { passphrase: Buffer.from(PASSPHRASE) }).payload
}

/** The payload of a golden frame. */
export function goldenPayload(name: string): Buffer {
  return (goldenFrames().get(name) ?? Buffer.alloc(10)).subarray(10)
}

function keyText(index: number): string {
  return (ROOT_KEYS[index] ?? Buffer.alloc(16)).toString('hex')
}

function storeSecrets(): [string, Buffer][] {
  const { backend } = decodeStoreState(storePayload())
  if (backend.kind !== 'soft') return []
  const { rootUse, session, binding, escrow } = backend
  return Object.entries({ rootUse, session, binding, escrow })
}
