import { addPeer, enrolDevice, joinDevice, NET_ID, networkServer } from '../support/parties.ts'
import { Installation } from '../support/installation.ts'
import { holdIdleConnections } from './hold-idle.ts'

/**
 * What `test/connections.test.ts` does with some thousand idle connections, with as many as wanted:
 * `node test/connections/run.ts 20000`. Both this machine and the server have to be allowed that many open files.
 */
const PROCESSES = 8

const connections = Number(process.argv[2])
if (!(connections > 0)) throw new Error('usage: node test/connections/run.ts CONNECTIONS')
await using installation = await Installation.create()
const directory = await addPeer(installation, 'ns', NET_ID)
const { device } = await enrolDevice(installation, '1.0.4', { as: '' })
const server = await installation.serve()
const lowered = /at most .*/.exec(server.output)
if (lowered !== null) console.log(lowered[0])
await using network = networkServer(server, directory)
const measured = await holdIdleConnections(installation, server, directory, {
  ...{ connections, processes: PROCESSES },
  join: async () => {
    await joinDevice(network, device)
  },
})
console.log(measured)
await server.kill('SIGTERM')
