/**
 * A bridge in a process of its own, that is killed: `node bridge-process.ts DIRECTORY SOURCE-SOCKET SINK-SOCKET WINDOW`.
 * It ends in good order on SIGTERM.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { DeviceSessions, KekRing, PayloadCodecs, SqliteSessionStore } from '@mortise/application-server'
import { Bridge } from '../../src/bridge.ts'
import { jsonLog } from '../../src/log.ts'
import { EventQueue } from '../../src/queue/index.ts'
import { KEK, KEK_LABEL } from '../pipeline/world.ts'
import { SocketSink, SocketSource } from './socket-parties.ts'

const [directory = '', sourcePath = '', sinkPath = '', window = ''] = process.argv.slice(2)
await using sink = new SocketSink(sinkPath)
await using source = new SocketSource(sourcePath)
await using queue = new EventQueue({ directory, sinks: [sink.name], maxEvents: 100_000, maxBytes: 2 ** 28 })
await using store = new SqliteSessionStore(join(directory, 'sessions.db'))
await using codecs = new PayloadCodecs()
using kekRing = new KekRing()
kekRing.add(KEK_LABEL, KEK)
const sessions = new DeviceSessions({ store, kekRing })
const timing = { sinkWindow: Number(window) }
const sinks = [sink]
const log = jsonLog()
const bridge = new Bridge({
  name: 'test',
  sources: [source],
  sinks,
  downlinkPath: sink,
  sessions,
  queue,
  codecs,
  timing,
  log,
})
const stop = once(process, 'SIGTERM')
await bridge.start()
await stop
await bridge.stop()
