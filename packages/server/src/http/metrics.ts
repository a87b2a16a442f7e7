import type { RequestType, ResultCode } from '@mortise/backend-interfaces'
import { FORWARD_OUTCOMES, type ForwardOutcome } from '../routing/index.ts'
import type { ConnectionRefusal } from './connections.ts'
import type { ShareRefusal } from '../fair-share.ts'

/** Latency buckets of a join in seconds; the last is the RX1 window's half. */
const JOIN_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.5]

/** Something that /metrics can show. */
export interface MetricsSource {
  /** Prometheus text format 0.0.4. */
  render(): string
}

/** The counters of the server, and gauges that others give it. Labels have few values: a DevEUI belongs into a log line, never into a label. */
export class Metrics implements MetricsSource {
  readonly #answers = new Map<string, number>()
  readonly #overloads = new Map<string, number>()
  readonly #buckets = JOIN_SECONDS.map(() => 0)
  readonly #gauges: Gauge[] = []
  readonly #deferred = { posted: 0, dropped: 0 }
  readonly #forwarded = new Map<ForwardOutcome, number>(FORWARD_OUTCOMES.map((outcome) => [outcome, 0]))
  #joinCount = 0
  #joinSeconds = 0

  /** Renders these too, each with the value that it has then. */
  show(gauges: readonly Gauge[]): void {
    this.#gauges.push(...gauges)
  }

  /** One answered Backend Interfaces message, by type and result code. Strangers choose the types that are `other`. */
  answered(messageType: RequestType | 'other', result: ResultCode): void {
    const name = `message_type="${messageType}",result="${result}"`
    this.#answers.set(name, (this.#answers.get(name) ?? 0) + 1)
  }

  /** A message that was refused, or a connection that was not taken or not kept, because there are too many. */
  overloaded(what: 'message' | 'connection', reason: ShareRefusal | ConnectionRefusal): void {
    const name = `what="${what}",reason="${reason}"`
    this.#overloads.set(name, (this.#overloads.get(name) ?? 0) + 1)
  }

  /** One answer by a message of its own: posted, or dropped because nobody took it in time. */
  deferred(outcome: 'posted' | 'dropped'): void {
    this.#deferred[outcome] += 1
  }

  /** One request for a device of another join server, by what became of it. */
  forwarded(outcome: ForwardOutcome): void {
    this.#forwarded.set(outcome, (this.#forwarded.get(outcome) ?? 0) + 1)
  }

  /** One JoinReq that was answered with Success after so many seconds. */
  joined(seconds: number): void {
    this.#joinCount += 1
    this.#joinSeconds += seconds
    JOIN_SECONDS.forEach((limit, index) => {
      if (seconds <= limit) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1
    })
  }

  render(): string {
    const counters = [
      ...this.#renderAnswers(),
      ...this.#renderOverloads(),
      ...this.#renderDeferred(),
      ...this.#renderForwarded(),
      ...this.#renderJoins(),
    ]
    return [...counters, ...this.#gauges.flatMap(renderGauge), ''].join('\n')
  }

  #renderAnswers(): string[] {
    return [
      '# HELP mortise_answers_total Answered Backend Interfaces messages.',
      '# TYPE mortise_answers_total counter',
      ...Array.from(this.#answers, ([labels, count]) => `mortise_answers_total{${labels}} ${count}`),
    ]
  }

  #renderOverloads(): string[] {
    return [
      '# HELP mortise_overload_total Messages refused and connections closed because there were too many.',
      '# TYPE mortise_overload_total counter',
      ...Array.from(this.#overloads, ([labels, count]) => `mortise_overload_total{${labels}} ${count}`),
    ]
  }

  #renderDeferred(): string[] {
    return [
      '# HELP mortise_asynchronous_answers_total Answers that were posted to a peer, or dropped because it took none in time.',
      '# TYPE mortise_asynchronous_answers_total counter',
      ...Object.entries(this.#deferred).map(
        ([outcome, count]) => `mortise_asynchronous_answers_total{outcome="${outcome}"} ${count}`,
      ),
    ]
  }

  #renderForwarded(): string[] {
    return [
      '# HELP mortise_forwarded_total Requests for devices of other join servers, by what became of them.',
      '# TYPE mortise_forwarded_total counter',
      ...Array.from(this.#forwarded, ([outcome, count]) => `mortise_forwarded_total{outcome="${outcome}"} ${count}`),
    ]
  }

  #renderJoins(): string[] {
    return [
      '# HELP mortise_join_seconds Time from a JoinReq to its answer, durable.',
      '# TYPE mortise_join_seconds histogram',
      ...JOIN_SECONDS.map((limit, index) => `mortise_join_seconds_bucket{le="${limit}"} ${this.#buckets[index] ?? 0}`),
      `mortise_join_seconds_bucket{le="+Inf"} ${this.#joinCount}`,
      `mortise_join_seconds_sum ${this.#joinSeconds}`,
      `mortise_join_seconds_count ${this.#joinCount}`,
    ]
  }
}

export interface Gauge {
  readonly name: string
  readonly help: string
  /** One value, or one for each set of labels. */
  readonly read: () => number | readonly Sample[]
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

function renderGauge({ name, help, read }: Gauge): string[] {
  const now = read()
  const values = typeof now === 'number' ? [`${name} ${now}`] : now.map((sample) => `${name}${renderSample(sample)}`)
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...values]
}

function renderSample({ labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return `{${pairs.join(',')}} ${value}`
}

/** Prometheus text format: what would end the value, or the line. */
function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
