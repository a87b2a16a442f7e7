import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DevEui, type MacVersion, MAC_VERSIONS, parseDevEui } from '@mortise/lorawan'
import {
  type DeviceIdentity,
  type NetworkServer,
  NetworkServerError,
  type RootKeys,
  SoftSecureElement,
} from '@mortise/simulator'
import { SEQUENCES, type Step } from '../packages/server/test/join/dev-nonce-sequences.ts'
import { BACKENDS, Installation, type ServerProcess } from './support/installation.ts'
import { addPeer, JOIN_EUI, NET_ID, networkServer } from './support/parties.ts'

/** Another RxDelay: a network that begins its DevAddrs anew must not happen to repeat a request that was accepted. */
const AFTER_RESTART = { rxDelay: 2 }

/** A device whose DevNonces the test chooses: its secure element signs what it is told to. */
class ScriptedDevice {
  readonly identity: DeviceIdentity
  readonly #secureElement = new SoftSecureElement()

  private constructor(identity: DeviceIdentity, rootKeys: RootKeys) {
    this.identity = identity
    this.#secureElement.loadDevice(identity, rootKeys)
  }

  /** One of each version, enrolled together. */
  static async enrol(installation: Installation, versions: readonly MacVersion[]): Promise<ScriptedDevice[]> {
    const lines: string[] = []
    const devices = versions.map((macVersion) => {
      const identity = { devEui: parseDevEui(randomBytes(8).toString('hex')), joinEui: JOIN_EUI, macVersion }
      const rootKeys = { appKey: randomBytes(16), ...(macVersion === '1.1.0' && { nwkKey: randomBytes(16) }) }
      const keys = Object.entries(rootKeys).map(([name, key]) => [name, key.toString('hex')] as const)
      lines.push(JSON.stringify({ ...identity, ...Object.fromEntries(keys), networks: [NET_ID] }))
      return new ScriptedDevice(identity, rootKeys)
    })
    const file = installation.secret(`devices-${randomBytes(4).toString('hex')}`, `${lines.join('\n')}\n`)
    await installation.mortise('device', 'add', '--file', file)
    return devices
  }

  get devEui(): DevEui {
    return this.identity.devEui
  }

  /** Whether the join was accepted, by the join server and by the device; any other failure is thrown. */
  async join(network: NetworkServer, devNonce: number, options: { rxDelay?: number; optNeg?: boolean } = {}) {
    const { macVersion } = this.identity
    const request = await this.#secureElement.signJoinRequest(this.devEui, devNonce)
    try {
      const { phyPayload } = await network.activate(request, { macVersion, ...options })
      await this.#secureElement.processJoinAccept(this.devEui, phyPayload)
      return true
    } catch (error) {
      if (error instanceof NetworkServerError && error.resultCode === 'JoinReqFailed') return false
      throw error
    }
  }

  async joinAll(network: NetworkServer, steps: readonly Step[], options: { rxDelay?: number } = {}): Promise<Step[]> {
    const taken: Step[] = []
    for (const [devNonce] of steps) taken.push([devNonce, await this.join(network, devNonce, options)])
    return taken
  }
}

interface ShownDevice {
  readonly devEui: string
  readonly devNoncesUsed: number
  readonly lastDevNonce: number
  readonly nonces: { readonly behaviour: string; readonly devNoncesLeft: number; readonly warnings: readonly string[] }
}

function lastAnswer(network: NetworkServer): { Result: { ResultCode: string; Description: string } } {
  return JSON.parse(network.seen.entries.findLast(({ kind }) => kind === 'answer')?.text ?? '') as {
    Result: { ResultCode: string; Description: string }
  }
}

describe.each(BACKENDS)('DevNonces over mTLS, %s', (backend) => {
  let installation: Installation
  let directory: string
  let server: ServerProcess
  let network: NetworkServer
  beforeAll(async () => {
    installation = await Installation.create(backend)
    directory = await addPeer(installation, 'ns', NET_ID)
    server = await installation.serve()
    network = networkServer(server, directory)
  })
  afterAll(async () => {
    await network[Symbol.asyncDispose]()
    await installation[Symbol.asyncDispose]()
  })

  async function restart(): Promise<void> {
    await network[Symbol.asyncDispose]()
    await server.kill('SIGKILL')
    server = await installation.serve()
    network = networkServer(server, directory)
  }

  async function show({ devEui }: ScriptedDevice): Promise<{ json: ShownDevice; text: string }> {
    const json = (await installation.json('device', 'show', devEui)) as ShownDevice
    return { json, text: (await installation.mortise('device', 'show', devEui)).stdout }
  }

  test('follow the rule of each version, before and after kill -9', async () => {
    const devices = await ScriptedDevice.enrol(installation, MAC_VERSIONS)
    const cases = devices.map((device) => ({ device, steps: SEQUENCES[device.identity.macVersion][1]!.steps }))
    const before: Step[][] = []
    for (const { device, steps } of cases) before.push(await device.joinAll(network, steps.slice(0, steps.length / 2)))
    await restart()
    const after: Step[][] = []
    for (const { device, steps } of cases)
      after.push(await device.joinAll(network, steps.slice(steps.length / 2), AFTER_RESTART))
    expect(cases.map(({ device }, index) => [device.identity.macVersion, ...before[index]!, ...after[index]!])).toEqual(
      cases.map(({ device, steps }) => [device.identity.macVersion, ...steps]),
    )
    const list = (await installation.json('device', 'list')) as { devices: ShownDevice[] }
    for (const { device, steps } of cases) {
      const shown = list.devices.find(({ devEui }) => devEui === device.devEui)
      const accepted = steps.filter(([, accepted]) => accepted)
      const counts = device.identity.macVersion === '1.0.4' || device.identity.macVersion === '1.1.0'
      const expected = counts
        ? { devNoncesUsed: accepted.at(-1)![0] + 1, nonces: { behaviour: 'counter' } }
        : { devNoncesUsed: accepted.length, nonces: { behaviour: 'random' } }
      expect(shown).toMatchObject({ lastJoinNonce: accepted.length, ...expected })
    }
  })

  test('of a 1.1 device count in a 1.0 network, too', async () => {
    const [device] = await ScriptedDevice.enrol(installation, ['1.1.0'])
    const joins = [] as Step[]
    for (const [devNonce, optNeg] of [
      [5, false],
      [5, true],
      [4, false],
      [4, true],
      [6, true],
      [6, false],
      [7, false],
    ] as const)
      joins.push([devNonce, await device!.join(network, devNonce, { optNeg })])
    expect(joins).toEqual([
      [5, true],
      [5, false],
      [4, false],
      [4, false],
      [6, true],
      [6, false],
      [7, true],
    ])
  })

  test('of a counter end at 65,535, and the refusal and device show say what to do', async () => {
    const [device] = await ScriptedDevice.enrol(installation, ['1.0.4'])
    expect(await device!.join(network, 65_534)).toBe(true)
    expect(await device!.join(network, 65_534)).toBe(false)
    expect(lastAnswer(network).Result.Description).toBe('DevNonce has been used before')
    expect(await device!.join(network, 65_535)).toBe(true)
    await restart()
    expect(await device!.join(network, 0, AFTER_RESTART)).toBe(false)
    expect(lastAnswer(network).Result).toEqual({
      ResultCode: 'JoinReqFailed',
      Description: 'every DevNonce has been used: the device needs new root keys, a counter another JoinEUI too',
    })
    const { json, text } = await show(device!)
    const warning =
      'no DevNonce is left: give the device new root keys and another JoinEUI, under which its counter begins at 0 again'
    expect(json).toMatchObject({ devNoncesUsed: 65_536, nonces: { devNoncesLeft: 0, warnings: [warning] } })
    expect(text).toContain(`  WARNING              ${warning}\n`)
    expect(text).toMatch(/^ {2}nonces last for {6}no join: used up since \d{4}-/m)
  })

  test('of a 1.0.2 device that counts are recognised in device show, and accepted by the rule of 1.0.2', async () => {
    const [device] = await ScriptedDevice.enrol(installation, ['1.0.2'])
    const before = await show(device!)
    expect(before.text).toContain('\n  DevNonces            0 used, 65536 left\n')
    expect(before.text).toContain('\n  nonces last for      65536 joins\n')
    for (const devNonce of [0, 1, 2, 4, 5, 6, 7]) expect(await device!.join(network, devNonce)).toBe(true)
    expect((await show(device!)).json.nonces.behaviour).toBe('random')
    expect(await device!.join(network, 8)).toBe(true)
    const { json, text } = await show(device!)
    expect(json).toMatchObject({ devNoncesUsed: 8, lastDevNonce: 8 })
    expect(json.nonces).toMatchObject({ behaviour: 'counter-recognised', devNoncesLeft: 65_527, warnings: [] })
    expect(text).toContain('\n  DevNonces            8 used, last 8, 65527 left\n')
    expect(text).toContain('\n  nonce behaviour      counter (recognised), 1.1 DevNonces a join\n')
    expect(text).not.toContain('WARNING')
    expect(await device!.join(network, 3)).toBe(true)
    expect(await device!.join(network, 3)).toBe(false)
    expect(await device!.join(network, 8)).toBe(false)
  })
})
