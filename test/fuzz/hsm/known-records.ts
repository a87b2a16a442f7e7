import type { FuzzDevice } from '../device-keys.ts'

/** What the fuzzer knows of the records of the HSM, byte for byte: everything else is not genuine. */
export type KnownRecord = KnownDevice | KnownKek | KnownSession

export interface KnownDevice {
  readonly kind: 'device'
  readonly bytes: Buffer
  /** 32 hex digits, as all ids here. */
  readonly id: string
  readonly owner: string
  readonly device: FuzzDevice
  readonly networks: readonly string[]
  readonly applicationServers: readonly string[]
  readonly networkIsApplicationServer: boolean
  /** Whether no order has replaced or removed it. */
  readonly current: boolean
}

export interface KnownKek {
  readonly kind: 'ns' | 'as'
  readonly bytes: Buffer
  readonly owner: string
  readonly recipient: string
  readonly value: Buffer
  readonly current: boolean
}

export interface KnownSession {
  readonly kind: 'session'
  readonly bytes: Buffer
  readonly deviceId: string
  readonly owner: string
  readonly appSKey: Buffer
}

export class KnownRecords {
  readonly devices: readonly KnownDevice[]
  readonly keks: readonly KnownKek[]
  readonly sessions: readonly KnownSession[]
  readonly #byBytes: ReadonlyMap<string, KnownRecord>

  constructor(records: readonly KnownRecord[]) {
    this.devices = records.filter((record) => record.kind === 'device')
    this.keks = records.flatMap((record) => (record.kind === 'ns' || record.kind === 'as' ? [record] : []))
    this.sessions = records.filter((record) => record.kind === 'session')
    this.#byBytes = new Map(records.map((record) => [record.bytes.toString('latin1'), record]))
  }

  /** All of their bytes, for records to be taken for one another. */
  get bytes(): Buffer[] {
    return [...this.devices, ...this.keks, ...this.sessions].map(({ bytes }) => bytes)
  }

  device(bytes: Buffer): KnownDevice | undefined {
    const record = this.#find(bytes)
    return record?.kind === 'device' && record.current ? record : undefined
  }

  kek(bytes: Buffer, kind: 'ns' | 'as'): KnownKek | undefined {
    const record = this.#find(bytes)
    return record?.kind === kind && record.current ? record : undefined
  }

  session(bytes: Buffer): KnownSession | undefined {
    const record = this.#find(bytes)
    return record?.kind === 'session' ? record : undefined
  }

  #find(bytes: Buffer): KnownRecord | undefined {
    return this.#byBytes.get(bytes.toString('latin1'))
  }
}
