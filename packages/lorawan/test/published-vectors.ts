import {
  bytesToHex,
  cmac,
  computeMic,
  cryptFOpts11,
  cryptFrmPayload,
  dataMic10,
  dataMic11Down,
  dataMic11Up,
  decodeJoinAcceptPayload,
  decryptJoinAccept,
  type Direction,
  encodeJoinAcceptPayload,
  type FOptsCounter,
  hexToBytes,
  type JoinAccept,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  joinRequestMicMessage,
  jsKeyBlock,
  KEY_TYPE,
  parseDevAddr,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  rejoinRequestMicMessage,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '../src/index.ts'
import { createBlockCipher, type NodeBlockCipher, unwrapKey, wrapKey } from '../src/node-aes.ts'
import { codeThrownBy } from './errors.ts'
import { decryptBlocks, sealJoinAccept } from './network.ts'

export interface VectorReport {
  passed: string[]
  failed: { id: string; reason: string }[]
  /** Not run; the reason says why that is right. */
  excluded: { id: string; reason: string }[]
}

type Inputs = Readonly<Record<string, string | number>>

interface Vector {
  readonly id: string
  readonly kind: string
  readonly inputs: Inputs
  readonly expected: Inputs
}

/** What this package makes of the inputs, under the names of the expected values. */
type Run = (inputs: InputReader) => Record<string, string>

/**
 * Runs every vector of a file `{vectors: [{id, kind, inputs, expected}]}`: hexadecimal text, identifiers and nonces as
 * displayed, payloads as on air, counters as numbers. A vector of an unknown kind fails rather than being passed over.
 */
export function runLorawanVectors(vectors: unknown): VectorReport {
  const report: VectorReport = { passed: [], failed: [], excluded: [] }
  for (const vector of (vectors as { vectors: readonly Vector[] }).vectors) {
    const reason = EXCLUDED_KINDS[vector.kind]
    if (reason !== undefined) {
      report.excluded.push({ id: vector.id, reason })
      continue
    }
    const failure = failureOf(vector)
    if (failure === undefined) report.passed.push(vector.id)
    else report.failed.push({ id: vector.id, reason: failure })
  }
  return report
}

const EXCLUDED_KINDS: Readonly<Record<string, string>> = {
  rejoinKeysNonSpec:
    "pins another implementation's error: rejoin keys derived by the 1.0 block although OptNeg is set (LoRaWAN 1.1 §6.2.6)",
}

function failureOf({ kind, inputs, expected }: Vector): string | undefined {
  const run = RUN[kind]
  if (run === undefined) return `unknown kind ${kind}`
  const entries = Object.entries(expected)
  if (entries.length === 0) return 'nothing is expected'
  try {
    const actual = run(new InputReader(inputs))
    const wrong = entries.filter(([name, value]) => actual[name] !== value)
    if (wrong.length === 0) return undefined
    return wrong.map(([name, value]) => `${name}: ${actual[name] ?? 'missing'}, not ${value}`).join('; ')
  } catch (error) {
    return String(error)
  }
}

class InputReader {
  readonly #inputs: Inputs
  constructor(inputs: Inputs) {
    this.#inputs = inputs
  }
  text(name: string): string {
    const value = this.#inputs[name]
    if (typeof value !== 'string') throw new Error(`no text ${name}`)
    return value
  }
  number(name: string): number {
    const value = this.#inputs[name]
    if (typeof value !== 'number') throw new Error(`no number ${name}`)
    return value
  }
  bytes(name: string): Uint8Array {
    return hexToBytes(this.text(name))
  }
  hexNumber(name: string): number {
    return Number.parseInt(this.text(name), 16)
  }
  cipher(name: string): NodeBlockCipher {
    return createBlockCipher(this.bytes(name))
  }
}

const RUN: Readonly<Record<string, Run>> = {
  aesCmac: (inputs) => ({ cmac: bytesToHex(cmac(inputs.cipher('key'), inputs.bytes('message'))) }),
  aesEcbBlock: (inputs) => ({ out: bytesToHex(inputs.cipher('key').encryptBlock(inputs.bytes('block'))) }),
  aesEcbDecryptBlock: (inputs) => ({ out: bytesToHex(inputs.cipher('key').decryptBlock(inputs.bytes('block'))) }),
  // TS011: RootWorSKey is AES(NwkSEncKey, 01 || zeros).
  rootWorSKey: (inputs) => ({
    rootWorSKey: encryptedBlock(inputs.cipher('nwkSEncKey'), Uint8Array.of(1, ...new Uint8Array(15))),
  }),
  keyWrap: runKeyWrap,
  keyUnwrapFail: (inputs) => {
    const code = codeThrownBy(() => unwrapKey(inputs.bytes('kek'), inputs.bytes('wrapped')))
    return code === 'key_wrap_integrity' ? { error: 'integrity' } : {}
  },
  joinRequestMic: (inputs) => {
    const phyPayload = Uint8Array.of(...inputs.bytes('phyPayloadWithoutMic'), 0, 0, 0, 0)
    return { mic: bytesToHex(computeMic(inputs.cipher('key'), joinRequestMicMessage(phyPayload))) }
  },
  rejoinRequestMic: (inputs) => {
    const phyPayload = Uint8Array.of(...inputs.bytes('phyPayloadWithoutMic'), 0, 0, 0, 0)
    return { mic: bytesToHex(computeMic(inputs.cipher('key'), rejoinRequestMicMessage(phyPayload))) }
  },
  joinAcceptMic10: (inputs) => ({
    mic: bytesToHex(computeMic(inputs.cipher('key'), joinAcceptMicMessage10(inputs.bytes('mhdrAndMacPayload')))),
  }),
  joinAcceptMic11: (inputs) => runJoinAcceptMic11(inputs, inputs.cipher('jsIntKey')),
  joinAcceptMic11FromNwkKey: (inputs) => runJoinAcceptMic11(inputs, jsCipher(inputs, KEY_TYPE.jsIntKey)),
  joinAcceptEncrypt: (inputs) => runJoinAcceptEncrypt(inputs, inputs.cipher('key')),
  rejoinAcceptEncryptFromNwkKey: (inputs) => runJoinAcceptEncrypt(inputs, jsCipher(inputs, KEY_TYPE.jsEncKey)),
  joinAcceptPhy10: runJoinAcceptPhy10,
  joinAcceptPhy11: runJoinAcceptPhy11,
  sessionKeys10: runSessionKeys10,
  sessionKeys11: runSessionKeys11,
  jsKeys: (inputs) => ({
    jsIntKey: encryptedBlock(
      inputs.cipher('nwkKey'),
      jsKeyBlock(KEY_TYPE.jsIntKey, parseDevEui(inputs.text('devEUI'))),
    ),
    jsEncKey: encryptedBlock(
      inputs.cipher('nwkKey'),
      jsKeyBlock(KEY_TYPE.jsEncKey, parseDevEui(inputs.text('devEUI'))),
    ),
  }),
  dataMic10: (inputs) => ({
    mic: bytesToHex(
      dataMic10(
        inputs.cipher('nwkSKey'),
        direction(inputs),
        parseDevAddr(inputs.text('devAddr')),
        inputs.number('fCnt'),
        inputs.bytes('mhdrAndMacPayload'),
      ),
    ),
  }),
  dataMic11Up: runDataMic11Up,
  dataMic11Down: (inputs) => {
    const micInputs = {
      confFCnt: inputs.number('confFCnt'),
      devAddr: parseDevAddr(inputs.text('devAddr')),
      fCnt: inputs.number('fCnt'),
    }
    return {
      mic: bytesToHex(dataMic11Down(inputs.cipher('sNwkSIntKey'), micInputs, inputs.bytes('mhdrAndMacPayload'))),
    }
  },
  frmPayloadEncrypt: runFrmPayloadEncrypt,
  fOptsEncrypt11: runFOptsEncrypt11,
}

function runKeyWrap(inputs: InputReader): Record<string, string> {
  const wrapped = wrapKey(inputs.bytes('kek'), inputs.bytes('key'))
  requireEqual(unwrapKey(inputs.bytes('kek'), wrapped), inputs.bytes('key'))
  return { wrapped: bytesToHex(wrapped) }
}

function runJoinAcceptMic11(inputs: InputReader, cipher: NodeBlockCipher): Record<string, string> {
  return { mic: bytesToHex(computeMic(cipher, micMessage11(inputs, inputs.bytes('mhdrAndMacPayload')))) }
}

function runJoinAcceptEncrypt(inputs: InputReader, cipher: NodeBlockCipher): Record<string, string> {
  const clear = inputs.bytes('macPayloadAndMic')
  const ciphertext = decryptBlocks(cipher, clear)
  const { payload, mic } = decryptJoinAccept(cipher, Uint8Array.of(0x20, ...ciphertext))
  requireEqual(Uint8Array.of(...payload.subarray(1), ...mic), clear)
  return { ciphertext: bytesToHex(ciphertext) }
}

function runJoinAcceptPhy10(inputs: InputReader): Record<string, string> {
  const cipher = inputs.cipher('key')
  const payload = joinAcceptPayload(inputs)
  return { phyPayload: bytesToHex(sealJoinAccept(cipher, cipher, joinAcceptMicMessage10(payload), payload)) }
}

function runJoinAcceptPhy11(inputs: InputReader): Record<string, string> {
  const payload = joinAcceptPayload(inputs)
  const message = micMessage11(inputs, payload)
  const cipher = inputs.cipher('encKey')
  const phyPayload = sealJoinAccept(cipher, inputs.cipher('jsIntKey'), message, payload)
  const opened = decryptJoinAccept(cipher, phyPayload)
  requireEqual(opened.payload, payload)
  return { mic: bytesToHex(opened.mic), phyPayload: bytesToHex(phyPayload) }
}

function joinAcceptPayload(inputs: InputReader): Uint8Array {
  const cfList = inputs.bytes('cfList')
  const accept: JoinAccept = {
    joinNonce: inputs.hexNumber('joinNonce'),
    netId: parseNetId(inputs.text('netID')),
    devAddr: parseDevAddr(inputs.text('devAddr')),
    dlSettings: inputs.hexNumber('dlSettings'),
    rxDelay: inputs.hexNumber('rxDelay'),
    ...(cfList.length > 0 && { cfList }),
  }
  const payload = encodeJoinAcceptPayload(accept)
  requireEqual(encodeJoinAcceptPayload(decodeJoinAcceptPayload(payload)), payload)
  return payload
}

function micMessage11(inputs: InputReader, payload: Uint8Array): Uint8Array {
  const joinEui = parseJoinEui(inputs.text('joinEUI'))
  return joinAcceptMicMessage11(
    inputs.hexNumber('joinReqType'),
    joinEui,
    inputs.hexNumber('devNonceOrRJcount'),
    payload,
  )
}

function jsCipher(inputs: InputReader, type: 0x05 | 0x06): NodeBlockCipher {
  const block = jsKeyBlock(type, parseDevEui(inputs.text('devEUI')))
  return createBlockCipher(inputs.cipher('nwkKey').encryptBlock(block))
}

function runSessionKeys10(inputs: InputReader): Record<string, string> {
  const cipher = inputs.cipher('rootKey')
  const netId = parseNetId(inputs.text('netID'))
  const derive = (type: 0x01 | 0x02) =>
    encryptedBlock(cipher, sessionKeyBlock10(type, inputs.hexNumber('joinNonce'), netId, inputs.hexNumber('devNonce')))
  return { nwkSKey: derive(KEY_TYPE.fNwkSIntKey), appSKey: derive(KEY_TYPE.appSKey) }
}

function runSessionKeys11(inputs: InputReader): Record<string, string> {
  const joinEui = parseJoinEui(inputs.text('joinEUI'))
  const derive = (root: string, type: 0x01 | 0x02 | 0x03 | 0x04) =>
    encryptedBlock(
      inputs.cipher(root),
      sessionKeyBlock11(type, inputs.hexNumber('joinNonce'), joinEui, inputs.hexNumber('devNonce')),
    )
  return {
    fNwkSIntKey: derive('nwkKey', KEY_TYPE.fNwkSIntKey),
    sNwkSIntKey: derive('nwkKey', KEY_TYPE.sNwkSIntKey),
    nwkSEncKey: derive('nwkKey', KEY_TYPE.nwkSEncKey),
    appSKey: derive('appKey', KEY_TYPE.appSKey),
  }
}

function runDataMic11Up(inputs: InputReader): Record<string, string> {
  const micInputs = {
    confFCnt: inputs.number('confFCnt'),
    txDr: inputs.number('txDr'),
    txCh: inputs.number('txCh'),
    devAddr: parseDevAddr(inputs.text('devAddr')),
    fCnt: inputs.number('fCnt'),
  }
  const bytes = inputs.bytes('mhdrAndMacPayload')
  return { mic: bytesToHex(dataMic11Up(inputs.cipher('fNwkSIntKey'), inputs.cipher('sNwkSIntKey'), micInputs, bytes)) }
}

function runFrmPayloadEncrypt(inputs: InputReader): Record<string, string> {
  const crypt = (payload: Uint8Array) =>
    cryptFrmPayload(
      inputs.cipher('key'),
      direction(inputs),
      parseDevAddr(inputs.text('devAddr')),
      inputs.number('fCnt'),
      payload,
    )
  const ciphertext = crypt(inputs.bytes('plaintext'))
  requireEqual(crypt(ciphertext), inputs.bytes('plaintext'))
  return { ciphertext: bytesToHex(ciphertext) }
}

function runFOptsEncrypt11(inputs: InputReader): Record<string, string> {
  const crypt = (fOpts: Uint8Array) =>
    cryptFOpts11(
      inputs.cipher('nwkSEncKey'),
      direction(inputs),
      inputs.text('counter') as FOptsCounter,
      parseDevAddr(inputs.text('devAddr')),
      inputs.number('fCnt'),
      fOpts,
    )
  const ciphertext = crypt(inputs.bytes('plaintext'))
  requireEqual(crypt(ciphertext), inputs.bytes('plaintext'))
  return { ciphertext: bytesToHex(ciphertext) }
}

function direction(inputs: InputReader): Direction {
  const text = inputs.text('dir')
  if (text !== 'up' && text !== 'down') throw new Error(`no direction ${text}`)
  return text
}

function encryptedBlock(cipher: NodeBlockCipher, block: Uint8Array): string {
  return bytesToHex(cipher.encryptBlock(block))
}

function requireEqual(actual: Uint8Array, expected: Uint8Array): void {
  if (bytesToHex(actual) !== bytesToHex(expected)) throw new Error('does not come back the same')
}
