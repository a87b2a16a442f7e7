import { type NetId, parseDevEui, parseJoinEui, parseMacVersion, parseNetId } from '@mortise/lorawan'
import { HsmError } from '../errors.ts'
import { Members, parseMembers } from '../members.ts'
import { MAX_APPLICATION_SERVERS, MAX_AS_ID_BYTES, MAX_NETWORKS } from '../records/device-record.ts'
import { KEK_SIZES, MAX_KEK_LABEL_BYTES } from '../records/kek-record.ts'
import {
  type Change,
  type DevicePolicy,
  type DeviceReference,
  MAX_ORDER_BYTES,
  MAX_ORDER_CHANGES,
  MAX_ORDER_NUMBER,
  type Order,
  ORDER_FORMAT,
  REMOVED,
  type RootKeySource,
} from './order.ts'
import { checkText, convert, readKind, readRecipient } from './order-members.ts'
import { readDirectoryChange } from './parse-directory-change.ts'
import { orderText } from './sign-order.ts'

/**
 * Reads an order's text strictly: unknown members, wrong types and values out of range are refused.
 * @throws HsmError order_malformed, with the member's name
 */
export function parseOrder(text: Buffer): Order {
  if (text.length > MAX_ORDER_BYTES) throw new HsmError('order_malformed', 'order: size')
  const order = readOrder(parseMembers(text, 'order', 'order_malformed'))
  // One order has one text: no second member of the same name, no other spelling, that somebody else would read otherwise.
  if (!orderText(order).equals(text)) throw new HsmError('order_malformed', 'order: not the canonical text')
  return order
}

function readOrder(order: Members): Order {
  if (order.text('format') !== ORDER_FORMAT) order.fail('format')
  const envelope = order.has('envelope') ? order.hex('envelope', 32) : undefined
  const changes = order.list('changes', MAX_ORDER_CHANGES).map(parseChange)
  if (changes.length === 0) order.fail('changes')
  const parsed: Order = {
    format: ORDER_FORMAT,
    hsm: order.hex('hsm', 8),
    signer: order.hex('signer', 16),
    sequence: order.integer('sequence', 1, MAX_ORDER_NUMBER),
    issuedAt: order.time('issuedAt'),
    ...(envelope !== undefined && { envelope }),
    changes,
  }
  order.end()
  return parsed
}

function parseChange(value: unknown): Change {
  const members = new Members(value, 'change', 'order_malformed')
  const change = readChange(members)
  members.end()
  return change
}

function readChange(members: Members): Change {
  const action = members.text('action')
  switch (action) {
    case 'device.add':
      return readDeviceAdd(members)
    case 'device.set':
      return { action, ...readDeviceReference(members), ...readPolicyChange(members) }
    case 'device.remove':
      return { action, ...readDeviceReference(members) }
    case 'kek.set':
      return readKekSet(members)
    case 'kek.remove':
      return readKekRemove(members)
    case 'epoch.accept':
      return { action, epoch: members.integer('epoch', 1, MAX_ORDER_NUMBER) }
    default:
      return readDirectoryChange(action, members)
  }
}

function readDeviceAdd(members: Members): Change {
  const macVersion = convert('macVersion', members.text('macVersion'), parseMacVersion)
  const nwkKey = members.has('nwkKey') ? readKeySource(members, 'nwkKey') : undefined
  if ((nwkKey !== undefined) !== (macVersion === '1.1.0')) members.fail('nwkKey')
  return {
    action: 'device.add',
    device: members.hex('device', 16),
    owner: members.hex('owner', 16),
    devEui: convert('devEui', members.text('devEui'), parseDevEui),
    joinEui: convert('joinEui', members.text('joinEui'), parseJoinEui),
    macVersion,
    ...readPolicy(members),
    appKey: readKeySource(members, 'appKey'),
    ...(nwkKey !== undefined && { nwkKey }),
  }
}

function readDeviceReference(members: Members): DeviceReference {
  return {
    device: members.hex('device', 16),
    devEui: convert('devEui', members.text('devEui'), parseDevEui),
    joinEui: convert('joinEui', members.text('joinEui'), parseJoinEui),
    replaces: readVersion(members),
  }
}

function readPolicy(members: Members): DevicePolicy {
  return {
    applicationServers: readApplicationServers(members),
    networkIsApplicationServer: members.boolean('networkIsApplicationServer'),
    networks: readNetworks(members),
  }
}

function readPolicyChange(members: Members): Partial<DevicePolicy> {
  return {
    ...(members.has('applicationServers') && { applicationServers: readApplicationServers(members) }),
    ...(members.has('networkIsApplicationServer') && {
      networkIsApplicationServer: members.boolean('networkIsApplicationServer'),
    }),
    ...(members.has('networks') && { networks: readNetworks(members) }),
  }
}

function readApplicationServers(members: Members): string[] {
  return members
    .list('applicationServers', MAX_APPLICATION_SERVERS)
    .map((id) => checkText(members, 'applicationServers', id, MAX_AS_ID_BYTES))
}

function readNetworks(members: Members): NetId[] {
  return members
    .list('networks', MAX_NETWORKS)
    .map((netId) => convert('networks', checkText(members, 'networks', netId, 6), parseNetId))
}

function readKekSet(members: Members): Change {
  const kind = readKind(members)
  const size = KEK_SIZES.find((size) => size === members.peek('size'))
  members.integer('size', 16, 32)
  return {
    action: 'kek.set',
    kek: members.hex('kek', 16),
    kind,
    recipient: readRecipient(kind, members, 'recipient'),
    owner: members.hex('owner', 16),
    label: checkText(members, 'label', members.text('label'), MAX_KEK_LABEL_BYTES),
    size: size ?? members.fail('size'),
    key: members.integer('key', 0, MAX_ORDER_CHANGES * 2),
  }
}

function readKekRemove(members: Members): Change {
  const kind = readKind(members)
  return {
    action: 'kek.remove',
    kek: members.hex('kek', 16),
    kind,
    recipient: readRecipient(kind, members, 'recipient'),
    label: checkText(members, 'label', members.text('label'), MAX_KEK_LABEL_BYTES),
    replaces: readVersion(members),
  }
}

function readVersion(members: Members): number {
  return members.integer('replaces', 1, REMOVED - 1)
}

function readKeySource(members: Members, name: string): RootKeySource {
  return members.peek(name) === 'generate'
    ? (members.text(name) as 'generate')
    : members.integer(name, 0, MAX_ORDER_CHANGES * 2)
}
