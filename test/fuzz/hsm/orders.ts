import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import {
  type ApplyOrderCommand,
  encodeAcknowledgeOrder,
  encodeApplyOrder,
} from '../../../packages/hsm/src/contract/order.ts'
import type { Change } from '@mortise/hsm'
import { parseNetId } from '@mortise/lorawan'
import type { Operator } from '../../../packages/hsm/test/support/operator.ts'
import { demand } from '../failure.ts'
import { mutateTree } from '../json/mutate-tree.ts'
import { canonicalJson } from '../json/canonical.ts'
import { render, toTree } from '../json/tree.ts'
import { flipBit, mutateBytes } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'
import { CODES } from './check-answer.ts'
import type { Frame } from './frames.ts'
import { readOrderApplied } from './read-answer.ts'
import { AS_ID, NET_ID, OWNER } from './scenery.ts'
import type { Talk } from './talk.ts'

/** Each accepted order writes the store to the disk, and a KEK stays in it for ever: both are kept rare. */
const KEK_SHARE = 0.03
const SIGNATURE_CODES: ReadonlySet<string> = new Set(['order_signature_invalid', 'frame_malformed'])
const ENVELOPE_CODES: ReadonlySet<string> = new Set(['envelope_damaged', 'frame_malformed'])
const MAX_SEQUENCE_STEP = 1_000_000

/** Orders of the operator, and what others make of them. One case at a time: a sequence number is given once. */
export class OrderCases {
  readonly #operator: Operator
  #turn: Promise<unknown> = Promise.resolve()

  constructor(operator: Operator) {
    this.#operator = operator
  }

  /** Runs one case when the one before it is done. */
  run(talk: Talk): Promise<void> {
    const done = this.#turn.then(() => this.#runCase(talk))
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #runCase(talk: Talk): Promise<void> {
    const { random } = talk
    const withKek = random.chance(KEK_SHARE)
    const changes = withKek ? [kekSet(random)] : Array.from({ length: random.between(1, 3) }, () => plainChange(random))
    const honest = this.#operator.order(changes, withKek ? [random.bytes(16)] : [])
    const scenario = random.weighted<() => Promise<unknown>>([
      [2, () => this.#accepted(talk, honest)],
      [6, () => this.#unsigned(talk, honest)],
      [3, () => this.#otherSignatures(talk, honest)],
      [2, () => this.#otherEnvelope(talk, honest)],
      [5, () => this.#oddlySigned(talk, changes)],
      [4, () => this.#mutatedFrame(talk, honest)],
    ])
    await scenario()
  }

  /** Accepted, and the same again until it is acknowledged; then it is a replay. */
  async #accepted(talk: Talk, honest: ApplyOrderCommand): Promise<void> {
    const first = await this.#apply(talk, honest)
    demand(first.code === 'accepted', 'false_refusal', first.code)
    this.#checkApplied(first.answer)
    if (talk.random.chance(0.5)) {
      const second = await this.#apply(talk, honest)
      const same = second.answer.payload.equals(first.answer.payload)
      demand(second.code === 'accepted' && same, 'other_answer', second.code)
    }
    this.#acknowledge(first.link)
    const next = await this.#apply(talk, this.#operator.order([plainChange(talk.random)]))
    demand(next.code === 'accepted', 'false_refusal', next.code)
    this.#acknowledge(next.link)
    const replay = await this.#apply(talk, honest)
    demand(replay.code === 'order_replayed', 'code', `${replay.code} for a replay`)
  }

  /** The text was changed after it was signed. */
  async #unsigned(talk: Talk, honest: ApplyOrderCommand): Promise<void> {
    const { random } = talk
    const text = random.chance(0.5) ? flipBit(random, honest.text) : mutateBytes(random, honest.text)
    if (text.equals(honest.text)) return
    await this.#refused(talk, { ...honest, text }, SIGNATURE_CODES)
  }

  async #otherSignatures(talk: Talk, honest: ApplyOrderCommand): Promise<void> {
    const { random } = talk
    const [signed] = honest.signatures
    if (signed === undefined) return
    const signatures = random.weighted<() => ApplyOrderCommand['signatures']>([
      [4, () => [{ ...signed, signature: flipBit(random, signed.signature) }]],
      [2, () => [{ ...signed, signer: flipBit(random, signed.signer) }]],
      [1, () => []],
      [1, () => Array.from({ length: random.between(2, 20) }, () => signed)],
      [1, () => [{ signer: random.bytes(16), signature: random.bytes(64) }]],
    ])()
    await this.#refused(talk, { ...honest, signatures }, SIGNATURE_CODES)
  }

  async #otherEnvelope(talk: Talk, honest: ApplyOrderCommand): Promise<void> {
    const { random } = talk
    const own = honest.envelope ?? this.#operator.seal([random.bytes(16)])
    const changed = random.chance(0.5) ? flipBit(random, own) : random.chance(0.5) ? random.bytes(100) : undefined
    const envelope = honest.envelope === undefined ? own : changed
    await this.#refused(talk, { ...honest, envelope }, ENVELOPE_CODES)
  }

  /** The operator's own tool went mad: signed, and yet only what is canonical, in turn and complete is carried out. */
  async #oddlySigned(talk: Talk, changes: readonly Change[]): Promise<void> {
    const { random } = talk
    const before = this.#operator.sequence
    const tree = toTree(JSON.parse(this.#operator.order(changes).text.toString()))
    mutateTree(random, tree)
    const text = Buffer.from(render(tree))
    const { code, answer, link } = await this.#apply(talk, this.#operator.signText(text))
    if (code !== 'accepted') {
      demand(CODES.order.has(code), 'code', `${code} for a signed order`)
      return
    }
    const sequence = canonicalSequence(text)
    const inTurn = sequence !== undefined && sequence > before && sequence <= before + MAX_SEQUENCE_STEP
    demand(inTurn, 'false_success', text.toString())
    this.#checkApplied(answer)
    this.#operator.sequence = sequence
    this.#acknowledge(link)
  }

  /** Damage anywhere in the frame; the order itself stays good only where nothing of it was hit. */
  async #mutatedFrame(talk: Talk, honest: ApplyOrderCommand): Promise<void> {
    const payload = encodeApplyOrder(honest)
    const mutated = mutateBytes(talk.random, payload)
    if (mutated.equals(payload)) return
    const { code } = await talk.ask(FRAME.applyOrder, mutated)
    demand(code === 'frame_malformed' || CODES.order.has(code), 'code', code)
  }

  async #refused(talk: Talk, command: ApplyOrderCommand, codes: ReadonlySet<string>): Promise<void> {
    const { code } = await this.#apply(talk, command)
    demand(code !== 'accepted', 'false_success', 'an order that the operator did not give')
    demand(codes.has(code), 'code', code)
  }

  #apply(talk: Talk, command: ApplyOrderCommand) {
    return talk.ask(FRAME.applyOrder, encodeApplyOrder(command))
  }

  #checkApplied(answer: Frame): void {
    const read = answer.type === FRAME.orderApplied ? readOrderApplied(answer.payload) : undefined
    demand(read !== undefined, 'order_answer', answer.payload.toString('hex').slice(0, 200))
  }

  #acknowledge(link: { tell(type: number, payload: Buffer): void }): void {
    const { signer, sequence } = this.#operator
    link.tell(FRAME.acknowledgeOrder, encodeAcknowledgeOrder(signer, sequence))
  }
}

/** A change that needs neither key nor record, and leaves nothing behind. */
function plainChange(random: Random): Change {
  return random.chance(0.5)
    ? { action: 'peer.disable', peer: random.bytes(16).toString('hex'), kind: 'as', id: AS_ID }
    : { action: 'peer.remove', peer: random.bytes(16).toString('hex'), kind: 'ns', id: parseNetId(NET_ID) }
}

function kekSet(random: Random): Change {
  const label = `fuzz-${random.bytes(6).toString('hex')}`
  const kek = random.bytes(16).toString('hex')
  return { action: 'kek.set', kek, kind: 'as', recipient: 'fuzzed', owner: OWNER, label, size: 16, key: 0 }
}

/** The sequence number of a text that is canonical. */
function canonicalSequence(text: Buffer): number | undefined {
  const { sequence } = JSON.parse(text.toString()) as { sequence?: unknown }
  return canonicalJson(text) === text.toString() && typeof sequence === 'number' ? sequence : undefined
}
