/**
 * A whole bridge in a process of its own, between two brokers: `node bridge-process.ts SOURCE-URL SINK-URL DIRECTORY`. The
 * source is ChirpStack's MQTT integration in JSON, and the sink has the same topics and events. It writes one line of JSON
 * with CPU time (microseconds) and memory (bytes) for each line on standard input, and ends in good order on SIGTERM.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { KekRing } from '@mortise/application-server'
import { type BridgeConfig, jsonLog, startBridge } from '../src/index.ts'
import { KEK, KEK_LABEL } from './chirpstack-uplink.ts'

const [sourceUrl = '', sinkUrl = '', directory = ''] = process.argv.slice(2)
using kekRing = new KekRing()
kekRing.add(KEK_LABEL, KEK)
const config: BridgeConfig = {
  source: {
    kind: 'chirpstack',
    name: 'bench',
    encoding: 'json',
    mqtt: { url: sourceUrl, clientId: 'bridge', topic: 'application/+/device/+/event/+' },
  },
  sinks: [{ kind: 'mqtt', mqtt: { url: sinkUrl, clientId: 'bridge' }, shape: 'source', topic: '' }],
  kekRing,
  codecs: [],
  data: { directory, maxEvents: 1_000_000, maxBytes: 2 ** 30 },
}
const stop = once(process, 'SIGTERM')
await using bridge = await startBridge(config, jsonLog())
createInterface({ input: process.stdin }).on('line', () => {
  const { rss, heapUsed, external } = process.memoryUsage()
  console.log(JSON.stringify({ cpu: process.cpuUsage(), rss, heapUsed, external, problems: bridge.problems() }))
})
await stop
process.stdin.destroy()
