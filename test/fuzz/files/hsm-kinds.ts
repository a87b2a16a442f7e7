import { isDeepStrictEqual } from 'node:util'
import {
  decodeDeviceRecord,
  decodeKekRecord,
  decodeReceipt,
  decodeReceiptBundle,
  decodeSessionRecord,
} from '@mortise/hsm'
import { parseEnvelope } from '../../../packages/hsm/src/orders/envelope.ts'
import { parseOrder } from '../../../packages/hsm/src/orders/parse-order.ts'
import { type ChainEnd, decodeChainEnds, encodeChainEnds } from '../../../packages/hsm/src/receipts/chain-end.ts'
import { decodeRecoveryFile } from '../../../packages/hsm/src/store/recovery-file.ts'
import { openFile } from '../../../packages/hsm/src/store/sealed-file.ts'
import { decodeStoreState, encodeStoreState, type StoreState } from '../../../packages/hsm/src/store/state.ts'
import {
  type BackendFile,
  decodeBackendFile,
  encodeBackendFile,
} from '../../../packages/hsm/src/supervisor/backend-file.ts'
import { canonicalJson } from '../json/canonical.ts'
import { Cursor } from '../hsm/cursor.ts'
import { readReceipts } from '../hsm/read-answer.ts'
import { goldenFile, RECOVERY_KEY } from '../hsm/golden.ts'
import type { FileKind } from './kinds.ts'
import { mutateBinary, mutateJson } from './mutations.ts'
import { goldenPayload, PASSPHRASE, SEALED_BY_PASSPHRASE, SEALED_BY_TOKEN, storePayload, TOKEN_KEY } from './seeds.ts'

const RECORD_REFUSALS = ['record_malformed', 'record_format_unsupported', 'record_type_mismatch'].map(
  (code) => `HsmError: ${code}`,
)
const SEALED_REFUSALS = ['HsmError: store_damaged', 'HsmError: wrong_passphrase']
const MALFORMED = ['HsmError: frame_malformed']
/** What a damaged file may ask of scrypt before it costs more than the golden one: log2 of N * r * p. */
const MAX_SCRYPT_COST = 16
const SCRYPT_AT = 10

const PKCS11: BackendFile = {
  kind: 'pkcs11',
  module: '/usr/lib/softhsm/libsofthsm2.so',
  tokenLabel: 'mortise',
  objectPrefix: 'mortise-604c86931fc9ab52',
  bindingBlob: Buffer.alloc(40, 7),
}
const RECEIPTS = [...(readReceipts(goldenPayload('receipts')) ?? [])]
const CHAIN_ENDS: readonly ChainEnd[] = [
  { bootEpoch: 1_767_323_045_678, worker: 1, sequence: 3, hash: Buffer.alloc(32, 1), receipts: RECEIPTS },
  { bootEpoch: 1_767_323_045_678, worker: 2, sequence: 0, hash: Buffer.alloc(32), receipts: [] },
]
const ORDER = new Cursor(goldenPayload('applyOrder'))
const ORDER_TEXT = ORDER.bytes()
ORDER.take(1 + 16 + 64)
const ENVELOPE = ORDER.bytes()

const fine = (): undefined => undefined
const opened = (_value: unknown, bytes: Buffer, seed: Buffer): string | undefined =>
  bytes.equals(seed) ? undefined : 'a damaged file is opened'

/** The files of the trust boundary, and what it reads from its sockets and from the database. */
export const HSM_KINDS: readonly FileKind[] = [
  {
    name: 'sealed file, passphrase',
    seeds: [SEALED_BY_PASSPHRASE],
    mutate: (random, seed, seeds) => {
      const mutated = mutateBinary(random, seed, seeds)
      return scryptCost(mutated) > MAX_SCRYPT_COST ? seed : mutated
    },
    read: (bytes) => openFile(bytes, { passphrase: Buffer.from(PASSPHRASE) }),
    refusals: SEALED_REFUSALS,
    complaint: opened,
  },
  {
    name: 'sealed file, token',
    seeds: [SEALED_BY_TOKEN],
    mutate: mutateBinary,
    read: (bytes) => openFile(bytes, { tokenKey: Buffer.from(TOKEN_KEY) }),
    refusals: SEALED_REFUSALS,
    complaint: opened,
  },
  {
    name: 'store state',
    seeds: [storePayload()],
    mutate: mutateJson,
    read: decodeStoreState,
    refusals: ['HsmError: store_damaged'],
    complaint: (value) => {
      // As bytes, because a number may be written as -0.
      const written = encodeStoreState(value as StoreState)
      return encodeStoreState(decodeStoreState(written)).equals(written)
        ? undefined
        : 'another value when it is read again'
    },
  },
  {
    name: 'recovery file',
    seeds: [goldenFile('recovery.json')],
    mutate: mutateJson,
    read: (bytes) => decodeRecoveryFile(RECOVERY_KEY, bytes),
    refusals: SEALED_REFUSALS,
    complaint: (value) => lossOf(value, decodeRecoveryFile(RECOVERY_KEY, goldenFile('recovery.json'))),
  },
  {
    name: 'backend.json',
    seeds: [encodeBackendFile({ kind: 'soft' }), encodeBackendFile(PKCS11)],
    mutate: mutateJson,
    read: decodeBackendFile,
    refusals: ['HsmError: store_damaged'],
    complaint: (value) => lossOf(value, decodeBackendFile(encodeBackendFile(value as BackendFile))),
  },
  record('device-1.0.4.record', decodeDeviceRecord),
  record('device-1.1.record', decodeDeviceRecord),
  record('kek-as-32.record', decodeKekRecord),
  record('session-1.1.record', decodeSessionRecord),
  {
    name: 'order',
    seeds: [ORDER_TEXT],
    mutate: mutateJson,
    read: parseOrder,
    refusals: ['HsmError: order_malformed'],
    complaint: (_value, bytes) => (canonicalJson(bytes) === bytes.toString() ? undefined : 'not canonical'),
  },
  {
    name: 'envelope',
    seeds: [ENVELOPE],
    mutate: mutateJson,
    read: parseEnvelope,
    refusals: ['HsmError: envelope_damaged'],
    complaint: fine,
  },
  {
    name: 'receipts file',
    seeds: [encodeChainEnds(CHAIN_ENDS)],
    mutate: mutateBinary,
    read: decodeChainEnds,
    refusals: MALFORMED,
    complaint: (value, bytes) => (encodeChainEnds(value as ChainEnd[]).equals(bytes) ? undefined : 'another text'),
  },
  {
    name: 'receipt',
    seeds: RECEIPTS,
    mutate: mutateBinary,
    read: decodeReceipt,
    refusals: MALFORMED,
    complaint: fine,
  },
  {
    name: 'receipts frame',
    seeds: [goldenPayload('receipts')],
    mutate: mutateBinary,
    read: decodeReceiptBundle,
    refusals: MALFORMED,
    complaint: fine,
  },
]

/** A record by its bytes alone: whether it is genuine is seen by its tag, which needs the HSM. */
function record(name: string, read: (bytes: Buffer) => unknown): FileKind {
  return { name, seeds: [goldenFile(name)], mutate: mutateBinary, read, refusals: RECORD_REFUSALS, complaint: fine }
}

function scryptCost(bytes: Buffer): number {
  const [logN = 0, r = 0, p = 0] = bytes.subarray(SCRYPT_AT)
  return logN + Math.log2(Math.max(1, r * p))
}

function lossOf(value: unknown, other: unknown): string | undefined {
  return isDeepStrictEqual(value, other) ? undefined : 'another value when it is read again'
}
