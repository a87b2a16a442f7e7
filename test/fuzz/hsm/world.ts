import { rmSync, writeFileSync } from 'node:fs'
import { restoreHsm } from '../../../packages/hsm/src/ceremony/create-hsm.ts'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import {
  type ApplyOrderCommand,
  encodeAcknowledgeOrder,
  encodeApplyOrder,
} from '../../../packages/hsm/src/contract/order.ts'
import { SealingKey } from '../../../packages/hsm/src/store/sealed-file.ts'
import { encodeStoreState } from '../../../packages/hsm/src/store/state.ts'
import { HsmProcess } from '../../../packages/hsm/test/support/hsm-process.ts'
import { Operator } from '../../../packages/hsm/test/support/operator.ts'
import { type BackendName, TestHsm } from '../../../packages/hsm/test/support/test-hsm.ts'
import type { Secrets } from '../../support/memory.ts'
import { demand } from '../failure.ts'
import {
  goldenDevices,
  goldenFile,
  goldenKeks,
  goldenSession,
  OPERATOR_SEED,
  operatorKey,
  RECOVERY_KEY,
  storageKeys,
} from './golden.ts'
import { Link } from './link.ts'
import { type KnownRecord, KnownRecords } from './known-records.ts'
import { readOrderApplied } from './read-answer.ts'
import { additions, DEVICES, fates, KEKS, sceneKeys, type SceneDevice } from './scenery.ts'

const CHEAP_SCRYPT = { logN: 10, r: 1, p: 1 }

/**
 * An HSM restored from the golden recovery file, so that the golden records are its own, with a few more records; and a
 * second one that stays sealed, whose passphrase costs little to try.
 */
export class HsmWorld implements AsyncDisposable {
  readonly processes: HsmProcess
  readonly sealed: HsmProcess
  readonly sealedHsm: TestHsm
  readonly operator: Operator
  readonly records: KnownRecords
  readonly #disposables: AsyncDisposableStack

  private constructor(
    processes: HsmProcess,
    sealed: { readonly processes: HsmProcess; readonly hsm: TestHsm },
    operator: Operator,
    records: KnownRecords,
    disposables: AsyncDisposableStack,
  ) {
    this.processes = processes
    this.sealed = sealed.processes
    this.sealedHsm = sealed.hsm
    this.operator = operator
    this.records = records
    this.#disposables = disposables
  }

  static async create(backend: BackendName): Promise<HsmWorld> {
    await using cleanup = new AsyncDisposableStack()
    const hsm = cleanup.use(new TestHsm(backend))
    const operator = restoreGolden(hsm)
    const processes = cleanup.use(await HsmProcess.start(hsm))
    const records = new KnownRecords(await makeRecords(processes, operator))
    const sealedHsm = cleanup.use(new TestHsm('soft'))
    sealCheaply(sealedHsm)
    const sealed = cleanup.use(await HsmProcess.start(sealedHsm, { workers: 1, sealed: true }))
    return new HsmWorld(processes, { processes: sealed, hsm: sealedHsm }, operator, records, cleanup.move())
  }

  /** Every key that the fuzzer knows, by name. */
  secrets(): Secrets {
    const devices = this.records.devices.flatMap(({ id, device: { appKey, nwkKey } }): [string, Buffer][] => [
      [`AppKey of ${id}`, appKey],
      ...(nwkKey === undefined ? [] : [[`NwkKey of ${id}`, nwkKey] as [string, Buffer]]),
    ])
    const keks = this.records.keks.map(({ recipient, value }, index): [string, Buffer] => [
      `KEK ${index} of ${recipient}`,
      value,
    ])
    const sessions = this.records.sessions.map(({ deviceId, appSKey }): [string, Buffer] => [
      `AppSKey of ${deviceId}`,
      appSKey,
    ])
    return new Map([...devices, ...keks, ...sessions, ...storageKeys(), ['operator key', OPERATOR_SEED]])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disposables[Symbol.asyncDispose]()
  }
}

/** Puts the golden storage keys in the place of an HSM's own. */
function restoreGolden(hsm: TestHsm): Operator {
  rmSync(hsm.directory, { recursive: true })
  const created = restoreHsm({
    directory: hsm.directory,
    backend: hsm.choice,
    secret: hsm.secret(),
    operatorPublicKey: goldenFile('operator-public-key.spki'),
    recovery: goldenFile('recovery.json'),
    recoveryKey: RECOVERY_KEY,
  })
  return new Operator(operatorKey(), created)
}

/** The same store under a passphrase that is tried in a millisecond, for as many tries as there are cases. */
function sealCheaply(hsm: TestHsm): void {
  const payload = encodeStoreState(hsm.readState())
  writeFileSync(hsm.storeFile, SealingKey.fromPassphrase(hsm.secret(), CHEAP_SCRYPT).seal(payload))
}

async function makeRecords(processes: HsmProcess, operator: Operator): Promise<KnownRecord[]> {
  const link = await Link.open(processes.serverSocket)
  const scene = [...DEVICES, ...KEKS]
  const made = await applied(link, operator.order(additions(), sceneKeys()))
  const replaced = made.filter((_, index) => scene[index]?.fate !== 'kept')
  const [changed] = await applied(link, operator.order(fates(), [], replaced))
  link.tell(FRAME.acknowledgeOrder, encodeAcknowledgeOrder(operator.signer, operator.sequence))
  link.close()
  const recordOf = (index: number): Buffer => made[index] ?? Buffer.alloc(0)
  const devices = DEVICES.flatMap((device, index): KnownRecord[] => {
    const known = knownDevice(device, recordOf(index))
    if (device.fate !== 'changed' || changed === undefined) return [known]
    return [known, { ...known, bytes: changed, applicationServers: [], current: true }]
  })
  const keks = KEKS.map(({ kind, owner, recipient, value, fate }, index): KnownRecord => {
    return { kind, owner, recipient, value, bytes: recordOf(DEVICES.length + index), current: fate === 'kept' }
  })
  return [...goldenDevices(), ...goldenKeks(), goldenSession(), ...devices, ...keks]
}

function knownDevice(scene: SceneDevice, bytes: Buffer): Extract<KnownRecord, { kind: 'device' }> {
  const { id, owner, device, networks, applicationServers, networkIsApplicationServer, fate } = scene
  const policy = { networks, applicationServers, networkIsApplicationServer }
  return { kind: 'device', bytes, id, owner, device, ...policy, current: fate === 'kept' }
}

/** The records that an order made, in the order of its changes. */
async function applied(link: Link, command: ApplyOrderCommand): Promise<Buffer[]> {
  const answer = await link.ask(FRAME.applyOrder, encodeApplyOrder(command))
  const order = answer?.type === FRAME.orderApplied ? readOrderApplied(answer.payload) : undefined
  demand(order !== undefined, 'setup', `an order is not applied: ${String(answer?.payload)}`)
  return order.changes.flatMap(({ record }) => (record === undefined ? [] : [record]))
}
