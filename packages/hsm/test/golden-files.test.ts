import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { restoreHsm } from '../src/ceremony/create-hsm.ts'
import { decodeReleaseAppSKey, decodeReleasedAppSKey } from '../src/contract/app-s-key.ts'
import { FRAME, FrameSplitter } from '../src/contract/frames.ts'
import { decodeJoinAnswer, decodeJoinCommand } from '../src/contract/join.ts'
import { decodeAppliedOrder, decodeApplyOrder } from '../src/contract/order.ts'
import { decodeWelcome } from '../src/contract/session.ts'
import { answerJoin } from '../src/custody/answer-join.ts'
import { type Custody, openDeviceRecord } from '../src/custody/custody.ts'
import { Floors } from '../src/custody/floors.ts'
import { KekCache } from '../src/custody/kek-cache.ts'
import { releaseAppSKey } from '../src/custody/release-app-s-key.ts'
import { parseEnvelope } from '../src/orders/envelope.ts'
import { parseOrder } from '../src/orders/parse-order.ts'
import { verifyOrderSignature } from '../src/orders/sign-order.ts'
import { ReceiptChain } from '../src/receipts/chain.ts'
import { decodeReceiptBundle, verifyReceiptHead } from '../src/receipts/head.ts'
import { decodeReceipt, receiptHash } from '../src/receipts/receipt.ts'
import { decodeRecoveryFile } from '../src/store/recovery-file.ts'
import { openFile } from '../src/store/sealed-file.ts'
import { decodeStoreState } from '../src/store/state.ts'
import { SealedStore } from '../src/supervisor/sealed-store.ts'
import { openToken } from '../src/token/open-token.ts'
import type { Token } from '../src/token/token.ts'
import { keyUnwrap } from './soft/crypto-oracle.ts'
import { bitFlips, codeOf, flipBit } from './support/refusal.ts'
import { BACKENDS, TestHsm } from './support/test-hsm.ts'

const DIRECTORY = fileURLToPath(new URL('../../../vectors/trust-boundary-1/', import.meta.url))
const file = (name: string): Buffer => readFileSync(join(DIRECTORY, name))
const counting = (first: number, size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, i) => first + i))

const FRAMES = JSON.parse(file('frames.json').toString()) as Record<keyof typeof FRAME, string>
const payload = (name: keyof typeof FRAME): Buffer => {
  const [frame] = new FrameSplitter().push(Buffer.from(FRAMES[name], 'hex'))
  if (frame === undefined) throw new Error(`${name} is not one frame`)
  return frame.payload
}
const RECOVERY_KEY = Buffer.from(file('recovery-key.txt').toString().trim(), 'hex')

describe.each(BACKENDS)('the golden files open, %s', (backend) => {
  let hsm: TestHsm
  let token: Token
  let custody: Custody

  beforeAll(() => {
    // Another HSM of this back end, with the storage keys of the file.
    hsm = new TestHsm(backend)
    const directory = join(hsm.root, 'restored')
    restoreHsm({
      directory,
      backend: hsm.choice,
      secret: hsm.secret(),
      operatorPublicKey: file('operator-public-key.spki'),
      recovery: file('recovery.json'),
      recoveryKey: RECOVERY_KEY,
    })
    const { state } = SealedStore.open(directory, hsm.secret())
    token = openToken(state.backend, hsm.secret())
    const floors = new Floors(new Map())
    const { storageKeyId, hsmId } = state
    const keks = new KekCache(token, storageKeyId, floors)
    const sign = (message: Buffer): Buffer => token.sign(message)
    const receipts = new ReceiptChain({ hsmId, bootEpoch: 1, worker: 1 }, sign, () => undefined)
    custody = { token, storageKeyId, floors, keks, receipts }
  })
  afterAll(() => {
    token[Symbol.dispose]()
    hsm[Symbol.dispose]()
  })

  test('device and KEK records, and the join of the session record gives the same bytes', () => {
    const command = decodeJoinCommand(payload('answerJoin'))
    expect(command.deviceRecord).toEqual(file('device-1.1.record'))
    const answer = answerJoin(custody, command)
    const golden = decodeJoinAnswer(payload('joinAnswered'))
    expect({ ...answer, receipt: undefined }).toEqual({ ...golden, receipt: undefined })
    expect(answer.sessionRecord).toEqual(file('session-1.1.record'))
    const appSKey = keyUnwrap(counting(0x50, 24), answer.appSKey!)
    const released = releaseAppSKey(custody, decodeReleaseAppSKey(payload('releaseAppSKey')))
    expect(released.appSKey).toEqual(decodeReleasedAppSKey(payload('appSKeyReleased')).appSKey)
    expect(keyUnwrap(counting(0x60, 32), released.appSKey)).toEqual(appSKey)
    expect(openDeviceRecord(custody, file('device-1.0.4.record')).macVersion).toBe('1.0.4')
  })

  test('and none of the records with any bit changed', () => {
    const release = decodeReleaseAppSKey(payload('releaseAppSKey'))
    const openings: [string, (record: Buffer) => unknown][] = [
      ['device-1.0.4.record', (record) => openDeviceRecord(custody, record)],
      ['device-1.1.record', (record) => openDeviceRecord(custody, record)],
      ['kek-ns-16.record', (record) => custody.keks.open(record, 'ns')],
      ['kek-as-24.record', (record) => custody.keks.open(record, 'as')],
      ['kek-as-32.record', (record) => custody.keks.open(record, 'as')],
      ['session-1.1.record', (record) => releaseAppSKey(custody, { ...release, sessionRecord: record })],
    ]
    for (const [name, open] of openings) {
      expect(
        codeOf(() => open(file(name))),
        name,
      ).toBe('accepted')
      for (const { bit, flipped } of bitFlips(file(name)))
        expect(
          codeOf(() => open(flipped)),
          `${name} bit ${bit}`,
        ).toMatch(/^record_|^storage_key_unknown$/)
    }
  })
})

describe('the golden files', () => {
  test('the recovery file opens, and not with any bit of its members or of its key changed', () => {
    const recovery = file('recovery.json')
    expect(decodeRecoveryFile(RECOVERY_KEY, recovery).createdAt).toMatch(/Z$/)
    // White space between the members is free, and is the only thing that is.
    for (const { bit, flipped } of bitFlips(recovery)) {
      if (/\s/.test(String.fromCharCode(recovery.readUInt8(bit >> 3)))) continue
      expect(
        codeOf(() => decodeRecoveryFile(RECOVERY_KEY, flipped)),
        `bit ${bit}`,
      ).toMatch(/^(store_damaged|wrong_passphrase)$/)
    }
    for (const { flipped } of bitFlips(RECOVERY_KEY))
      expect(codeOf(() => decodeRecoveryFile(flipped, recovery))).toBe('wrong_passphrase')
  })

  test('the sealed store opens with its passphrase, and not with a bit changed', () => {
    const sealed = file('store.sealed')
    const open = (bytes: Buffer): unknown => openFile(bytes, { passphrase: Buffer.from('published passphrase') })
    const { payload: state } = openFile(sealed, { passphrase: Buffer.from('published passphrase') })
    expect(decodeStoreState(state).backend.kind).toBe('soft')
    // Each try costs a scrypt: the header whole, and a sample of the rest.
    const bits = [...Array(8 * 10).keys(), ...Array.from({ length: 12 }, (_, i) => 8 * 70 * (i + 1) + i)]
    for (const bit of bits)
      expect(
        codeOf(() => open(flipBit(sealed, bit))),
        `bit ${bit}`,
      ).toMatch(/^(store_damaged|wrong_passphrase)$/)
  })

  test('the order is signed, and its envelope is the one it names', () => {
    const order = decodeApplyOrder(payload('applyOrder'))
    const operator = file('operator-public-key.spki')
    expect(verifyOrderSignature(order.text, order.signatures[0]!, operator)).toBe(true)
    expect(parseOrder(order.text).changes.length).toBe(5)
    expect(parseEnvelope(order.envelope!).keys.map((key) => key.length)).toEqual([24, 24, 24, 24, 32, 40])
    const made = decodeAppliedOrder(payload('orderApplied')).changes.map(({ record }) => record)
    const names = ['device-1.0.4', 'device-1.1', 'kek-ns-16', 'kek-as-24', 'kek-as-32']
    expect(made).toEqual(names.map((name) => file(`${name}.record`)))
    for (const { flipped } of bitFlips(order.text.subarray(0, 200)))
      expect(verifyOrderSignature(flipped, order.signatures[0]!, operator)).toBe(false)
  })

  test('the receipts are a chain, and the heads say where it stands and ends', () => {
    const { receipts, heads } = decodeReceiptBundle(payload('receipts'))
    const publicKey = file('receipt-public-key.spki')
    let previous: Buffer = Buffer.alloc(32)
    for (const receipt of receipts) {
      expect(decodeReceipt(receipt).previous).toEqual(previous)
      previous = receiptHash(receipt)
    }
    expect(receipts.map((receipt) => decodeReceipt(receipt).operation)).toEqual([
      'applyOrder',
      'answerJoin',
      'releaseAppSKey',
    ])
    expect(heads.map(({ closing }) => closing)).toEqual([false, true])
    for (const head of heads) {
      expect(verifyReceiptHead(head, publicKey)).toBe(true)
      expect(head).toMatchObject({ sequence: 3, hash: previous })
    }
  })

  test('there is a frame of every type', () => {
    expect(Object.keys(FRAMES).sort()).toEqual(Object.keys(FRAME).sort())
    expect(decodeWelcome(payload('welcome')).receiptPublicKey).toEqual(file('receipt-public-key.spki'))
    for (const [name, hex] of Object.entries(FRAMES)) {
      const frames = new FrameSplitter().push(Buffer.from(hex, 'hex'))
      expect(frames.map(({ type }) => type)).toEqual([FRAME[name as keyof typeof FRAME]])
    }
  })

  test('are not made over', () => {
    const script = fileURLToPath(new URL('../../../vectors/make.ts', import.meta.url))
    const before = file('recovery.json')
    expect(() => execFileSync(process.execPath, [script], { stdio: 'pipe' })).toThrow(/made once/)
    expect(file('recovery.json')).toEqual(before)
    expect(existsSync(DIRECTORY)).toBe(true)
    expect(() => {
      writeFileSync(join(DIRECTORY, 'recovery.json'), '', { flag: 'wx' })
    }).toThrow()
  })
})
