/**
 * How many uplinks a second a bridge keeps up with: `node packages/bridge/scripts/bench.ts [--rate 2000] [--seconds 60]
 * [--devices 1000] [--pin] [--profile DIR]`. Two real Mosquitto are between this process, which publishes uplinks and
 * receives readings, and the bridge. `--pin` binds the bridge to the first core and all others to the rest; `--profile`
 * writes a CPU profile of the bridge. Latency is from the moment of publishing to the arrival at the receiver.
 */
import { type ChildProcess, execFileSync, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connectAsync, type MqttClient } from 'mqtt'
import { Mosquitto } from '../test/mosquitto.ts'
import { BenchDevice } from './chirpstack-uplink.ts'

interface Usage {
  readonly cpu: { readonly user: number; readonly system: number }
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  readonly problems: readonly string[]
}

const TICK_MS = 5
const USAGE_EVERY_MS = 30_000
const DRAIN_MS = 10_000
const WARM_UP_SECONDS = 5
/** A latency sample has 20 bytes in clear: the time of publishing, and what a sensor might have measured. */
const PAYLOAD_SIZE = 20
const PROGRAM = fileURLToPath(new URL('bridge-process.ts', import.meta.url))

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '60' },
    devices: { type: 'string', default: '1000' },
    pin: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})
const [rate, seconds, deviceCount] = [Number(values.rate), Number(values.seconds), Number(values.devices)]

if (values.pin) execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', otherCores(), String(process.pid)])
const directory = mkdtempSync(join(tmpdir(), 'mortise-bridge-bench-'))
await using cleanup = new AsyncDisposableStack()
cleanup.defer(() => {
  rmSync(directory, { recursive: true })
})
// Nagle's algorithm in the brokers would measure TCP's delayed acknowledgements.
const quick = {
  lines: ['autosave_interval 0', 'autosave_on_changes false', 'max_inflight_messages 1000', 'set_tcp_nodelay true'],
}
const [source, sink] = [cleanup.use(await Mosquitto.start(quick)), cleanup.use(await Mosquitto.start(quick))]
const bridge = startBridge(source.url, sink.url)
cleanup.defer(async () => {
  const ended = once(bridge, 'exit')
  bridge.kill('SIGTERM')
  await ended
})
await until(async () => (await usage(bridge)).problems.length === 0)

const devices = Array.from({ length: deviceCount }, (_, number) => new BenchDevice(number))
const latencies: number[] = []
let [published, arrived, firstMeasured] = [0, 0, Number.POSITIVE_INFINITY]
const publisher = await connected(source)
const receiver = await connected(sink)
await receiver.subscribeAsync('application/+/device/+/event/up', { qos: 0 })
receiver.on('message', (_topic, body) => {
  const { data } = JSON.parse(body.toString()) as { data: string }
  const sentMs = Buffer.from(data, 'base64').readDoubleLE(0)
  arrived++
  if (sentMs >= firstMeasured) latencies.push(nowMs() - sentMs)
})

console.log(`${rate} uplinks/s for ${seconds} s from ${deviceCount} devices, after ${WARM_UP_SECONDS} s of warm-up`)
await publish(WARM_UP_SECONDS)
const before = await usage(bridge)
const [publishedBefore, startMs] = [published, nowMs()]
firstMeasured = startMs
const memory = setInterval(() => void usage(bridge).then(printMemory), USAGE_EVERY_MS)
await publish(seconds)
const elapsedMs = nowMs() - startMs
const arrivedInTime = latencies.length
await Promise.race([until(() => arrived === published), sleep(DRAIN_MS)])
clearInterval(memory)
const after = await usage(bridge)
report()
await Promise.all([publisher.endAsync(), receiver.endAsync()])

function report(): void {
  const count = published - publishedBefore
  const cpu = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system
  const sorted = latencies.toSorted((one, other) => one - other)
  const quantile = (part: number): string => (sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN).toFixed(1)
  console.log(
    `published ${(count / (elapsedMs / 1000)).toFixed(0)}/s, arrived ${(arrivedInTime / (elapsedMs / 1000)).toFixed(0)}/s`,
  )
  console.log(`of ${published} uplinks ${arrived} arrived`)
  console.log(`latency p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, max ${quantile(1)} ms`)
  console.log(
    `bridge: ${(cpu / count).toFixed(0)} us of CPU an uplink, ${(cpu / 10 / elapsedMs).toFixed(0)} % of a core`,
  )
  printMemory(before)
  printMemory(after)
}

function printMemory({ rss, heapUsed, external }: Usage): void {
  const mega = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
  console.log(`memory: RSS ${mega(rss)} MiB, heap ${mega(heapUsed)} MiB, external ${mega(external)} MiB`)
}

function startBridge(...urls: readonly string[]): ChildProcess {
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  // On one core the collector's helpers only get in each other's way.
  const collector = values.pin ? ['--single-threaded-gc'] : []
  const args = [...collector, ...profile, PROGRAM, ...urls, join(directory, 'data')]
  const stdio: StdioOptions = ['pipe', 'pipe', 'inherit']
  if (values.pin) return spawn('taskset', ['--cpu-list', '0', process.execPath, ...args], { stdio })
  return spawn(process.execPath, args, { stdio })
}

async function usage({ stdin, stdout }: ChildProcess): Promise<Usage> {
  if (stdin === null || stdout === null) throw new Error('the bridge has no pipes')
  const lines = createInterface({ input: stdout })
  const line = once(lines, 'line')
  stdin.write('\n')
  const [text] = (await line) as [string]
  lines.close()
  return JSON.parse(text) as Usage
}

/** At the rate, whatever the broker and the bridge do. */
async function publish(forSeconds: number): Promise<void> {
  const beginMs = nowMs()
  const total = rate * forSeconds
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((nowMs() - beginMs) * rate) / 1000))
    for (; sent < due; sent++) publishOne()
    await sleep(TICK_MS)
  }
}

function publishOne(): void {
  const device = devices[published % devices.length]
  if (device === undefined) throw new Error('no device')
  published++
  const payload = Buffer.alloc(PAYLOAD_SIZE)
  payload.writeDoubleLE(nowMs(), 0)
  publisher.publish(device.topic, device.uplink(payload), { qos: 1 })
}

async function connected({ url }: Mosquitto): Promise<MqttClient> {
  const client = await connectAsync(url, { protocolVersion: 5 })
  if (client.stream instanceof Socket) client.stream.setNoDelay(true)
  return client
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20)
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

function otherCores(): string {
  return availableParallelism() > 2 ? `1-${availableParallelism() - 1}` : '1'
}
