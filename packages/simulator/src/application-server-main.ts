/**
 * The owner's side as a process: `node application-server-main.ts --config FILE`, commands on standard input, answers on
 * standard output, both as in command-loop.ts. It ends with its standard input. No command gives a key out.
 *
 * - `activate` {devEui, devAddr, appSKey: {kekLabel, aesKey}}, or {devEui, devAddr, joinEui, sessionKeyId} to fetch the
 *   key from the join server → {appSKeyFrom: "envelope"|"join-server"}. It replaces the device's session.
 * - `uplink` {devEui, fPort, fCnt, frmPayload} → {fPort, fCnt, payload}
 * - `downlink` {devEui, fPort, payload, nextFCntDown?} → {fPort, fCnt, frmPayload}
 *
 * Bytes are hexadecimal text.
 */
import { parseArgs } from 'node:util'
import { type AppSKey, AppSKeyClient, type KekRing, Session } from '@mortise/application-server'
import { bytesToHex, type DevEui, parseDevAddr, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { readApplicationServerConfig } from './application-server-config.ts'
import { serveCommands } from './command-loop.ts'
import { CommandError } from './command-process.ts'
import type { Members } from './members.ts'

const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
const { asId, protocolVersion, ...config } = await readApplicationServerConfig(values.config)
await using joinServer = config.joinServer
using kekRing = config.kekRing
const appSKeyClient = new AppSKeyClient({ joinServer, kekRing, asId, protocolVersion })
const sessions = new Map<DevEui, Session>()

await serveCommands(process.stdin, process.stdout, {
  async activate(members) {
    const devEui = parseDevEui(members.text('devEui'))
    const devAddr = parseDevAddr(members.text('devAddr'))
    const enveloped = members.has('appSKey')
    const appSKey = enveloped ? openAppSKey(kekRing, members) : await fetchAppSKey(appSKeyClient, devEui, members)
    sessions.get(devEui)?.[Symbol.dispose]()
    sessions.set(devEui, new Session({ devAddr, appSKey }))
    return { appSKeyFrom: enveloped ? 'envelope' : 'join-server' }
  },
  uplink(members) {
    const { fPort, fCnt, payload } = sessionOf(members).decryptUplink({
      fPort: members.number('fPort'),
      fCnt: members.number('fCnt'),
      frmPayload: members.bytes('frmPayload'),
    })
    return { fPort, fCnt, payload: bytesToHex(payload) }
  },
  downlink(members) {
    const clear = { fPort: members.number('fPort'), payload: members.bytes('payload') }
    const next = members.has('nextFCntDown') ? members.number('nextFCntDown') : 0
    const { fPort, fCnt, frmPayload } = sessionOf(members).encryptDownlink(clear, next)
    return { fPort, fCnt, frmPayload: bytesToHex(frmPayload) }
  },
})

function openAppSKey(ring: KekRing, members: Members): AppSKey {
  const envelope = members.object('appSKey')
  const kekLabel = envelope.has('kekLabel') ? envelope.text('kekLabel') : undefined
  return ring.unwrapAppSKey({ kekLabel, aesKey: envelope.bytes('aesKey') })
}

async function fetchAppSKey(client: AppSKeyClient, devEui: DevEui, members: Members): Promise<AppSKey> {
  const joinEui = parseJoinEui(members.text('joinEui'))
  return await client.fetchAppSKey({ devEui, joinEui, sessionKeyId: members.bytes('sessionKeyId') })
}

function sessionOf(members: Members): Session {
  const session = sessions.get(parseDevEui(members.text('devEui')))
  if (session === undefined) throw new CommandError('session_unknown', 'The device has no session here.')
  return session
}
