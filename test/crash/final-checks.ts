import { createHash } from 'node:crypto'
import { decodeDeviceRecord, decodeReceipt, deviceHash, parseOrder } from '@mortise/hsm'
import { eui64ToBytes } from '@mortise/lorawan'
import type { DatabaseContent, StoredKeySet, StoredOrder } from './database.ts'
import type { KeySetModel } from './key-set-model.ts'
import type { Report } from './violations.ts'

/** Refusals of orders that a kill explains: an order of which nobody heard was adopted after all, and the next came late. */
const EXPLAINED_REFUSALS: ReadonlySet<string> = new Set(['order_version_mismatch'])

/** The database knows the same last join of every device as the answers do, and a receipt for each of them. */
export function checkStates(
  content: DatabaseContent,
  keySets: Iterable<KeySetModel>,
  kept: number,
  report: Report,
): void {
  const stored = new Map<string, StoredKeySet>(content.keySets.map((keySet) => [keySet.devEui, keySet]))
  const receipts = countByDevice(content.receipts)
  for (const keySet of keySets) {
    const found = stored.get(keySet.name)
    if (found?.lastJoinNonce !== keySet.highest)
      report('state_differs', `${keySet.name}: ${found?.lastJoinNonce ?? 'none'} stored, ${keySet.highest} answered`)
    if (found === undefined) continue
    for (const { joinNonce } of keySet.keptSessions(kept))
      if (!found.sessionJoinNonces.includes(joinNonce)) report('session_lost', `${keySet.name} JoinNonce ${joinNonce}`)
    const { receiptSalt, devEui } = decodeDeviceRecord(found.record)
    const used = receipts.get(deviceHash(receiptSalt, eui64ToBytes(devEui)).toString('hex')) ?? 0
    if (used < keySet.answered)
      report('receipt_missing', `${keySet.name}: ${used} receipts of ${keySet.answered} answers`)
  }
}

/** What operators were told at once. Nothing but the reasons above: a defect of the server is no reason to go on. */
export function checkRefusedOrders(refused: ReadonlyMap<string, number>, report: Report): void {
  for (const [code, count] of refused)
    if (!EXPLAINED_REFUSALS.has(code)) report('order_refused', `${count} orders were refused: ${code}`)
}

/** Every order that was acknowledged is settled, and what the last ones said is so. */
export function checkOrders(content: DatabaseContent, acknowledged: readonly number[], report: Report): void {
  const byId = new Map(content.orders.map((order) => [order.orderId, order]))
  for (const orderId of acknowledged)
    if (!byId.has(orderId)) report('order_lost', `order ${orderId} is not in the database`)
  for (const { orderId, state, code } of content.orders) {
    if (state === 'waiting') report('order_lost', `order ${orderId} still waits`)
    if (state === 'refused' && !EXPLAINED_REFUSALS.has(code ?? ''))
      report('order_lost', `order ${orderId} was refused: ${code}`)
  }
  checkEffects(content, report)
  checkOrderReceipts(content, report)
}

function checkEffects({ orders, keySets }: DatabaseContent, report: Report): void {
  const networks = new Map<string, string>()
  for (const { text } of orders.filter(isAdopted))
    for (const change of parseOrder(text).changes)
      if (change.action === 'device.set' && change.networks !== undefined)
        networks.set(change.devEui, change.networks.join())
  for (const { devEui, record } of keySets) {
    const expected = networks.get(devEui)
    const actual = decodeDeviceRecord(record).networks.join()
    if (expected !== undefined && expected !== actual)
      report('order_lost', `${devEui} has the networks ${actual}, the last order said ${expected}`)
  }
}

/** An adopted order has one receipt. Another one is that of an HSM process that died before its store was written. */
function checkOrderReceipts({ orders, receipts }: DatabaseContent, report: Report): void {
  const digests = new Set(
    receipts
      .map(decodeReceipt)
      .flatMap(({ operation, recordDigest }) => (operation === 'applyOrder' ? [recordDigest.toString('hex')] : [])),
  )
  for (const { orderId, text } of orders.filter(isAdopted)) {
    const digest = createHash('sha256').update(text).digest().subarray(0, 16).toString('hex')
    if (!digests.has(digest)) report('receipt_missing', `order ${orderId}`)
  }
}

function isAdopted({ state }: StoredOrder): boolean {
  return state === 'adopted'
}

/** Receipts of joins and released AppSKeys by the hash of their device. */
function countByDevice(receipts: readonly Buffer[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { deviceHash: hash } of receipts.map(decodeReceipt)) {
    const key = hash.toString('hex')
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}
