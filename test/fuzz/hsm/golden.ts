import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeRecoveryFile } from '../../../packages/hsm/src/store/recovery-file.ts'
import { keyUnwrap } from '../../../packages/hsm/test/soft/crypto-oracle.ts'
import { joinRequest } from '../air-requests.ts'
import type { FuzzDevice } from '../device-keys.ts'
import { sessionKeys } from '../lorawan.ts'
import type { KnownDevice, KnownKek, KnownSession } from './known-records.ts'
import { AS_ID, counting, NET_ID, OWNER } from './scenery.ts'

/** What vectors/README.md says of the golden files: records whose keys are published. */

const DIRECTORY = fileURLToPath(new URL('../../../vectors/trust-boundary-1/', import.meta.url))
const EUIS = { joinEui: '70b3d57ed0000000', devEui: '70b3d57ed0001234' }
const DEVICE_10: FuzzDevice = { ...EUIS, macVersion: '1.0.4', appKey: counting(0x10), nwkKey: undefined }
const DEVICE_11: FuzzDevice = { ...EUIS, macVersion: '1.1.0', appKey: counting(0x20), nwkKey: counting(0x30) }
/** The join of the session record. */
const JOIN = { netId: NET_ID, devAddr: '26011bda', dlSettings: 0x83, rxDelay: 1, cfList: undefined }
const JOIN_NONCE = 0x000102
const PKCS8_OF_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')

export const OPERATOR_SEED = counting(0x70, 32)
export const RECOVERY_KEY = Buffer.from(goldenFile('recovery-key.txt').toString().trim(), 'hex')

export function goldenFile(name: string): Buffer {
  return readFileSync(join(DIRECTORY, name))
}

export function goldenDevices(): KnownDevice[] {
  const policy = { networks: [NET_ID], applicationServers: [AS_ID], networkIsApplicationServer: false, current: true }
  const common = { kind: 'device' as const, owner: OWNER, ...policy }
  return [
    { ...common, bytes: goldenFile('device-1.0.4.record'), id: counting(0x01).toString('hex'), device: DEVICE_10 },
    { ...common, bytes: goldenFile('device-1.1.record'), id: counting(0x02).toString('hex'), device: DEVICE_11 },
  ]
}

export function goldenKeks(): KnownKek[] {
  const common = { owner: OWNER, current: true }
  return [
    { ...common, kind: 'ns', bytes: goldenFile('kek-ns-16.record'), recipient: NET_ID, value: counting(0x40, 16) },
    { ...common, kind: 'as', bytes: goldenFile('kek-as-24.record'), recipient: AS_ID, value: counting(0x50, 24) },
    { ...common, kind: 'as', bytes: goldenFile('kek-as-32.record'), recipient: AS_ID, value: counting(0x60, 32) },
  ]
}

export function goldenSession(): KnownSession {
  const { app } = sessionKeys(DEVICE_11, joinRequest(DEVICE_11, 1), JOIN, JOIN_NONCE)
  const bytes = goldenFile('session-1.1.record')
  return { kind: 'session', bytes, deviceId: counting(0x02).toString('hex'), owner: OWNER, appSKey: app }
}

/** Frames of every type, by name, as they cross the socket. */
export function goldenFrames(): ReadonlyMap<string, Buffer> {
  const frames = JSON.parse(goldenFile('frames.json').toString()) as Record<string, string>
  return new Map(Object.entries(frames).map(([name, hex]) => [name, Buffer.from(hex, 'hex')]))
}

export function operatorKey(): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_OF_ED25519, OPERATOR_SEED]), format: 'der', type: 'pkcs8' })
}

/** The four storage keys, by name. */
export function storageKeys(): Map<string, Buffer> {
  const { blobs } = decodeRecoveryFile(RECOVERY_KEY, goldenFile('recovery.json'))
  return new Map(Object.entries(blobs).map(([name, blob]: [string, Buffer]) => [name, keyUnwrap(RECOVERY_KEY, blob)]))
}
