import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { CliError } from '../errors.ts'
import { digestOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, table } from '../output.ts'
import { findPeer, PEER_ARGUMENT } from '../peers/find-peer.ts'
import { describeTokenFile, shortToken, type TokenOptions, withToken, writeToken } from '../peers/tokens.ts'
import { confirmDestruction } from '../terminal.ts'

interface AddOptions extends ServerOptions, TokenOptions {
  readonly token: string
}

interface RemoveOptions extends ServerOptions {
  readonly yes?: boolean
}

export function registerPeerToken(peer: Command): void {
  const token = peer.command('token').description('tokens of a peer that can show no certificate')
  examples(token, 'mortise peer token add 000013 --token ./ns-000013.header')
  registerAdd(token)
  registerRemove(token)
  registerList(token)
}

function registerAdd(token: Command): void {
  const command = withToken(withServer(token.command('add')), true)
    .description('let a peer in with a further token; what it is known by already stays good')
    .argument('<peer>', PEER_ARGUMENT)
    .action(addToken)
  examples(
    command,
    'mortise peer token add 000013 --token ./ns-000013.header',
    'mortise peer token add as:door-app --token ./door-app.header --token-as X-Join-Server-Token',
  )
}

function registerRemove(token: Command): void {
  const command = withServer(token.command('remove'))
    .description('revoke a token of a peer, at once and on open connections too')
    .argument('<peer>', PEER_ARGUMENT)
    .argument('<digest>', 'SHA-256 of the value of its header: see `mortise peer token list`', digestOption)
    .option('--yes', 'do not ask')
    .action(removeToken)
  examples(command, `mortise peer token remove 000013 ${'3f'.repeat(32)}`)
}

function registerList(token: Command): void {
  const command = withServer(token.command('list'))
    .description('list the tokens of a peer by their digests; never what they are')
    .argument('<peer>', PEER_ARGUMENT)
    .action(listTokens)
  examples(command, 'mortise peer token list 000013', 'mortise peer token list as:door-app --json')
}

async function addToken(name: string, options: AddOptions): Promise<void> {
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, kind, id, tokens } = findPeer(await administration.listPeers(), name)
  using created = new CreatedPaths()
  const named = writeToken(id, options.token, options, created)
  const order = await new OrderDesk(administration, operator).submit(
    [{ action: 'peer.token.add', peer: peerId, kind, id, ...named }],
    { files: created },
  )
  created.keep()
  const token = { digest: named.token, header: named.header }
  report(options, { ...order, peerId, kind, id, token, files: [options.token] }, () =>
    [
      `${kind} ${id} is let in with token ${shortToken(token)} as well. ${outcome(order, administration)}`,
      describeTokenFile(options.token),
      ...tokens.map(
        ({ digest }) => `When the peer shows the new one: mortise peer token remove ${kind}:${id} ${digest}`,
      ),
    ].join('\n'),
  )
}

async function removeToken(name: string, digest: string, options: RemoveOptions): Promise<void> {
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, kind, id, tokens } = findPeer(await administration.listPeers(), name)
  const token = tokens.find((known) => known.digest === digest)
  if (token === undefined)
    throw new CliError('token_unknown', `${kind} ${id} has no token ${digest}`, {
      hint: `see \`mortise peer token list ${kind}:${id}\``,
    })
  await confirmDestruction(options.yes, `Revoke token ${shortToken(token)} of ${kind} ${id}?`)
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([{ action: 'peer.token.remove', peer: peerId, kind, id, token: digest }])
  report(
    options,
    { ...order, peerId, kind, id, token: { digest, header: token.header } },
    () => `Token ${shortToken(token)} of ${kind} ${id} is revoked. ${outcome(order, administration)}`,
  )
}

async function listTokens(name: string, options: ServerOptions): Promise<void> {
  await using administration = await openAdministration(options)
  const { kind, id, tokens } = findPeer(await administration.listPeers(), name)
  report(options, tokens, () => {
    if (tokens.length === 0) return `${kind} ${id} has no token.`
    const rows = tokens.map(({ digest, header, addedAt }) => [digest, header, addedAt])
    return table(['SHA-256 OF THE VALUE', 'HEADER', 'ADDED'], rows)
  })
}
