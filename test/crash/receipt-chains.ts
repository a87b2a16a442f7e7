import { decodeReceipt, type Receipt, type ReceiptHead, receiptHash, verifyReceiptHead } from '@mortise/hsm'
import type { Report } from './violations.ts'

export interface ChainEvidence {
  readonly receipts: readonly Buffer[]
  readonly heads: readonly ReceiptHead[]
  /** Hex. */
  readonly hsmId: string
  /** SPKI, DER. */
  readonly receiptPublicKey: Buffer
  /** Times (Date.now()) at which the whole HSM process was killed. */
  readonly hsmCrashes: readonly number[]
}

export interface ChainSummary {
  readonly receipts: number
  readonly chains: number
  /** Chains without a closing head that a crash of the whole HSM process explains. */
  readonly open: number
}

interface Chain {
  readonly name: string
  readonly bootEpoch: number
  readonly receipts: { readonly body: Buffer; readonly receipt: Receipt }[]
  readonly heads: ReceiptHead[]
}

/** What the tables `receipt` and `receipt_head` must hold together, whatever was killed. */
export function checkChains(evidence: ChainEvidence, report: Report): ChainSummary {
  const chains = chainsOf(evidence, report)
  for (const chain of chains.values()) {
    checkReceipts(chain, report)
    checkHeads(chain, evidence.receiptPublicKey, report)
  }
  const open = [...chains.values()].filter(({ heads }) => !heads.some(({ closing }) => closing))
  const boots = [...new Set([...chains.values()].map(({ bootEpoch }) => bootEpoch))]
  for (const { name, bootEpoch } of open)
    if (!crashed(bootEpoch, boots, evidence.hsmCrashes)) report('receipt_chain_open', name)
  return { receipts: evidence.receipts.length, chains: chains.size, open: open.length }
}

function chainsOf({ receipts, heads, hsmId }: ChainEvidence, report: Report): Map<string, Chain> {
  const chains = new Map<string, Chain>()
  const chainOf = ({ bootEpoch, worker }: { bootEpoch: number; worker: number }): Chain => {
    const name = `boot ${bootEpoch} worker ${worker}`
    const chain = chains.get(name) ?? { name, bootEpoch, receipts: [], heads: [] }
    chains.set(name, chain)
    return chain
  }
  for (const body of receipts) {
    const receipt = decodeReceipt(body)
    const chain = chainOf(receipt)
    if (receipt.hsmId.toString('hex') !== hsmId) report('receipt_link_broken', `${chain.name}: another HSM`)
    chain.receipts.push({ body, receipt })
  }
  for (const head of heads) chainOf(head).heads.push(head)
  for (const chain of chains.values()) chain.receipts.sort((a, b) => a.receipt.sequence - b.receipt.sequence)
  return chains
}

/** Numbers from 1 without gap, each once, each with the hash of the one before. */
function checkReceipts({ name, receipts, heads }: Chain, report: Report): void {
  let before: { sequence: number; hash: Buffer } = { sequence: 0, hash: Buffer.alloc(32) }
  const end = Math.max(0, ...heads.map(({ sequence }) => sequence))
  for (const { body, receipt } of receipts) {
    const { sequence, previous } = receipt
    if (sequence === before.sequence) report('receipt_forked', `${name} sequence ${sequence}`)
    else if (sequence !== before.sequence + 1)
      report('receipt_gap', `${name} sequence ${before.sequence + 1} to ${sequence - 1}, of ${receipts.length}`)
    else if (!previous.equals(before.hash)) report('receipt_link_broken', `${name} sequence ${sequence}`)
    before = { sequence, hash: receiptHash(body) }
  }
  if (end > before.sequence) report('receipt_gap', `${name} ends at ${before.sequence}, a head says ${end}`)
}

/** Signed, on a receipt that is there, and closing only at the end. */
function checkHeads({ name, receipts, heads }: Chain, receiptPublicKey: Buffer, report: Report): void {
  const hashes = new Map(receipts.map(({ body, receipt }) => [receipt.sequence, receiptHash(body)]))
  hashes.set(0, Buffer.alloc(32))
  const last = receipts.at(-1)?.receipt.sequence ?? 0
  for (const head of heads) {
    const what = `${name} head at ${head.sequence}`
    if (!verifyReceiptHead(head, receiptPublicKey)) report('receipt_head_wrong', `${what}: signature`)
    const hash = hashes.get(head.sequence)
    // A receipt that is missing is reported as a gap.
    if (hash !== undefined && !head.hash.equals(hash)) report('receipt_head_wrong', `${what}: hash`)
    if (head.closing && last > head.sequence) report('receipt_head_wrong', `${what}: closing, and ${last} follows`)
  }
}

/** A boot is named by the time at which it began: a crash is that of the last boot before it. */
function crashed(bootEpoch: number, boots: readonly number[], crashes: readonly number[]): boolean {
  return crashes.some((crash) => crash >= bootEpoch && !boots.some((other) => other > bootEpoch && other <= crash))
}
