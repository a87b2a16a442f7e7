import { randomBytes, randomInt } from 'node:crypto'
import { type BackendInterfacesClient, encodeHomeNsReq } from '@mortise/backend-interfaces'
import { type DevEui, parseDevEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DeviceFile } from './support/device-file.ts'
import { Installation } from './support/installation.ts'
import { addPeer, connectPeer, JOIN_EUI, NET_ID } from './support/parties.ts'

/**
 * A network server without a roaming agreement asks for the homes of devices that exist, and of devices that do not:
 * neither what it is told nor how long that takes may tell them apart. Times are compared by their ranks (Mann and
 * Whitney), with a second group of unknown devices as control; and with a group that is made later by what a look-up
 * would cost, so that the test is seen to see it.
 */

const STRANGER = parseNetId('600001')
const FRIEND = parseNetId('600002')
const TIMEOUT_MS = 120_000
const SAMPLES = 2000
/** Different ones in each group, so that no group is served from caches that another has to fill. */
const DEVICES = 50
/** In standard deviations: chance alone is beyond it once in some two million times. */
const NOTICEABLE = 5
/** Less than the database takes to find a device. */
const PLANTED_MS = 0.05

let installation: Installation
let stranger: BackendInterfacesClient
let friend: BackendInterfacesClient
const devices = new DeviceFile()
for (let index = 0; index < DEVICES; index++) devices.add(`door ${index}`, '1.0.4', [NET_ID], '')
const known = Array.from({ length: DEVICES }, (_, index) => devices.get(`door ${index}`).identity.devEui)

beforeAll(async () => {
  installation = await Installation.create()
  const directories = await Promise.all([STRANGER, FRIEND].map((netId) => addPeer(installation, 'ns', netId)))
  await devices.enrol(installation)
  const server = await installation.serve()
  await installation.mortise('peer', 'agreement', 'add', '--ns', FRIEND, '--join-eui', `${JOIN_EUI}/64`)
  const clients = directories.map((directory) => connectPeer(server, directory))
  ;[stranger, friend] = clients as [BackendInterfacesClient, BackendInterfacesClient]
}, TIMEOUT_MS)
afterAll(async () => {
  await stranger.close()
  await friend.close()
  await installation[Symbol.asyncDispose]()
})

const unknown = () => Array.from({ length: DEVICES }, () => parseDevEui(randomBytes(8).toString('hex')))
const oneOf = (devEuis: readonly DevEui[]) => devEuis[randomInt(devEuis.length)]!

async function ask(client: BackendInterfacesClient, senderId: typeof STRANGER, devEui: DevEui): Promise<string> {
  const { status, body } = await client.post(
    encodeHomeNsReq({ protocolVersion: '1.0', senderId, receiverId: JOIN_EUI, devEui }, 7),
  )
  expect(status).toBe(200)
  return Buffer.from(body).toString()
}

test('a stranger is told the same of every device, a friend is not', async () => {
  const refusal = await ask(stranger, STRANGER, oneOf(known))
  expect(JSON.parse(refusal)).toMatchObject({ Result: { ResultCode: 'NoRoamingAgreement' } })
  expect(await ask(stranger, STRANGER, oneOf(unknown()))).toBe(refusal)
  expect(JSON.parse(await ask(friend, FRIEND, oneOf(known)))).toMatchObject({ HNetID: '000013' })
  expect(JSON.parse(await ask(friend, FRIEND, oneOf(unknown())))).toMatchObject({
    Result: { ResultCode: 'UnknownDevEUI' },
  })
})

test(
  'a stranger learns nothing from how long it takes',
  async () => {
    const groups = {
      known: { devEuis: known, laterMs: 0 },
      unknown: { devEuis: unknown(), laterMs: 0 },
      control: { devEuis: unknown(), laterMs: 0 },
      planted: { devEuis: unknown(), laterMs: PLANTED_MS },
    }
    const times = { known: [], unknown: [], control: [], planted: [] } as Record<keyof typeof groups, number[]>
    for (let sample = 0; sample < SAMPLES; sample++)
      for (const name of shuffled(Object.keys(groups) as (keyof typeof groups)[])) {
        const { devEuis, laterMs } = groups[name]
        times[name].push(await timeOf(oneOf(devEuis), laterMs))
      }
    const difference = (a: keyof typeof groups, b: keyof typeof groups) => distance(times[a], times[b])
    console.log(
      `known and unknown differ by ${difference('known', 'unknown').toFixed(1)} standard deviations, two groups of ` +
        `unknown by ${difference('control', 'unknown').toFixed(1)}, ${PLANTED_MS} ms by ${difference('planted', 'unknown').toFixed(1)}`,
    )
    expect(Math.abs(difference('planted', 'unknown'))).toBeGreaterThan(NOTICEABLE)
    expect(Math.abs(difference('control', 'unknown'))).toBeLessThan(NOTICEABLE)
    expect(Math.abs(difference('known', 'unknown'))).toBeLessThan(NOTICEABLE)
  },
  TIMEOUT_MS,
)

/** In milliseconds. */
async function timeOf(devEui: DevEui, laterMs: number): Promise<number> {
  const began = performance.now()
  await ask(stranger, STRANGER, devEui)
  return performance.now() - began + laterMs
}

function shuffled<T>(list: readonly T[]): T[] {
  const left = [...list]
  return list.map(() => left.splice(randomInt(left.length), 1)[0] as T)
}

/** How far the rank sum of `a` among both is from what chance gives, in standard deviations. */
function distance(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((time) => ({ time, isA: true })), ...b.map((time) => ({ time, isA: false }))]
  all.sort((one, other) => one.time - other.time)
  const rankSum = all.reduce((sum, { isA }, index) => (isA ? sum + index + 1 : sum), 0)
  const expected = (a.length * (all.length + 1)) / 2
  const deviation = Math.sqrt((a.length * b.length * (all.length + 1)) / 12)
  return (rankSum - expected) / deviation
}
