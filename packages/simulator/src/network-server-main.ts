/**
 * A network operator as a process: `node network-server-main.ts --config FILE`, commands on standard input, answers on
 * standard output, both as in command-loop.ts. It ends with its standard input.
 *
 * - `activate` {phyPayload, macVersion, optNeg?, rxDelay?, cfList?} → {devEui, devAddr, phyPayload, sessionKeyId?, appSKey?}
 * - `rejoin` {phyPayload, rxDelay?, cfList?} → as `activate`
 * - `homeNs` {joinEui, devEui} → {hNetId, hNsId?}
 * - `answersAt` → {url?}, where asynchronous answers are taken
 * - `uplink` {phyPayload, txDr?, txCh?} → {devEui, fPort?, fCnt, frmPayload, confirmed, ack, macCommands, sessionKeyId?,
 *   appSKey?, nextFCntDown}
 * - `downlink` {devEui, fPort?, fCnt?, frmPayload?, confirmed?} → {phyPayload}
 * - `seen` → {entries: [{kind, text}], dropped}
 *
 * Bytes are hexadecimal text; appSKey is {kekLabel?, aesKey}.
 */
import { parseArgs } from 'node:util'
import type { KeyEnvelope } from '@mortise/backend-interfaces'
import { bytesToHex, parseDevEui, parseJoinEui, parseMacVersion } from '@mortise/lorawan'
import { serveCommands } from './command-loop.ts'
import type { Members } from './members.ts'
import { NetworkServer } from './network-server.ts'
import { readNetworkServerConfig } from './network-server-config.ts'
import type { Activation, ActivationOptions, DownlinkToSend, RejoinOptions } from './network-server-options.ts'

const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
const { answers, ...options } = await readNetworkServerConfig(values.config)
await using inbox = answers
await using networkServer = new NetworkServer(options)

await serveCommands(process.stdin, process.stdout, {
  async activate(members) {
    return activated(await networkServer.activate(members.bytes('phyPayload'), activationOptions(members)))
  },
  async rejoin(members) {
    return activated(await networkServer.rejoin(members.bytes('phyPayload'), rejoinOptions(members)))
  },
  homeNs: (members) => networkServer.homeNs(parseJoinEui(members.text('joinEui')), parseDevEui(members.text('devEui'))),
  answersAt: () => ({ url: inbox?.url }),
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

function activated(activation: Activation): object {
  return { ...activation, phyPayload: bytesToHex(activation.phyPayload), ...forApplication(activation) }
}

function activationOptions(members: Members): ActivationOptions {
  return {
    macVersion: parseMacVersion(members.text('macVersion')),
    ...(members.has('optNeg') && { optNeg: members.flag('optNeg') }),
    ...rejoinOptions(members),
  }
}

function rejoinOptions(members: Members): RejoinOptions {
  return {
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
