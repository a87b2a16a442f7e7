import { rmSync } from 'node:fs'
import {
  type AloneDialogue,
  AskedProcess,
  decodeJoinAnswer,
  encodeJoinCommand,
  HSM_BENCH_ALONE_MAIN,
  readSecretLine,
} from '@mortise/hsm'
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
import { openDatabase } from '@mortise/server'
import { loadAcceptParameters, loadDevEui, LoadDevices, readLoadFleet } from '@mortise/simulator'
import { CliError, messageOf } from '../errors.ts'
import type { BenchInstallation } from './installation.ts'
import type { Drive, LoadWindow } from './measure.ts'
import { childrenOf } from './processes.ts'

/** Joins that are answered again and again. */
const POOL = 1000
const DEV_ADDR = parseDevAddr('26011bda')
const NETWORK_KEYS = { '1.0': ['NwkSKey'], '1.1': ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey'] } as const

/** A join as the server would hand it to a worker, encoded. */
interface Join {
  readonly index: number
  readonly devNonce: number
  readonly command: Buffer
}

/** The token without the product: as many processes as the product has workers, each with a session of its own. */
export class HsmAlone implements Drive, AsyncDisposable {
  readonly #process: AskedProcess<AloneDialogue>
  readonly #installation: BenchInstallation
  #checked = 0

  private constructor(installation: BenchInstallation) {
    this.#installation = installation
    this.#process = new AskedProcess({ program: HSM_BENCH_ALONE_MAIN, environment: installation.environment })
  }

  /**
   * Opens the HSM of an installation that nobody serves and that is deleted at the end, and checks what it answers.
   * @throws CliError bench_failed, bench_answer_wrong
   */
  static async start(installation: BenchInstallation, processes: number): Promise<HsmAlone> {
    await using stack = new AsyncDisposableStack()
    const alone = stack.use(new HsmAlone(installation))
    const { directory, secretFile } = installation
    try {
      await alone.#process.ask('open', { directory: directory.hsm, secretFile, processes })
      await alone.#prepare()
    } catch (error) {
      if (error instanceof CliError) throw error
      throw new CliError('bench_failed', `the token alone: ${messageOf(error)}`, { cause: error })
    }
    stack.move()
    return alone
  }

  get pids(): number[] {
    return this.#process.pid === undefined ? [] : childrenOf(this.#process.pid)
  }

  async start(): Promise<void> {
    await this.#process.ask('run', {})
  }

  /** The rates of all added up; of the times the worst. */
  async window(seconds: number): Promise<LoadWindow> {
    const windows = await this.#process.ask('window', { seconds })
    const max = (name: 'seconds' | 'p50Ms' | 'p99Ms' | 'maxMs') => Math.max(...windows.map((window) => window[name]))
    return {
      seconds: max('seconds'),
      ...{ answered: windows.reduce((total, { answered }) => total + answered, 0), refused: 0 },
      ...{ p50Ms: max('p50Ms'), p99Ms: max('p99Ms'), maxMs: max('maxMs'), idle: 0, connected: 0 },
    }
  }

  async stop(): Promise<number> {
    await this.#process.ask('halt', {})
    return this.#checked
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
    rmSync(this.#installation.root, { recursive: true, force: true })
  }

  /** Each process answers every join once; all answers are checked as a device would. */
  async #prepare(): Promise<void> {
    const { fleetFile, kekFile, plan } = this.#installation
    const fleet = await readLoadFleet(fleetFile)
    const kek = hexToBytes(readSecretLine(kekFile).toString())
    const netId = parseNetId(plan.networks[0] ?? '')
    const accept = loadAcceptParameters(netId, fleet.macVersion)
    const joins = readJoins(this.#installation, new LoadDevices(fleet, accept, kek), netId)
    const answered = await this.#process.ask('prepare', { commands: joins.map(({ command }) => command) })
    for (const { answers } of answered) {
      // All processes get the same joins: for each of them the devices are new.
      const devices = new LoadDevices(fleet, accept, kek)
      for (const [place, join] of joins.entries()) check(devices, join, answers[place])
      this.#checked += joins.length
    }
  }
}

/** Joins of the first devices. */
function readJoins({ directory }: BenchInstallation, devices: LoadDevices, netId: NetId): Join[] {
  using storage = openDatabase(directory.database, { readOnly: true })
  const { fleet } = devices
  const kek = storage.administration.listKeks().find(({ kind }) => kind === 'as')
  const { dlSettings, rxDelay, cfList } = loadAcceptParameters(netId, fleet.macVersion)
  return Array.from({ length: Math.min(POOL, fleet.size) }, (_, index) => {
    const { devNonce, phyPayload } = devices.joinRequest(index)
    const [keySet] = storage.joins.findKeySets(fleet.joinEui, loadDevEui(fleet, index))
    if (keySet === undefined) throw new CliError('bench_failed', `device ${index} is not in the database`)
    const command = encodeJoinCommand({
      ...{ deviceRecord: keySet.record, phyPayload: Buffer.from(phyPayload), netId: Buffer.from(netIdToBytes(netId)) },
      ...{ devAddr: Buffer.from(devAddrToBytes(DEV_ADDR)), dlSettings, rxDelay, cfList: cfList && Buffer.from(cfList) },
      ...{ joinNonce: 1, nsKekRecord: undefined, asKekRecord: kek?.record, appSKeyToNetwork: 'no' },
    })
    return { index, devNonce, command }
  })
}

/** @throws CliError bench_answer_wrong */
function check(devices: LoadDevices, { index, devNonce }: Join, answer: Uint8Array = new Uint8Array()): void {
  const names = NETWORK_KEYS[is11(devices.fleet.macVersion) ? '1.1' : '1.0']
  try {
    const { phyPayload, networkKeys, appSKey } = decodeJoinAnswer(Buffer.from(answer))
    devices.checkAnswer(
      { index, devNonce, devAddr: DEV_ADDR },
      {
        phyPayload: bytesToHex(phyPayload),
        networkKeys: Object.fromEntries(networkKeys.map((key, place) => [names[place] ?? '', bytesToHex(key)])),
        appSKey: bytesToHex(appSKey ?? Buffer.alloc(0)),
      },
    )
  } catch (error) {
    throw new CliError('bench_answer_wrong', `the token alone, device ${index}: ${messageOf(error)}`, { cause: error })
  }
}
