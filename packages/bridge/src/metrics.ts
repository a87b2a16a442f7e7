/** Seconds from taking an event over to its delivery at a sink. */
const DELIVERY_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300]

/** What can be counted, with its labels. Labels have few values: a DevEUI belongs into a log line, never into a label. */
const COUNTERS = {
  received: ['mortise_bridge_received_total', 'Events that sources handed over.', []],
  refused: ['mortise_bridge_refused_total', 'Events that could not be kept, and were not acknowledged.', ['reason']],
  readings: ['mortise_bridge_readings_total', 'Uplinks that were opened.', []],
  copies: ['mortise_bridge_copies_total', 'Events that had come before, and were dropped.', []],
  putOff: [
    'mortise_bridge_put_off_total',
    'Times that an uplink was put off, because its key is not known.',
    ['reason'],
  ],
  stuck: ['mortise_bridge_stuck_total', 'Events that an unexpected error left for the next start.', ['reason']],
  notEncrypted: ['mortise_bridge_not_encrypted_total', 'Uplinks that the network told in clear.', ['outcome']],
  dropped: ['mortise_bridge_dropped_total', 'Events that were dropped for good.', ['reason']],
  joinFailed: ['mortise_bridge_join_failed_total', 'Join events of which nothing could be learned.', ['reason']],
  delivered: ['mortise_bridge_delivered_total', 'Messages that a sink has taken.', ['sink']],
  failed: ['mortise_bridge_failed_total', 'Deliveries that failed, and were tried again.', ['sink']],
  sinkRefused: [
    'mortise_bridge_sink_refused_total',
    'Messages that a sink will never take; they were dropped.',
    ['sink'],
  ],
  codecErrors: ['mortise_bridge_codec_errors_total', 'Payloads that a codec could not turn round.', ['codec', 'code']],
  downlinks: ['mortise_bridge_downlinks_total', 'Downlinks, by what became of them.', ['outcome']],
} as const satisfies Record<string, readonly [name: string, help: string, labels: readonly string[]]>

type CounterName = keyof typeof COUNTERS
type Labels<Name extends CounterName> = Record<(typeof COUNTERS)[Name][2][number], string>

/** A value that is read when metrics are asked for: one, or one for each set of labels. */
export interface Gauge {
  readonly name: string
  readonly help: string
  readonly read: () => number | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[]
}

class Histogram {
  readonly buckets = DELIVERY_SECONDS.map(() => 0)
  count = 0
  sum = 0

  observe(seconds: number): void {
    this.count++
    this.sum += seconds
    const index = DELIVERY_SECONDS.findIndex((limit) => seconds <= limit)
    if (index >= 0) this.buckets[index] = (this.buckets[index] ?? 0) + 1
  }
}

/** What the bridge counts, as Prometheus text. */
export class Metrics {
  readonly #counters = new Map<CounterName, Map<string, number>>()
  readonly #delivery = new Map<string, Histogram>()
  readonly #gauges: Gauge[] = []

  constructor() {
    for (const name of Object.keys(COUNTERS) as CounterName[]) this.#counters.set(name, new Map())
  }

  /** One more of what has no labels, or of what these labels name. */
  count<Name extends CounterName>(name: Name, labels?: Labels<Name>): void {
    const values = this.#counters.get(name)
    if (values === undefined) return
    const key = labels === undefined ? '' : renderLabels(labels)
    values.set(key, (values.get(key) ?? 0) + 1)
  }

  /** A message that arrived at a sink so many seconds after it was taken over. */
  arrived(sink: string, seconds: number): void {
    let histogram = this.#delivery.get(sink)
    if (histogram === undefined) this.#delivery.set(sink, (histogram = new Histogram()))
    histogram.observe(seconds)
  }

  show(...gauges: readonly Gauge[]): void {
    this.#gauges.push(...gauges)
  }

  /** Prometheus text format 0.0.4. */
  render(): string {
    return [...this.#renderCounters(), ...this.#renderDelivery(), ...this.#gauges.flatMap(renderGauge), ''].join('\n')
  }

  #renderCounters(): string[] {
    return Array.from(this.#counters).flatMap(([counter, values]) => {
      const [name, help, labels] = COUNTERS[counter]
      // Without labels there is one value from the start, so that its first rise is seen.
      if (labels.length === 0 && values.size === 0) values.set('', 0)
      const samples = Array.from(values, ([key, value]) => `${name}${key} ${value}`)
      return [`# HELP ${name} ${help}`, `# TYPE ${name} counter`, ...samples]
    })
  }

  #renderDelivery(): string[] {
    const name = 'mortise_bridge_delivery_seconds'
    const lines = [`# HELP ${name} Time from taking an event over to its delivery.`, `# TYPE ${name} histogram`]
    for (const [sink, { buckets, count, sum }] of this.#delivery) {
      let below = 0
      for (const [index, limit] of DELIVERY_SECONDS.entries()) {
        below += buckets[index] ?? 0
        lines.push(`${name}_bucket${renderLabels({ sink, le: String(limit) })} ${below}`)
      }
      lines.push(`${name}_bucket${renderLabels({ sink, le: '+Inf' })} ${count}`)
      lines.push(`${name}_sum${renderLabels({ sink })} ${sum}`, `${name}_count${renderLabels({ sink })} ${count}`)
    }
    return lines
  }
}

function renderGauge({ name, help, read }: Gauge): string[] {
  const now = read()
  const values =
    typeof now === 'number'
      ? [`${name} ${now}`]
      : now.map(({ labels, value }) => `${name}${renderLabels(labels)} ${value}`)
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...values]
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .map(([label, text]) => `${label}="${escapeLabel(text)}"`)
    .join(',')}}`
}

/** Prometheus text format: what would end the value, or the line. */
function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
