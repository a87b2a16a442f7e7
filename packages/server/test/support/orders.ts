import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import {
  type Change,
  type DeviceAdd,
  type DeviceReference,
  envelopeDigest,
  type KekRemove,
  type KekSet,
  type Order,
  ORDER_FORMAT,
  orderText,
  type PeerAdd,
  type PeerChange,
  sealEnvelope,
  signerId,
  signOrder,
} from '@mortise/hsm'
import { parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import type { SubmittedOrder } from '../../src/kms/index.ts'

/** Whoever signs orders. */
export interface Operator {
  readonly privateKey: KeyObject
  /** SPKI, DER. */
  readonly publicKey: Buffer
  /** 32 hex digits. */
  readonly signer: string
}

export function makeOperator(): Operator {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  return { privateKey, publicKey: spki, signer: signerId(spki).toString('hex') }
}

/** The HSM that an order is for, as far as the order needs it. */
export interface OrderTarget {
  readonly hsmId: string
  readonly importPublicKey: Buffer
}

export interface OrderContent {
  readonly sequence: number
  readonly changes: readonly Change[]
  /** What the changes name by index. */
  readonly keys?: readonly Uint8Array[]
  readonly certificates?: readonly string[]
}

/** Seals, writes and signs an order as the CLI does. */
export function buildOrder(operator: Operator, target: OrderTarget, content: OrderContent): SubmittedOrder {
  const { sequence, changes, keys = [], certificates } = content
  const envelope = keys.length === 0 ? undefined : sealEnvelope(target.importPublicKey, keys)
  const order: Order = {
    format: ORDER_FORMAT,
    hsm: target.hsmId,
    signer: operator.signer,
    sequence,
    issuedAt: new Date().toISOString(),
    ...(envelope && { envelope: envelopeDigest(envelope) }),
    changes,
  }
  return signAsSubmitted(operator, orderText(order), envelope, certificates)
}

/** Any text with a signature: also one that is no order. */
export function signAsSubmitted(
  operator: Operator,
  text: Buffer,
  envelope?: Buffer,
  certificates?: readonly string[],
): SubmittedOrder {
  const { signer, signature } = signOrder(text, operator.privateKey)
  return {
    text: text.toString(),
    signatures: [{ signer: signer.toString('hex'), signature: signature.toString('hex') }],
    ...(envelope && { envelope: envelope.toString() }),
    ...(certificates && { certificates }),
  }
}

export function randomId(): string {
  return randomBytes(16).toString('hex')
}

/** A LoRaWAN 1.0.3 device whose AppKey is the first key of the envelope; `owner` is the organisation. */
export function deviceAdd(owner: string, change: Partial<DeviceAdd> = {}): DeviceAdd {
  return {
    action: 'device.add',
    device: randomId(),
    owner,
    devEui: parseDevEui(randomBytes(8).toString('hex')),
    joinEui: parseJoinEui('70b3d57ed0000001'),
    macVersion: '1.0.3',
    applicationServers: ['app.example'],
    networkIsApplicationServer: false,
    networks: [parseNetId('000013')],
    appKey: 0,
    ...change,
  }
}

/** A KEK of 16 bytes for an application server: the first key of the envelope. */
export function kekSet(owner: string, change: Partial<KekSet> = {}): KekSet {
  return {
    action: 'kek.set',
    kek: randomId(),
    kind: 'as',
    recipient: 'app.example',
    owner,
    label: `label-${randomBytes(4).toString('hex')}`,
    size: 16,
    key: 0,
    ...change,
  }
}

/** A network server with the certificate of this fingerprint. */
export function peerAdd(certificate: string, change: Partial<PeerAdd> = {}): PeerAdd {
  return { action: 'peer.add', peer: randomId(), kind: 'ns', id: '000013', protocol: '1.0', certificate, ...change }
}

/** How an order names a device that was added. */
export function referenceTo({ device, devEui, joinEui }: DeviceAdd, replaces = 1): DeviceReference {
  return { device, devEui, joinEui, replaces }
}

/** How an order names a KEK that was set. */
export function kekRemove({ kek, kind, recipient, label }: KekSet, replaces = 1): KekRemove {
  return { action: 'kek.remove', kek, kind, recipient, label, replaces }
}

/** How an order names a peer that was added. */
export function peerChange(action: PeerChange['action'], { peer, kind, id }: PeerAdd): PeerChange {
  return { action, peer, kind, id }
}
