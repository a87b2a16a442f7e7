import { createPrivateKey, createPublicKey } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { createHsm } from '../packages/hsm/src/ceremony/create-hsm.ts'
import { encodeReleaseAppSKey, encodeReleasedAppSKey } from '../packages/hsm/src/contract/app-s-key.ts'
import { encodeFrame, FRAME } from '../packages/hsm/src/contract/frames.ts'
import { encodeJoinAnswer, encodeJoinCommand, encodeVerifyJoinRequest } from '../packages/hsm/src/contract/join.ts'
import { encodeAcknowledgeOrder, encodeAppliedOrder, encodeApplyOrder } from '../packages/hsm/src/contract/order.ts'
import { encodeHello, encodeRefusal, encodeWelcome } from '../packages/hsm/src/contract/session.ts'
import { WireWriter } from '../packages/hsm/src/contract/wire.ts'
import { answerJoin } from '../packages/hsm/src/custody/answer-join.ts'
import { applyOrder, type ClaimAnswer } from '../packages/hsm/src/custody/apply-order.ts'
import type { Custody } from '../packages/hsm/src/custody/custody.ts'
import { Floors } from '../packages/hsm/src/custody/floors.ts'
import { KekCache } from '../packages/hsm/src/custody/kek-cache.ts'
import { releaseAppSKey } from '../packages/hsm/src/custody/release-app-s-key.ts'
import { HsmError } from '../packages/hsm/src/errors.ts'
import { envelopeDigest, sealEnvelope } from '../packages/hsm/src/orders/envelope.ts'
import { type Change, ORDER_FORMAT } from '../packages/hsm/src/orders/order.ts'
import { orderText, signerId, signOrder } from '../packages/hsm/src/orders/sign-order.ts'
import { ReceiptChain } from '../packages/hsm/src/receipts/chain.ts'
import { encodeReceiptAcknowledgement, encodeReceiptBundle } from '../packages/hsm/src/receipts/head.ts'
import { SealedStore } from '../packages/hsm/src/supervisor/sealed-store.ts'
import { openToken } from '../packages/hsm/src/token/open-token.ts'
import { aesCmac } from '../packages/hsm/test/soft/crypto-oracle.ts'

/**
 * Makes the golden files of the trust boundary, once for each format version. Every later release must open them, so this
 * never writes over a file that is there. Run: node vectors/make.ts
 *
 * All keys are published here, for tests only: they are 00, 01, 02… from a first byte that differs.
 */
const HERE = fileURLToPath(new URL('./trust-boundary-1/', import.meta.url))
const key = (first: number, size = 16): Buffer =>
  Buffer.from(Array.from({ length: size }, (_, i) => (first + i) & 0xff))
const id = (first: number): string => key(first).toString('hex')
const EUIS = { joinEui: parseJoinEui('70b3d57ed0000000'), devEui: parseDevEui('70b3d57ed0001234') }
const NET_ID = parseNetId('000013')
const AS_ID = 'door-sensors'
const OWNER = id(0xe0)

const ROOT_KEYS = { appKey10: key(0x10), appKey11: key(0x20), nwkKey11: key(0x30) }
const KEKS = { 'kek-ns-16': key(0x40, 16), 'kek-as-24': key(0x50, 24), 'kek-as-32': key(0x60, 32) }
const POLICY = { applicationServers: [AS_ID], networkIsApplicationServer: false, networks: [NET_ID] }

const DEVICE_10 = { ...EUIS, ...POLICY, device: id(0x01), owner: OWNER, macVersion: '1.0.4', appKey: 0 } as const
const DEVICE_11 = { ...DEVICE_10, device: id(0x02), macVersion: '1.1.0', appKey: 1, nwkKey: 2 } as const
const CHANGES: Change[] = [
  { action: 'device.add', ...DEVICE_10 },
  { action: 'device.add', ...DEVICE_11 },
  { action: 'kek.set', kek: id(0x03), kind: 'ns', recipient: NET_ID, owner: OWNER, label: 'ns-1', size: 16, key: 3 },
  { action: 'kek.set', kek: id(0x04), kind: 'as', recipient: AS_ID, owner: OWNER, label: 'as-1', size: 24, key: 4 },
  { action: 'kek.set', kek: id(0x05), kind: 'as', recipient: AS_ID, owner: OWNER, label: 'as-2', size: 32, key: 5 },
]
/** Ed25519 private key of 32 bytes, in the PKCS #8 wrapping of RFC 8410. */
const OPERATOR = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), key(0x70, 32)]),
  format: 'der',
  type: 'pkcs8',
})

async function main(): Promise<void> {
  if (existsSync(HERE)) throw new Error(`${HERE} exists: golden files are made once, for each format version`)
  const directory = mkdtempSync(join(tmpdir(), 'mortise-vectors-'))
  const hsm = makeHsm(directory)
  const files = await makeFiles(hsm)
  mkdirSync(HERE)
  for (const [name, content] of Object.entries({ ...hsm.files, ...files }))
    writeFileSync(join(HERE, name), content, { flag: 'wx' })
  rmSync(directory, { recursive: true })
}

function makeHsm(root: string) {
  const secret = Buffer.from('published passphrase')
  const operatorPublicKey = createPublicKey(OPERATOR).export({ format: 'der', type: 'spki' })
  const paths = {
    directory: join(root, 'hsm'),
    recoveryFile: join(root, 'recovery'),
    recoveryKeyFile: join(root, 'key'),
  }
  createHsm({ ...paths, backend: { kind: 'soft' }, secret, operatorPublicKey })
  const { state } = SealedStore.open(paths.directory, Buffer.from(secret))
  const files = {
    'recovery.json': readFileSync(paths.recoveryFile),
    'recovery-key.txt': readFileSync(paths.recoveryKeyFile),
    'store.sealed': readFileSync(join(paths.directory, 'store')),
    'operator-public-key.spki': operatorPublicKey,
    'receipt-public-key.spki': state.receiptPublicKey,
  }
  return { state, files, operatorPublicKey }
}

async function makeFiles({
  state,
  operatorPublicKey,
}: ReturnType<typeof makeHsm>): Promise<Record<string, Buffer | string>> {
  const token = openToken(state.backend, undefined)
  const floors = new Floors(new Map())
  const receipts: Buffer[] = []
  const chain = new ReceiptChain(
    { hsmId: state.hsmId, bootEpoch: 1_767_323_045_678, worker: 1 },
    (m) => token.sign(m),
    (r) => receipts.push(r),
  )
  const { storageKeyId, hsmId } = state
  const custody: Custody = {
    token,
    storageKeyId,
    floors,
    keks: new KekCache(token, storageKeyId, floors),
    receipts: chain,
  }

  const keys = [...Object.values(ROOT_KEYS), ...Object.values(KEKS)]
  const envelope = sealEnvelope(state.importPublicKey, keys)
  const signer = signerId(operatorPublicKey)
  const text = orderText({
    format: ORDER_FORMAT,
    hsm: hsmId.toString('hex'),
    signer: signer.toString('hex'),
    sequence: 1,
    issuedAt: '2026-01-02T03:04:05.678Z',
    envelope: envelopeDigest(envelope),
    changes: CHANGES,
  })
  const order = { text, signatures: [signOrder(text, OPERATOR)], envelope, records: [] }
  const claim: ClaimAnswer = { kind: 'new', kekVersions: [1, 1, 2] }
  const ledger = { claim: () => Promise.resolve(claim), commit: () => Promise.resolve(2), abandon: () => undefined }
  const applied = await applyOrder(custody, { hsmId, operatorPublicKey }, ledger, order)
  const records = applied.changes.map(({ record }) => record ?? Buffer.alloc(0))
  const [device10, device11, nsKek, asKek24, asKek32] = records as [Buffer, Buffer, Buffer, Buffer, Buffer]

  const join = {
    deviceRecord: device11,
    phyPayload: joinRequest(),
    netId: Buffer.from(NET_ID, 'hex'),
    devAddr: Buffer.from('26011bda', 'hex'),
    dlSettings: 0x83,
    rxDelay: 1,
    cfList: Buffer.from('184f84e85684b85e84886684586e8400', 'hex'),
    joinNonce: 0x000102,
    nsKekRecord: nsKek,
    asKekRecord: asKek24,
    appSKeyToNetwork: 'no' as const,
  }
  const joined = answerJoin(custody, join)
  const release = { deviceRecord: device11, sessionRecord: joined.sessionRecord, asKekRecord: asKek32 }
  const released = releaseAppSKey(custody, release)
  const bundle = { receipts, heads: [chain.head(false), chain.head(true)] }
  const welcome = {
    hsmId,
    backend: 'soft' as const,
    epoch: 2,
    bootEpoch: chain.bootEpoch,
    worker: 1,
    workers: 2,
    importPublicKey: state.importPublicKey,
    receiptPublicKey: state.receiptPublicKey,
    operatorPublicKey,
    lastSequence: 1,
  }
  const status = { state: 'unsealed', backend: 'soft', hsmId: hsmId.toString('hex'), epoch: 2, workers: 2 }
  const nothing = Buffer.alloc(0)
  const frames: Record<keyof typeof FRAME, Buffer> = {
    hello: encodeHello({ knownEpoch: 2 }),
    welcome: encodeWelcome(welcome),
    answerJoin: encodeJoinCommand(join),
    joinAnswered: encodeJoinAnswer(joined),
    verifyJoinRequest: encodeVerifyJoinRequest(join),
    joinRequestVerified: nothing,
    releaseAppSKey: encodeReleaseAppSKey(release),
    appSKeyReleased: encodeReleasedAppSKey(released),
    applyOrder: encodeApplyOrder(order),
    orderApplied: encodeAppliedOrder(applied),
    acknowledgeOrder: encodeAcknowledgeOrder(signer, 1),
    acknowledgeReceipts: encodeReceiptAcknowledgement({ bootEpoch: chain.bootEpoch, worker: 1, sequence: 3 }),
    receipts: encodeReceiptBundle(bundle),
    refused: encodeRefusal(new HsmError('mic_mismatch', 'a detail')),
    unseal: new WireWriter().bytes(Buffer.from('published passphrase')).finish(),
    unsealed: nothing,
    status: nothing,
    statusReported: Buffer.from(JSON.stringify(status)),
  }
  const hexFrames = Object.entries(frames).map(([name, payload]) => {
    const type = FRAME[name as keyof typeof FRAME]
    return [name, encodeFrame(type, name === 'receipts' ? 0 : 7, payload).toString('hex')]
  })
  token[Symbol.dispose]()
  return {
    'device-1.0.4.record': device10,
    'device-1.1.record': device11,
    'kek-ns-16.record': nsKek,
    'kek-as-24.record': asKek24,
    'kek-as-32.record': asKek32,
    'session-1.1.record': joined.sessionRecord,
    'frames.json': `${JSON.stringify(Object.fromEntries(hexFrames), null, 2)}\n`,
  }
}

/** Of the 1.1 device, with DevNonce 1. */
function joinRequest(): Buffer {
  const frame = Buffer.alloc(23)
  Buffer.from(EUIS.joinEui, 'hex').reverse().copy(frame, 1)
  Buffer.from(EUIS.devEui, 'hex').reverse().copy(frame, 9)
  frame.writeUInt16LE(1, 17)
  aesCmac(ROOT_KEYS.nwkKey11, frame.subarray(0, 19)).copy(frame, 19, 0, 4)
  return frame
}

await main()
