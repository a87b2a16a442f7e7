import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report } from '../output.ts'
import { describePeer, describePeers } from '../peers/describe-peer.ts'
import { findPeer, PEER_ARGUMENT } from '../peers/find-peer.ts'
import { confirmDestruction } from '../terminal.ts'
import { registerAdd } from './peer-add.ts'
import { registerAgreement } from './peer-agreement.ts'
import { registerPeerCertificate } from './peer-certificate.ts'
import { registerSet } from './peer-set.ts'
import { registerPeerToken } from './peer-token.ts'

interface PeerChangeOptions extends ServerOptions {
  readonly yes?: boolean
}

export function registerPeer(program: Command): void {
  const peer = program.command('peer').description('network servers and application servers that may call')
  examples(peer, 'mortise peer add ns --net-id 000013 --issue-certificate ./ns', 'mortise peer list')
  registerAdd(peer)
  registerSet(peer)
  registerList(peer)
  registerShow(peer)
  registerPeerCertificate(peer)
  registerPeerToken(peer)
  registerAgreement(peer)
  registerChange(peer, 'disable', 'let a peer in no more, but keep it in the list')
  registerChange(peer, 'remove', 'forget a peer, its certificates, tokens and agreements')
}

function registerList(peer: Command): void {
  const command = withServer(peer.command('list'))
    .description('list peers')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const peers = await administration.listPeers()
      report(options, peers, () => describePeers(peers))
    })
  examples(command, 'mortise peer list', 'mortise peer list --json')
}

function registerShow(peer: Command): void {
  const command = withServer(peer.command('show'))
    .description('show a peer')
    .argument('<peer>', PEER_ARGUMENT)
    .action(async (name: string, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const found = findPeer(await administration.listPeers(), name)
      const agreements = (await administration.listAgreements()).filter(({ peerId }) => peerId === found.peerId)
      report(options, { ...found, agreements }, () => describePeer(found, agreements))
    })
  examples(command, 'mortise peer show 000013', 'mortise peer show as:door-app')
}

function registerChange(peer: Command, word: 'disable' | 'remove', description: string): void {
  const command = withServer(peer.command(word))
    .description(description)
    .argument('<peer>', PEER_ARGUMENT)
    .option('--yes', 'do not ask')
    .action(async (name: string, options: PeerChangeOptions) => {
      const operator = openOperator(options)
      await using administration = await openAdministration(options)
      const found = findPeer(await administration.listPeers(), name)
      await confirmDestruction(options.yes, `${word === 'disable' ? 'Disable' : 'Remove'} ${found.kind} ${found.id}?`)
      const desk = new OrderDesk(administration, operator)
      const order = await desk.submit([{ action: `peer.${word}`, peer: found.peerId, kind: found.kind, id: found.id }])
      const done = word === 'disable' ? 'is disabled' : 'is removed'
      report(
        options,
        { ...order, peerId: found.peerId },
        () => `${found.kind} ${found.id} ${done}. ${outcome(order, administration)}`,
      )
    })
  examples(command, `mortise peer ${word} 000013`)
}
