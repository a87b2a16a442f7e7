/**
 * A network operator as a process: `node network-server-main.ts --config FILE`, commands on standard input, answers on
 * standard output, both as in command-loop.ts. It ends with its standard input.
 *
 * - `activate` {phyPayload, macVersion, optNeg?, rxDelay?, cfList?} → {devEui, devAddr, phyPayload, sessionKeyId?, appSKey?}
 * - `uplink` {phyPayload, txDr?, txCh?} → {devEui, fPort?, fCnt, frmPayload, confirmed, ack, macCommands, sessionKeyId?,
 *   appSKey?, nextFCntDown}
 * - `downlink` {devEui, fPort?, fCnt?, frmPayload?, confirmed?} → {phyPayload}
 * - `seen` → {entries: [{kind, text}], dropped}
 *
 * Bytes are hexadecimal text; appSKey is {kekLabel?, aesKey}.
 */
import { parseArgs } from 'node:util'
import type { KeyEnvelope } from '@mortise/backend-interfaces'
import { bytesToHex, parseDevEui, parseMacVersion } from '@mortise/lorawan'
import { serveCommands } from './command-loop.ts'
import type { Members } from './members.ts'
import { type ActivationOptions, type DownlinkToSend, NetworkServer } from './network-server.ts'
import { readNetworkServerConfig } from './network-server-config.ts'

const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
await using networkServer = new NetworkServer(await readNetworkServerConfig(values.config))

await serveCommands(process.stdin, process.stdout, {
  async activate(members) {
    const activation = await networkServer.activate(members.bytes('phyPayload'), activationOptions(members))
    return { ...activation, phyPayload: bytesToHex(activation.phyPayload), ...forApplication(activation) }
  },
  uplink(members) {
    const uplink = networkServer.receiveUplink(members.bytes('phyPayload'), {
      txDr: members.has('txDr') ? members.number('txDr') : 0,
      txCh: members.has('txCh') ? members.number('txCh') : 0,
    })
    const bytes = { frmPayload: bytesToHex(uplink.frmPayload), macCommands: bytesToHex(uplink.macCommands) }
    return { ...uplink, ...bytes, ...forApplication(uplink) }
  },
  downlink: (members) => ({ phyPayload: bytesToHex(networkServer.sendDownlink(downlinkOf(members))) }),
  seen: () => ({ entries: networkServer.seen.entries, dropped: networkServer.seen.dropped }),
})

function activationOptions(members: Members): ActivationOptions {
  return {
    macVersion: parseMacVersion(members.text('macVersion')),
    ...(members.has('optNeg') && { optNeg: members.flag('optNeg') }),
    ...(members.has('rxDelay') && { rxDelay: members.number('rxDelay') }),
    ...(members.has('cfList') && { cfList: members.bytes('cfList') }),
  }
}

function downlinkOf(members: Members): DownlinkToSend {
  return {
    devEui: parseDevEui(members.text('devEui')),
    ...(members.has('fPort') && { fPort: members.number('fPort') }),
    ...(members.has('fCnt') && { fCnt: members.number('fCnt') }),
    ...(members.has('frmPayload') && { frmPayload: members.bytes('frmPayload') }),
    ...(members.has('confirmed') && { confirmed: members.flag('confirmed') }),
  }
}

function forApplication(session: { sessionKeyId: Uint8Array | undefined; appSKey: KeyEnvelope | undefined }): object {
  const { sessionKeyId, appSKey } = session
  return {
    sessionKeyId: sessionKeyId && bytesToHex(sessionKeyId),
    appSKey: appSKey && { kekLabel: appSKey.kekLabel, aesKey: bytesToHex(appSKey.aesKey) },
  }
}
