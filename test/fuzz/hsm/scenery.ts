import type { Change } from '@mortise/hsm'
import { type MacVersion, type NetId, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import type { FuzzDevice } from '../device-keys.ts'
import { Random } from '../random.ts'

/** The devices and KEKs beside the golden ones: each has one thing that decides otherwise. */

export const NET_ID = '000013'
export const OTHER_NET_ID = '000024'
export const AS_ID = 'door-sensors'
export const OWNER = counting(0xe0).toString('hex')
const OTHER_OWNER = counting(0xd0).toString('hex')

/** What becomes of a record after it was made. */
type Fate = 'kept' | 'changed' | 'removed'

export interface SceneDevice {
  readonly id: string
  readonly owner: string
  readonly device: FuzzDevice
  readonly networks: readonly string[]
  readonly applicationServers: readonly string[]
  readonly networkIsApplicationServer: boolean
  readonly fate: Fate
}

export interface SceneKek {
  readonly id: string
  readonly kind: 'ns' | 'as'
  readonly recipient: string
  readonly owner: string
  readonly label: string
  readonly value: Buffer
  readonly fate: Exclude<Fate, 'changed'>
}

const random = new Random(0x5ce11e)

export const DEVICES: readonly SceneDevice[] = [
  device('1.0.3', { applicationServers: [], networkIsApplicationServer: true }),
  device('1.1.0', { networks: [NET_ID, OTHER_NET_ID], networkIsApplicationServer: true }),
  device('1.0.2', { owner: OTHER_OWNER }),
  device('1.0.4', { networks: [] }),
  device('1.1.0', { fate: 'changed' }),
  device('1.0.3', { fate: 'removed' }),
]

export const KEKS: readonly SceneKek[] = [
  kek('as', 'strangers', 16),
  kek('ns', OTHER_NET_ID, 32),
  kek('as', AS_ID, 24, { owner: OTHER_OWNER }),
  kek('as', AS_ID, 16, { fate: 'removed' }),
]

/** Makes all of them; their keys are {@link sceneKeys}, in this order. */
export function additions(): Change[] {
  let key = 0
  const devices = DEVICES.map(({ id, owner, device: facts, ...policy }): Change => {
    const { nwkKey, macVersion } = facts
    return {
      action: 'device.add',
      ...{ device: id, owner, macVersion },
      devEui: parseDevEui(facts.devEui),
      joinEui: parseJoinEui(facts.joinEui),
      appKey: key++,
      ...(nwkKey && { nwkKey: key++ }),
      ...policyOf(policy),
    }
  })
  const keks = KEKS.map(({ id, kind, recipient, owner, label, value }): Change => {
    const size = value.length === 16 ? 16 : value.length === 24 ? 24 : 32
    return { action: 'kek.set', kek: id, ...{ kind, recipient, owner, label, size }, key: key++ }
  })
  return [...devices, ...keks]
}

export function sceneKeys(): Buffer[] {
  const roots = DEVICES.flatMap(({ device: { appKey, nwkKey } }) =>
    nwkKey === undefined ? [appKey] : [appKey, nwkKey],
  )
  return [...roots, ...KEKS.map(({ value }) => value)]
}

/** Changes and removes what is to be changed and removed. */
export function fates(): Change[] {
  const devices = DEVICES.flatMap(({ id, device: { devEui, joinEui }, fate }): Change[] => {
    const reference = { device: id, devEui: parseDevEui(devEui), joinEui: parseJoinEui(joinEui), replaces: 1 }
    if (fate === 'changed') return [{ action: 'device.set', ...reference, applicationServers: [] }]
    return fate === 'removed' ? [{ action: 'device.remove', ...reference }] : []
  })
  const keks = KEKS.flatMap(({ id, kind, recipient, label, fate }): Change[] =>
    fate === 'removed' ? [{ action: 'kek.remove', kek: id, kind, recipient, label, replaces: 1 }] : [],
  )
  return [...devices, ...keks]
}

/** As the keys of the golden files are: bytes that count upwards. */
export function counting(first: number, size = 16): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, at) => (first + at) & 0xff))
}

function device(macVersion: MacVersion, differences: Partial<SceneDevice>): SceneDevice {
  return {
    id: random.bytes(16).toString('hex'),
    owner: OWNER,
    device: {
      devEui: random.bytes(8).toString('hex'),
      joinEui: random.bytes(8).toString('hex'),
      macVersion,
      appKey: random.bytes(16),
      nwkKey: macVersion === '1.1.0' ? random.bytes(16) : undefined,
    },
    networks: [NET_ID],
    applicationServers: [AS_ID],
    networkIsApplicationServer: false,
    fate: 'kept',
    ...differences,
  }
}

function kek(kind: 'ns' | 'as', recipient: string, size: number, differences: Partial<SceneKek> = {}): SceneKek {
  const value = random.bytes(size)
  const id = random.bytes(16).toString('hex')
  return { id, kind, recipient, owner: OWNER, label: `scene-${id.slice(0, 8)}`, value, fate: 'kept', ...differences }
}

function policyOf({
  applicationServers,
  networkIsApplicationServer,
  networks,
}: Pick<SceneDevice, 'applicationServers' | 'networkIsApplicationServer' | 'networks'>) {
  return {
    applicationServers,
    networkIsApplicationServer,
    networks: networks.map((netId): NetId => parseNetId(netId)),
  }
}
