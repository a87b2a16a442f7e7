import type { AgreementScope } from '@mortise/hsm'
import { type DevEui, EVERY_JOIN_EUI, type JoinEuiPrefix, type NetId } from '@mortise/lorawan'
import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { usageError } from '../errors.ts'
import { devEuiOption, joinEuiPrefixOption, netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, table } from '../output.ts'
import { describeScope } from '../peers/describe-peer.ts'
import { findPeer } from '../peers/find-peer.ts'

interface AgreementOptions extends ServerOptions {
  readonly ns: NetId
  readonly device?: DevEui
  readonly joinEui?: JoinEuiPrefix
}

interface ListOptions extends ServerOptions {
  readonly ns?: NetId
}

export function registerAgreement(peer: Command): void {
  const agreement = peer.command('agreement').description('roaming: who may learn the home network of which devices')
  examples(agreement, 'mortise peer agreement add --ns 000013 --join-eui 70b3d57ed0000000/40')
  registerChange(agreement, 'add', 'let a network server learn the home of a device, of JoinEUIs, or of all devices')
  registerChange(agreement, 'remove', 'let it learn that no more')
  registerList(agreement)
}

function registerChange(agreement: Command, word: 'add' | 'remove', description: string): void {
  const command = withServer(agreement.command(word))
    .description(description)
    .requiredOption('--ns <netid>', 'the network server, by its NetID', netIdOption)
    .option('--device <eui>', 'this device (default: all devices)', devEuiOption)
    .option('--join-eui <prefix/bits>', 'all devices whose JoinEUI begins so', joinEuiPrefixOption)
    .action((options: AgreementOptions) => change(word, options))
  examples(
    command,
    `mortise peer agreement ${word} --ns 000013 --device 0004a30b001c0530`,
    `mortise peer agreement ${word} --ns 000013 --join-eui 70b3d57ed0000000/40`,
  )
}

async function change(word: 'add' | 'remove', options: AgreementOptions): Promise<void> {
  const scope = scopeOf(options)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, id } = findPeer(await administration.listPeers(), `ns:${options.ns}`)
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([{ action: `agreement.${word}`, peer: peerId, kind: 'ns', id, ...scope }])
  const may = word === 'add' ? 'may learn' : 'may not learn any more'
  report(
    options,
    { ...order, peerId, netId: id, ...scope },
    () => `Network server ${id} ${may} the home of ${describeScope(scope)}. ${outcome(order, administration)}`,
  )
}

function scopeOf({ device, joinEui }: AgreementOptions): AgreementScope {
  if (device !== undefined && joinEui !== undefined)
    throw usageError('give either --device or --join-eui', 'an agreement for each of them takes two commands')
  return device === undefined ? (joinEui ?? EVERY_JOIN_EUI) : { devEui: device }
}

function registerList(agreement: Command): void {
  const command = withServer(agreement.command('list'))
    .description('list agreements')
    .option('--ns <netid>', 'those of this network server', netIdOption)
    .action(async (options: ListOptions) => {
      await using administration = await openAdministration(options)
      const all = await administration.listAgreements()
      const agreements = options.ns === undefined ? all : all.filter(({ netId }) => netId === options.ns)
      report(options, agreements, () => {
        if (agreements.length === 0) return 'There is no agreement: no network server learns the home of a device.'
        const rows = agreements.map(({ netId, addedAt, ...scope }) => [
          netId,
          describeScope(scope),
          addedAt.slice(0, 10),
        ])
        return table(['NETID', 'DEVICES', 'ADDED'], rows)
      })
    })
  examples(command, 'mortise peer agreement list', 'mortise peer agreement list --ns 000013 --json')
}
