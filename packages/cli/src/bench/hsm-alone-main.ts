/**
 * What the token alone can do, as a process: `node hsm-alone-main.ts --config FILE` answers joins with the code of a
 * worker, one after the other, without socket, server or database. Commands on standard input, answers on standard
 * output:
 *
 * - `start` begins to answer, after all of the first round were found right
 * - `window` {seconds} → {seconds, answered, p50Ms, p99Ms, maxMs} of the next seconds
 * - `stop` → {checked}
 *
 * The file: `{"data", "secretFile", "fleetFile", "kekFile", "netId"}`; the database has the fleet and the KEK.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { readSecretLine } from '@mortise/hsm'
import { answerJoin, openWorkbench, type Workbench } from '@mortise/hsm/workbench'
import {
  bytesToHex,
  devAddrToBytes,
  hexToBytes,
  is11,
  type NetId,
  netIdToBytes,
  parseDevAddr,
  parseNetId,
} from '@mortise/lorawan'
import { dataDirectory, openDatabase } from '@mortise/server'
import {
  Latencies,
  loadAcceptParameters,
  loadDevEui,
  LoadDevices,
  Members,
  readLoadFleet,
  serveCommands,
} from '@mortise/simulator'

type JoinCommand = Parameters<typeof answerJoin>[1]

/** Joins that are answered again and again. */
const POOL = 1000
const SLICE_MS = 5
const DEV_ADDR = parseDevAddr('26011bda')
const NETWORK_KEYS = { '1.0': ['NwkSKey'], '1.1': ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey'] } as const

class HsmAlone {
  readonly #workbench: Workbench
  readonly #commands: readonly JoinCommand[]
  #running = false
  #next = 0
  #latencies = new Latencies()

  constructor(workbench: Workbench, commands: readonly JoinCommand[]) {
    this.#workbench = workbench
    this.#commands = commands
  }

  start(): void {
    this.#running = true
    this.#slice()
  }

  stop(): void {
    this.#running = false
  }

  async window(seconds: number) {
    this.#latencies = new Latencies()
    const startedAt = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
    const elapsed = (performance.now() - startedAt) / 1000
    const [p50Ms = 0, p99Ms = 0, maxMs = 0] = this.#latencies.quantiles([0.5, 0.99, 1])
    return { seconds: elapsed, answered: this.#latencies.count, p50Ms, p99Ms, maxMs }
  }

  /** A stretch of joins, after which commands are looked at. */
  #slice(): void {
    if (!this.#running) return
    const end = performance.now() + SLICE_MS
    for (let now = performance.now(); now < end; ) {
      const command = this.#commands[this.#next]
      this.#next = (this.#next + 1) % this.#commands.length
      if (command !== undefined) answerJoin(this.#workbench.custody, command)
      const answered = performance.now()
      this.#latencies.add(answered - now)
      now = answered
    }
    setImmediate(() => {
      this.#slice()
    })
  }
}

/** The joins of the first devices, as the server would hand them to a worker. Returns those whose answers are right. */
function prepare(workbench: Workbench, members: Members, devices: LoadDevices, netId: NetId): JoinCommand[] {
  using storage = openDatabase(dataDirectory(members.text('data')).database, { readOnly: true })
  const { fleet } = devices
  const kek = storage.administration.listKeks().find(({ kind }) => kind === 'as')
  const { dlSettings, rxDelay, cfList } = loadAcceptParameters(netId, fleet.macVersion)
  return Array.from({ length: Math.min(POOL, fleet.size) }, (_, index) => {
    const { devNonce, phyPayload } = devices.joinRequest(index)
    const [keySet] = storage.joins.findKeySets(fleet.joinEui, loadDevEui(fleet, index))
    if (keySet === undefined) throw new Error(`device ${index} is not in the database`)
    const command: JoinCommand = {
      ...{ deviceRecord: keySet.record, phyPayload: Buffer.from(phyPayload), netId: Buffer.from(netIdToBytes(netId)) },
      ...{ devAddr: Buffer.from(devAddrToBytes(DEV_ADDR)), dlSettings, rxDelay, cfList: cfList && Buffer.from(cfList) },
      ...{ joinNonce: 1, nsKekRecord: undefined, asKekRecord: kek?.record, appSKeyToNetwork: false },
    }
    check(workbench, devices, index, devNonce, command)
    return command
  })
}

function check(
  { custody }: Workbench,
  devices: LoadDevices,
  index: number,
  devNonce: number,
  command: JoinCommand,
): void {
  const { phyPayload, networkKeys, appSKey } = answerJoin(custody, command)
  const names = NETWORK_KEYS[is11(devices.fleet.macVersion) ? '1.1' : '1.0']
  devices.checkAnswer(
    { index, devNonce, devAddr: DEV_ADDR },
    {
      phyPayload: bytesToHex(phyPayload),
      networkKeys: Object.fromEntries(networkKeys.map((key, place) => [names[place] ?? '', bytesToHex(key)])),
      appSKey: bytesToHex(appSKey ?? Buffer.alloc(0)),
    },
  )
}

const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
process.title = 'mortise bench hsm'
const members = Members.parse(readFileSync(values.config, 'utf8'))
using workbench = openWorkbench(dataDirectory(members.text('data')).hsm, readSecretLine(members.text('secretFile')))
const fleet = await readLoadFleet(members.text('fleetFile'))
const netId = parseNetId(members.text('netId'))
const kek = hexToBytes(readSecretLine(members.text('kekFile')).toString())
const devices = new LoadDevices(fleet, loadAcceptParameters(netId, fleet.macVersion), kek)
const commands = prepare(workbench, members, devices, netId)
const alone = new HsmAlone(workbench, commands)

await serveCommands(process.stdin, process.stdout, {
  start() {
    alone.start()
    return {}
  },
  window: (command) => alone.window(command.number('seconds')),
  stop() {
    alone.stop()
    return { checked: commands.length }
  },
})
alone.stop()
